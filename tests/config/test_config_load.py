"""What a file that is right turns into."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from pydantic import ValidationError

from rookery.config import (
    Api,
    BindingSession,
    DmPolicy,
    DmScope,
    GroupPolicy,
    IsolationScope,
    QueueMode,
    SessionBinding,
    load,
)
from rookery.messages import ChatKind
from tests.config.house_files import ENVIRON, EXAMPLE, read


@pytest.mark.parametrize(
    "text", ["", "\n", "# nothing\n", "---\n", "{}\n", "gateway:\nmodels:\n  limits:\nbindings:\n"]
)
def test_an_empty_file_is_the_defaults(tmp_path: Path, text: str) -> None:
    """Everything has a default: nothing written, and nothing written after a key, are the same."""
    assert read(tmp_path, text) == load(tmp_path / "missing.yaml", {})


def test_the_defaults_are_those_of_the_contract(tmp_path: Path) -> None:
    """The contract's example spells the defaults out; what it does not add by name equals an empty file."""
    spelled = read(tmp_path, EXAMPLE, ENVIRON)
    empty = read(tmp_path, "")

    for section in ("gateway", "database", "session", "messages", "budgets", "storage", "users_file"):
        assert getattr(spelled, section) == getattr(empty, section)
    assert spelled.models.limits == empty.models.limits
    assert spelled.models.default == empty.models.default == "offline/demo"
    assert spelled.agents.defaults == empty.agents.defaults


def test_the_contracts_example_loads(tmp_path: Path) -> None:
    """What the contract shows is read, key for key."""
    config = read(tmp_path, EXAMPLE, ENVIRON)

    webhook = config.channels.webhook.accounts["default"]
    assert webhook.secret.reveal() == "a-long-and-quiet-secret"
    assert webhook.callback_url == "http://127.0.0.1:9000/reply"
    assert webhook.dm_policy is DmPolicy.ALLOWLIST
    assert config.channels.telegram.accounts["default"].bot_token.reveal() == "12345:telegram-canary"
    assert config.models.shared_keys["house"].key_from.reveal() == "sk-openai-canary"
    assert config.models.providers["local"].prices["some-model"].input == 0
    (binding,) = config.bindings
    assert binding.agent_id == "helpdesk"
    assert binding.match.peer is not None
    assert (binding.match.peer.kind, binding.match.peer.id) == (ChatKind.GROUP, "-100123")
    assert config.agents.shared("helpdesk") is config.agents.list[0]
    assert config.agents.shared("nobody") is None


def test_snake_case_is_read_as_camel_case(tmp_path: Path) -> None:
    """Both spellings of a key mean the same."""
    snake = "gateway: {public_url: https://x.org}\nmodels: {limits: {max_concurrent: 7}}\nusers_file: users.yaml\n"
    camel = "gateway: {publicUrl: https://x.org}\nmodels: {limits: {maxConcurrent: 7}}\nusersFile: users.yaml\n"

    assert read(tmp_path, snake) == read(tmp_path, camel)
    assert read(tmp_path, snake).models.limits.max_concurrent == 7


def test_names_people_choose_are_kept_as_written(tmp_path: Path) -> None:
    """Account names, model names and provider names are nobody's keys: no spelling is changed."""
    config = read(
        tmp_path,
        """
models:
  providers: { my_own: { api: openai, baseUrl: "http://h/v1", prices: { some_model: { input: 1, output: 2 } } } }
channels:
  webhook: { accounts: { my_account: { secret: 0123456789abcdefg }, 1: { secret: 0123456789abcdefg } } }
""",
    )

    assert list(config.models.providers["my_own"].prices) == ["some_model"]
    assert list(config.channels.webhook.accounts) == ["my_account", "1"]


def test_every_word_of_the_contract_is_read(tmp_path: Path) -> None:
    """Policies, scopes and modes become enums that can be matched on."""
    config = read(
        tmp_path,
        """
agents: { list: [{ id: desk, sponsor: alice }] }
bindings: [{ agentId: desk, match: { channel: webhook }, session: per-peer }]
session:
  dmScope: per-account-channel-peer
  isolation: { enabled: true, defaultScope: per-sender }
  reset: { mode: daily, atHour: 5 }
  resetByType: { group: { mode: idle, idleMinutes: 30 } }
  resetByChannel: { telegram: { mode: none } }
messages: { queue: { mode: interrupt } }
channels:
  webhook: { accounts: { a: { secret: 0123456789abcdefg, dmPolicy: open, groupPolicy: open, allowFrom: ["*"] } } }
""",
    )

    assert config.bindings[0].session is BindingSession.PER_PEER
    assert config.session.dm_scope is DmScope.PER_ACCOUNT_CHANNEL_PEER
    assert config.session.isolation.default_scope is IsolationScope.PER_SENDER
    assert config.messages.queue.mode is QueueMode.INTERRUPT
    account = config.channels.account("webhook", "a")
    assert account is not None
    assert (account.dm_policy, account.group_policy) == (DmPolicy.OPEN, GroupPolicy.OPEN)


def test_an_account_is_closed_unless_it_says_otherwise(tmp_path: Path) -> None:
    """Without a word, strangers pair, guests are nobody, and a group must mention us."""
    account = read(tmp_path, "channels: {discord: {accounts: {main-guild: {}}}}").channels.account(
        "discord", "main-guild"
    )

    assert account is not None
    assert (account.dm_policy, account.allow_from) == (DmPolicy.PAIRING, ())
    assert (account.group_policy, account.group_allow_from) == (GroupPolicy.ALLOWLIST, ())
    assert account.require_mention is True


