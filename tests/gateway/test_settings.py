"""From `rookery.yaml` to what the path of a message asks."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from rookery.config import Config, load
from rookery.config.words import DmPolicy, GroupPolicy, QueueMode
from rookery.errors import ConfigError
from rookery.gateway.capacity import Limits
from rookery.gateway.house import account_settings
from rookery.gateway.rules import AccountRules, QueueRules
from rookery.gateway.settings import (
    check_models,
    configured_agents,
    default_model,
    providers_from,
    settings_from,
)
from rookery.messages import Chat, ChatKind
from rookery.models import Key
from rookery.outbound.lazy import LazyOutbound
from rookery.sessions.scope import Scope, choose_scope

# The example of the reference, key by key, where it concerns messages.
EXAMPLE = """
gateway:  { host: 127.0.0.1, port: 8484, publicUrl: null, allowedHosts: [], trustedProxies: [] }
database: { url: null }
models:
  default: offline/demo
  providers:
    openai:    { api: openai }
    anthropic: { api: anthropic }
    local:     { api: openai, baseUrl: http://127.0.0.1:11434/v1, prices: { some-model: { input: 0, output: 0 } } }
  sharedKeys:
    house: { provider: openai, keyFrom: "env:OPENAI_API_KEY" }
  limits: { maxConcurrent: 16, perUser: 3, perKey: null, background: 4, timeoutSeconds: 120 }
agents:
  defaults: { model: null, skills: null, tools: [time, sessions, memory, knowledge, schedules], maxSteps: 25 }
  list:
    - { id: helpdesk, sponsor: alice }
bindings:
  - { agentId: helpdesk, match: { channel: telegram, account: default, peer: { kind: group, id: "-100123" } } }
session:
  dmScope: null
  mainKey: main
  identityLinks: {}
  isolation: { enabled: false, defaultScope: per-channel }
messages: { queue: { mode: collect, debounceMs: 500, cap: 20 } }
channels:
  webchat:  { enabled: true }
  webhook:
    accounts:
      default:
        secret: "a long random secret"
        callbackUrl: http://127.0.0.1:9000/reply
        dmPolicy: allowlist
        sessionBinding: isolated
  telegram:
    accounts:
      default: { botToken: "t", dmPolicy: pairing, groupPolicy: allowlist,
                 groupAllowFrom: [], requireMention: true }
  cron:     { sessionBinding: ephemeral }
"""


def config(tmp_path: Path, text: str, **environ: str) -> Config:
    path = tmp_path / "rookery.yaml"
    path.write_text(text)
    return load(path, {"OPENAI_API_KEY": "sk-1", **environ})


def test_the_example_of_the_reference_is_what_it_says(tmp_path: Path) -> None:
    """Every value that decides about a message."""
    example = config(tmp_path, EXAMPLE)
    settings = settings_from(example)
    rules = settings.rules

    assert settings.capacity == Limits(total=16, per_person=3, per_key=None, background=4)
    assert (settings.run.max_steps, settings.run.timeout_seconds) == (25, 120)
    assert settings.run.tools == {"time", "sessions", "memory", "knowledge", "schedules"}
    assert rules.queue == QueueRules(QueueMode.COLLECT, 0.5, 20)
    assert (rules.main_key, rules.dm_scope, rules.isolation_scope) == ("main", None, None)
    assert rules.account("webhook", "default") == AccountRules(
        dm_policy=DmPolicy.ALLOWLIST, session_binding="isolated"
    )
    assert rules.account("telegram", "default") == AccountRules(
        dm_policy=DmPolicy.PAIRING, group_policy=GroupPolicy.ALLOWLIST, require_mention=True
    )
    assert rules.account("telegram", "second") is None
    bound = rules.bindings.find("telegram", "default", Chat(ChatKind.GROUP, "-100123"), None)
    assert bound is not None
    assert bound.agent_id == "helpdesk"
    assert [(agent.id, agent.sponsor) for agent in configured_agents(example)] == [("helpdesk", "alice")]
    assert default_model(example) == "offline/demo"


def test_an_empty_file_is_a_house_that_lets_nobody_in(tmp_path: Path) -> None:
    """No account but our own channels', no binding, no link; the defaults of the reference for the rest."""
    settings = settings_from(config(tmp_path, ""))
    assert settings.rules.accounts == {
        ("terminal", "local"): AccountRules(),
        ("webchat", "default"): AccountRules(),
    }
    assert settings.rules.queue == QueueRules()
    assert settings.capacity == Limits()
    assert AccountRules().allow_from == frozenset()


def test_providers_are_opened_by_name_and_keyed_as_configured(tmp_path: Path) -> None:
    """A server of one's own needs no key; the hosted one does, and the shared key is read at load."""
    providers, shared = providers_from(config(tmp_path, EXAMPLE), LazyOutbound(), lambda: datetime.now(UTC))
    assert {name: provider.keyless for name, provider in providers.items()} == {
        "offline": True,
        "openai": False,
        "anthropic": False,
        "local": True,
    }
    assert shared["house"].provider == "openai"
    assert shared["house"].key == Key("sk-1")
    assert "sk-1" not in repr(shared)


def test_a_server_with_a_shared_key_is_not_asked_without_one(tmp_path: Path) -> None:
    """Once a key is set up for it, agents without the grant are refused and not sent to it bare."""
    text = EXAMPLE.replace("provider: openai, keyFrom", "provider: local, keyFrom")
    providers, _ = providers_from(config(tmp_path, text), LazyOutbound(), lambda: datetime.now(UTC))
    assert not providers["local"].keyless


def test_a_model_that_cannot_be_asked_stops_the_start(tmp_path: Path) -> None:
    """Named where it stands, with the providers there are."""
    example = config(tmp_path, EXAMPLE.replace("default: offline/demo", "default: anthropic/some"))
    providers, _ = providers_from(example, LazyOutbound(), lambda: datetime.now(UTC))
    check_models(example, providers)
    del providers["anthropic"]
    with pytest.raises(ConfigError, match=r"models\.default is 'anthropic/some'.*local, offline, openai"):
        check_models(example, providers)


BOUND = """
agents: { list: [ { id: helpdesk, sponsor: alice } ] }
session: { dmScope: per-peer }
bindings:
  - { agentId: helpdesk, match: { channel: webhook, account: default }%s }
channels:
  webhook:
    sessionBinding: ephemeral
    accounts: { default: { secret: "a long random secret"%s } }
"""


@pytest.mark.parametrize(
    ("binding", "account", "scope"),
    [
        ("", "", "ephemeral"),
        ("", ", sessionBinding: isolated", Scope.PER_ACCOUNT_CHANNEL_PEER),
        ("", ", sessionBinding: shared", Scope.PER_PEER),
        (", session: main", ", sessionBinding: isolated", Scope.MAIN),
        (", session: shared", "", Scope.PER_PEER),
        (", session: shared", ", sessionBinding: isolated", Scope.PER_PEER),
        (", session: isolated", ", sessionBinding: shared", Scope.PER_ACCOUNT_CHANNEL_PEER),
    ],
)
def test_the_first_word_on_sessions_wins(tmp_path: Path, binding: str, account: str, scope: Scope | str) -> None:
    """Binding, then account, then channel; `shared` is such a word too: what the scope says.

    Written on a binding it was read as nothing, and the account's own word went on to win.
    """
    rules = settings_from(config(tmp_path, BOUND % (binding, account))).rules
    found = rules.bindings.find("webhook", "default", Chat(ChatKind.DM, "7"), None)
    assert found is not None
    chosen = choose_scope(rules.scope_words("webhook", "default", found.session), shared=True)
    assert chosen is scope if isinstance(scope, Scope) else not isinstance(chosen, Scope)


def test_limits_of_a_key_a_provider_and_the_background_are_taken_over(tmp_path: Path) -> None:
    """A provider has a limit of its own only where one is written."""
    text = """
models:
  limits: { perKey: 2, background: 1 }
  providers:
    house: { api: openai, baseUrl: http://127.0.0.1:11434/v1, maxConcurrent: 1 }
    cloud: { api: openai, baseUrl: http://127.0.0.1:11435/v1 }
"""
    capacity = settings_from(config(tmp_path, text)).capacity
    assert capacity == Limits(per_key=2, background=1, per_provider={"house": 1})


def test_scopes_links_and_limits_are_taken_over(tmp_path: Path) -> None:
    """What is written under session, and only while isolation is enabled its scope."""
    text = """
session:
  dmScope: per-channel-peer
  mainKey: home
  identityLinks: { carol: ["telegram:7", "webhook@default:8"] }
  isolation: { enabled: %s, defaultScope: per-sender }
models: { limits: { maxConcurrent: 2, perUser: 1, timeoutSeconds: 9.5 } }
messages: { queue: { mode: interrupt, debounceMs: 0, cap: 1 } }
"""
    on = settings_from(config(tmp_path, text % "true"))
    off = settings_from(config(tmp_path, text % "false"))
    assert (on.rules.isolation_scope, off.rules.isolation_scope) == ("per-sender", None)
    assert (on.rules.dm_scope, on.rules.main_key) == ("per-channel-peer", "home")
    assert on.rules.links.name_of("telegram", "any", "7") == "carol"
    assert on.rules.links.name_of("webhook", "default", "8") == "carol"
    assert on.rules.links.name_of("webhook", "other", "8") is None
    assert (on.capacity.total, on.capacity.per_person, on.run.timeout_seconds) == (2, 1, 9.5)
    assert on.rules.queue == QueueRules(QueueMode.INTERRUPT, 0, 1)


def test_a_channel_reads_its_accounts_with_secrets_revealed(tmp_path: Path) -> None:
    """As plain values under the keys of the file."""
    settings = account_settings(config(tmp_path, EXAMPLE), "webhook")
    assert settings["default"]["secret"] == "a long random secret"
    assert settings["default"]["callbackUrl"] == "http://127.0.0.1:9000/reply"


def test_the_terminal_s_binding_of_sessions_holds(tmp_path: Path) -> None:
    """What `channels.terminal.sessionBinding` says decides where a terminal's words arrive."""
    rules = settings_from(config(tmp_path, "channels: {terminal: {sessionBinding: isolated}}")).rules
    assert rules.scope_words("terminal", "local", None).session_binding == "isolated"