def test_an_accounts_session_binding_wins_over_its_channels(tmp_path: Path) -> None:
    """`sessionBinding` on a channel holds for the accounts that say nothing."""
    channels = read(
        tmp_path,
        """
channels:
  cron: { sessionBinding: ephemeral }
  webhook:
    sessionBinding: isolated
    accounts:
      own: { secret: 0123456789abcdefg, sessionBinding: shared }
      silent: { secret: 0123456789abcdefg }
""",
    ).channels

    assert channels.session_binding("webhook", "own") is SessionBinding.SHARED
    assert channels.session_binding("webhook", "silent") is SessionBinding.ISOLATED
    assert channels.session_binding("webhook", "unknown") is SessionBinding.ISOLATED
    assert channels.session_binding("cron", "any") is SessionBinding.EPHEMERAL
    assert channels.session_binding("terminal", "default") is None
    assert channels.session_binding("pigeon", "default") is None
    assert channels.account("webhook", "unknown") is None
    assert channels.account("webchat", "default") is None
    assert channels.account("pigeon", "default") is None


def test_built_in_providers_know_their_address(tmp_path: Path) -> None:
    """`openai` works without configuration; what is configured wins; `offline` is no provider."""
    models = read(tmp_path, "models: {providers: {anthropic: {api: anthropic, timeoutSeconds: 9}}}").models

    openai, anthropic = models.provider("openai"), models.provider("anthropic")
    assert openai is not None
    assert (openai.api, openai.base_url) == (Api.OPENAI, "https://api.openai.com/v1")
    assert anthropic is not None
    assert (anthropic.base_url, anthropic.timeout_seconds) == ("https://api.anthropic.com", 9)
    assert models.provider("offline") is None
    assert models.provider("unknown") is None


def test_direct_reads_as_dm_and_room_as_channel(tmp_path: Path) -> None:
    """The networks' own words for a chat's kind are understood."""
    text = "bindings: [{{agentId: alice, match: {{channel: telegram, peer: {{kind: {kind}, id: x}}}}}}]"

    for kind, read_as in (("direct", ChatKind.DM), ("room", ChatKind.CHANNEL), ("dm", ChatKind.DM)):
        peer = read(tmp_path, text.format(kind=kind)).bindings[0].match.peer
        assert peer is not None
        assert peer.kind is read_as


def test_identity_links_are_read_as_addresses(tmp_path: Path) -> None:
    """Each name gets its addresses in parts; everything after the first ':' is the sender."""
    links = read(
        tmp_path, 'session: {identityLinks: {ana: ["matrix:@ana:example.org", "webhook@shop:7"]}}'
    ).session.identity_links

    assert links == {"ana": (("matrix", None, "@ana:example.org"), ("webhook", "shop", "7"))}


def test_money_is_exact(tmp_path: Path) -> None:
    """A price is the number that is written, not the nearest binary fraction."""
    config = read(tmp_path, "budgets: {default: {perDayUsd: 0.1, perMonthUsd: 3}}")

    assert config.budgets.default.per_day_usd == Decimal("0.1")
    assert config.budgets.default.per_month_usd == 3


def test_the_environment_is_read_at_load(tmp_path: Path) -> None:
    """`${NAME}` is replaced in values of every kind, also in the middle; `$${` stays as `${`."""
    config = read(
        tmp_path,
        """
gateway: { host: "${HOST}", port: "${PORT}", publicUrl: "https://${NAME}.org/" }
session: { isolation: { enabled: "${YES}" }, resetPrompt: "say $${HOST} and $$${HOST} and $HOST" }
models: { limits: { timeoutSeconds: "${HALF}" } }
""",
        {"HOST": "::1", "PORT": "90", "NAME": "home", "YES": "true", "HALF": "0.5"},
    )

    assert (config.gateway.host, config.gateway.port) == ("::1", 90)
    assert config.gateway.public_url == "https://home.org"
    assert config.session.isolation.enabled is True
    assert config.session.reset_prompt == "say ${HOST} and $${HOST} and $HOST"
    assert config.models.limits.timeout_seconds == 0.5
    assert type(config.gateway.host) is str


def test_what_a_variable_holds_is_not_read_again(tmp_path: Path) -> None:
    """A value from outside is text: it names no further variable and is no YAML."""
    config = read(tmp_path, 'agents: {defaults: {persona: "${A}"}}', {"A": "${B} [1, 2] # no", "B": "secret"})

    assert config.agents.defaults.persona == "${B} [1, 2] # no"


def test_aliases_are_followed(tmp_path: Path) -> None:
    """A value may be written once and used twice."""
    config = read(tmp_path, "session: {reset: &r {mode: idle, idleMinutes: 9}, resetByType: {group: *r}}")

    assert next(iter(config.session.reset_by_type.values())) == config.session.reset


def test_a_configuration_cannot_be_changed(tmp_path: Path) -> None:
    """A running gateway takes a new configuration whole, never in parts."""
    config = read(tmp_path, "")

    with pytest.raises(ValidationError):
        config.gateway.port = 1


def test_a_changed_file_compares_unequal(tmp_path: Path) -> None:
    """A reload can see whether anything changed, secrets included."""
    text = "channels: {{webhook: {{accounts: {{a: {{secret: 0123456789abcde{last}}}}}}}}}"

    assert read(tmp_path, text.format(last="f")) == read(tmp_path, text.format(last="f"))
    assert read(tmp_path, text.format(last="f")) != read(tmp_path, text.format(last="g"))


def test_a_byte_order_mark_is_no_key(tmp_path: Path) -> None:
    """Files from editors that write one load as well."""
    (tmp_path / "rookery.yaml").write_bytes(b"\xef\xbb\xbfstorage: {openBrains: 5}\n")

    assert load(tmp_path / "rookery.yaml", {}).storage.open_brains == 5
