"""What a file that is wrong is told: line, key, and what would be right."""

from __future__ import annotations

import traceback
from pathlib import Path

import pytest

from rookery.config import load
from rookery.errors import ConfigError
from tests.config.house_files import refused


def test_an_unknown_key_is_answered_with_the_nearest_one(tmp_path: Path) -> None:
    """A slip of the finger is named with its line and the key that was meant."""
    assert refused(tmp_path, "models:\n  limits:\n    maxConcurent: 3\n") == [
        "rookery.yaml:3: models.limits.maxConcurent is not a known key; did you mean 'maxConcurrent'?"
    ]


def test_a_key_like_no_other_is_answered_with_all_of_them(tmp_path: Path) -> None:
    """Where nothing is near, the known keys are listed."""
    assert refused(tmp_path, "storage: {xyzzy: 3}\n") == [
        "rookery.yaml:1: storage.xyzzy is not a known key; known here: openBrains"
    ]


def test_all_problems_are_reported_together_in_the_files_order(tmp_path: Path) -> None:
    """Wrong syntax of values, unknown keys, missing variables and broken cross-references in one go."""
    unknown = "models.default names the provider 'opnai', which is not under models.providers"
    lines = refused(
        tmp_path,
        """\
gateway:
  port: 99999
  hosst: x
models:
  default: opnai/gpt
  limits: { perUser: "3" }
  sharedKeys: { house: { provider: openai, keyFrom: "env:NOKEY" } }
messages: { queue: { cap: 0 } }
bindings:
  - { agentId: a, match: { channel: telegram } }
  - { agentId: b, match: { channel: telegram } }
usersFile: "${NO_SUCH_FILE}"
""",
    )

    assert lines == [
        "rookery.yaml:2: gateway.port must be 65535 or less, not 99999",
        "rookery.yaml:3: gateway.hosst is not a known key; did you mean 'host'?",
        f"rookery.yaml:5: {unknown}; known: anthropic, offline, openai",
        "rookery.yaml:6: models.limits.perUser must be a whole number, not '3'; write it without quotes",
        "rookery.yaml:7: models.sharedKeys.house.keyFrom needs the environment variable 'NOKEY', which is not set",
        "rookery.yaml:8: messages.queue.cap must be 1 or more, not 0",
        "rookery.yaml:11: bindings[1].match matches the same messages as bindings[0]; remove one of the two",
        "rookery.yaml:12: usersFile needs the environment variable 'NO_SUCH_FILE', which is not set",
    ]


def test_a_key_written_twice_names_both_lines(tmp_path: Path) -> None:
    """Neither of the two silently wins."""
    assert refused(tmp_path, "storage:\n  openBrains: 1\n\n  openBrains: 2\n") == [
        "rookery.yaml:4: storage.openBrains is written twice, on line 2 and on line 4; keep one of them"
    ]


def test_a_key_in_both_spellings_is_written_twice(tmp_path: Path) -> None:
    """snake_case and camelCase are one key."""
    for text in ("openBrains: 1\n  open_brains: 2", "open_brains: 2\n  openBrains: 1"):
        (line,) = refused(tmp_path, f"storage:\n  {text}\n")
        assert "storage.open_brains is written twice, here and as 'openBrains' on line" in line


def test_a_mistake_in_snake_case_is_found_on_its_own_line(tmp_path: Path) -> None:
    """The answer uses the spelling that stands in the file."""
    assert refused(tmp_path, "models:\n  limits:\n    per_user: 0\n") == [
        "rookery.yaml:3: models.limits.per_user must be 1 or more, not 0"
    ]


def test_a_mistake_between_sections_is_found_in_snake_case_too(tmp_path: Path) -> None:
    """So does what is wrong only together with another section."""
    (line,) = refused(
        tmp_path, "models:\n  shared_keys:\n    k: {provider: nope, key_from: 'env:SET'}\n", {"SET": "x"}
    )

    assert line.startswith("rookery.yaml:3: models.shared_keys.k.provider names the provider 'nope'")


@pytest.mark.parametrize(
    "slip",
    [
        "agents: {lst: [{id: desk, sponsor: alice}]}",
        "agents: {list: [{id: desk, sponsr: alice}]}",
        "agents: {list: 5}",
    ],
)
def test_a_slip_is_reported_once(tmp_path: Path, slip: str) -> None:
    """What follows only from another mistake is not reported beside it."""
    lines = refused(
        tmp_path,
        f"{slip}\nbindings: [{{agentId: desk, match: {{channel: sms}}}}]\n"
        "channels: {sms: {accounts: {a: {dmPolicy: open}}}}\n",
    )

    assert all(line.startswith("rookery.yaml:1: agents.") for line in lines), lines


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("session: {dmScope: per-per}", "session.dmScope must be one of main, per-peer, per-channel-peer, "),
        ("session: {dmScope: per-per}", "did you mean 'per-peer'?"),
        ("session: {isolation: {defaultScope: all}}", "must be one of per-channel, per-sender, global, not 'all'"),
        ("session: {isolation: {enabled: yes}}", "must be true or false, not 'yes'"),
        ("session: {isolation: {enabled: 1}}", "must be true or false, not 1"),
        ("session: {mainKey: 'a:b'}", "session.mainKey must be one plain word of A-Z a-z 0-9 - _ . @ + ="),
        ("session: {mainKey: ''}", "session.mainKey must be one plain word"),
        ("session: {reset: {mode: daily, atHour: 24}}", "session.reset.atHour must be 23 or less, not 24"),
        ("session: {resetByChannel: {pigeon: {}}}", "'pigeon' is not a channel"),
        ("session: {maintenance: {binDays: -1}}", "must be 0 or more, not -1"),
        ("messages: {queue: {debounceMs: 1.5}}", "must be a whole number, not 1.5"),
        ("messages: {queue: {debounceMs: true}}", "must be a whole number, not true"),
        ("messages: {queue: {cap: .inf}}", "must be a whole number, not inf"),
        ("models: {limits: {timeoutSeconds: 0}}", "must be more than 0, not 0"),
        ("models: {limits: {timeoutSeconds: .nan}}", "must be a number"),
        ("models: {default: demo}", "models.default must be written provider/model, such as offline/demo"),
        ("models: {default: 5}", 'models.default must be text; write it in quotes: "5"'),
        ("models: {default: ''}", "models.default must be written provider/model"),
        ("models: {fallbacks: [x/y]}", "models.fallbacks[0] names the provider 'x'"),
        ("models: {allowed: [x/y]}", "models.allowed[0] names the provider 'x'"),
        ("models: {allowed: offline/demo}", "models.allowed must be a list, as in [one, two], not text"),
        (
            "models: {providers: {local: {api: openai}}}",
            "models.providers.local.baseUrl is missing; only openai and",
        ),
        ("models: {providers: {local: {}}}", "models.providers.local.api is missing; it has no default"),
        ("models: {providers: {offline: {api: openai}}}", "models.providers.offline is built in"),
        ("models: {providers: {'a/b': {api: openai}}}", "models.providers.a/b is no name for a provider"),
        (
            "models: {providers: {openai: {api: opnai}}}",
            "must be one of openai, anthropic, pydantic-ai, not 'opnai'; did you mean",
        ),
        ("models: {providers: {openai: {api: openai, baseUrl: 'http://u:p@h/'}}}", "without user, password"),
        ("models: {providers: {openai: {api: openai, prices: {m: {input: 1}}}}}", "prices.m.output is missing"),
        ("models: {providers: {openai: {api: openai, prices: {m: {input: -1, output: 1}}}}}", "between 0 and"),
        ("models: {embeddings: {provider: nope}}", "models.embeddings.provider names the provider 'nope'"),
        ("models: {sharedKeys: {k: {provider: nope, keyFrom: 'env:SET'}}}", "names the provider 'nope'"),
        ("agents: {defaults: {model: nope/x}}", "agents.defaults.model names the provider 'nope'"),
        ("agents: {list: [{id: a, sponsor: b, model: nope/x}]}", "agents.list[0].model names the provider 'nope'"),
        ("agents: {list: [{id: 'a b', sponsor: alice}]}", "'a b' is not an agent id"),
        ("agents: {list: [{id: a, sponsor: main}]}", "'main' is not a user id"),
        (
            "agents: {list: [{id: a, sponsor: b}, {id: A, sponsor: b}]}",
            "is 'A', which agents.list[0] is called already",
        ),
        ("budgets: {default: {perDayUsd: '2'}}", "must be a number of US dollars, without quotes"),
        ("budgets: {default: {perDayUsd: true}}", "must be a number of US dollars"),
        ("budgets: {default: {perDayUsd: .inf}}", "must be between 0 and 1000000000 US dollars"),
        ("gateway: {publicUrl: example.org}", "gateway.publicUrl must be an http:// or https:// address"),
        ("gateway: {publicUrl: 'http://x/#a'}", "without user, password, '?' and '#'"),
        ("gateway: {publicUrl: 'http://[::1'}", "must be an http:// or https:// address"),
        ("gateway: {host: 'http://x'}", "gateway.host must be a host name or an address, without http://"),
        ("gateway: {trustedProxies: [proxy]}", "trustedProxies[0] must be an IP address or a network"),
        ("gateway: {port: -1}", "gateway.port must be 0 or more, not -1"),
        (
            "database: {url: 'mysql://h/db'}",
            "database.url must be postgresql://user@host/database, or null for SQLite",
        ),
        ("database: {ownerUrl: 'postgresql://h/db'}", "database.ownerUrl is of no use without database.url"),
        (
            "bindings: [{agentId: a, match: {channel: telegrm}}]",
            "'telegrm' is not a channel; did you mean 'telegram'?",
        ),
        ("bindings: [{agentId: a}]", "bindings[0].match is missing"),
        ("bindings: [{agentId: a, match: {channel: sms, account: ''}}]", "An account's name cannot be empty"),
        ("bindings: [{agentId: a, match: {channel: sms, peer: {kind: dm, id: ''}}}]", "peer.id must not be empty"),
        (
            "bindings: [{agentId: a, match: {channel: sms, peer: {kind: chat, id: a}}}]",
            "must be one of dm, group, channel",
        ),
        (
            "bindings: [{agentId: a, match: {channel: sms, peer: {kind: group, id: -1}}}]",
            'write it in quotes: "-1"',
        ),
        ("bindings: [{agentId: a, match: {channel: sms}, session: joined}]", "must be one of isolated, shared,"),
        ("bindings: {agentId: a}", "bindings must be a list, as in [one, two], not keys and values"),
        ("storage: 64", "storage must hold keys and values, as in { key: value }, not a number"),
        ("storage: {openBrains: null}", "storage.openBrains must be a whole number, not null"),
        ("[]", "the file must hold keys and values, as in { key: value }, not a list"),
        ("hello", "the file must hold keys and values, as in { key: value }, not text"),
        ("channels: {pigeon: {}}", "channels.pigeon is not a known key"),
        (
            "channels: {discord: {accounts: {a: {token: x}}}}",
            "channels.discord.accounts.a.token is not a known key",
        ),
        ("channels: {webchat: {accounts: {}}}", "channels.webchat.accounts is not a known key"),
        ("channels: {telegram: {accounts: {a: {}}}}", "channels.telegram.accounts.a.botToken is missing"),
        ("channels: {telegram: {accounts: {a: {botToken: ''}}}}", "botToken must not be empty"),
        ("channels: {webhook: {accounts: {a: {}}}}", "channels.webhook.accounts.a.secret is missing"),
        ("channels: {sms: {accounts: {a: {groupAllowFrom: ['*', b]}}}}", "must hold '*' alone, or no '*'"),
        ("channels: {sms: {accounts: {a: {allowFrom: [491234]}}}}", 'must be text; write it in quotes: "491234"'),
        (
            "channels: {sms: {accounts: {a: {allowFrom: '*'}}}}",
            "allowFrom must be a list, as in [one, two], not text",
        ),
        ("? [a, b]\n: c", "has a list or mapping as a key"),
        ("storage: !!python/object:os.system {}", "which is not read here; leave it out"),
        ("storage: &a {openBrains: *a}", "storage.openBrains refers to itself; write the value out"),
        ("x: &a {}\nstorage: {<<: *a}", "is a merge key, which is not read here"),
        ('usersFile: "a\\0b"', "usersFile holds a character that is not text"),
        ('usersFile: "\\ud800"', "usersFile holds a character that is not text"),
        ("usersFile: ${OPEN", "usersFile holds '${' without a variable's name and '}'; write '$${'"),
        ("usersFile: ${A-B}", "usersFile holds '${' without a variable's name"),
    ],
)
def test_a_wrong_value_is_told_what_would_be_right(tmp_path: Path, text: str, said: str) -> None:
    """One mistake, one clear line."""
    lines = refused(tmp_path, text, {"SET": "x"})

    assert any(said in line for line in lines), lines
    assert all(line.startswith("rookery.yaml:") for line in lines)


@pytest.mark.parametrize(
    "name", ["dm", "direct", "group", "channel", "room", "main", "thread", "''", "a:b", "a/b"]
)
def test_an_account_has_a_name_that_no_key_or_address_can_mistake(tmp_path: Path, name: str) -> None:
    """Words with a meaning in session keys, and signs with a meaning in addresses, are refused."""
    (line,) = refused(tmp_path, f"channels: {{sms: {{accounts: {{{name}: {{}}}}}}}}")

    assert line.startswith("rookery.yaml:1: channels.sms.accounts.")


def test_a_channel_with_ids_per_account_needs_the_account_in_a_peer(tmp_path: Path) -> None:
    """On the webhook the same sender id on two accounts is two people."""
    text = "bindings: [{{agentId: a, match: {{channel: {channel}, {account}peer: {{kind: dm, id: x}}}}}}]"

    for channel in ("webhook", "feishu"):
        (line,) = refused(tmp_path, text.format(channel=channel, account=""))
        assert (
            f"bindings[0].match names a peer and no account; ids of {channel} are unique only within one" in line
        )
    # With the account it loads, and so does a network whose ids are its own.
    for channel, account in (("webhook", "account: a, "), ("telegram", "")):
        (tmp_path / "fine.yaml").write_text(text.format(channel=channel, account=account))
        assert load(tmp_path / "fine.yaml", {}).bindings


GUESTS = """\
agents: {{ list: [{{ id: desk, sponsor: alice }}] }}
bindings: [{{ agentId: {agent}, match: {{ channel: {channel}, account: {account}{peer} }} }}]
channels: {{ sms: {{ accounts: {{ one: {{ {policy} }} }} }} }}
"""


@pytest.mark.parametrize(
    ("policy", "peer", "agent", "channel", "account", "said"),
    [
        ("dmPolicy: open", "", "desk", "sms", "one", None),
        ("dmPolicy: open", "", "desk", "sms", "null", None),
        (
            "dmPolicy: open",
            "",
            "desk",
            "sms",
            "two",
            "sms.accounts.one.dmPolicy is 'open', which needs a shared agent",
        ),
        ("dmPolicy: open", "", "desk", "voice", "one", "sms.accounts.one.dmPolicy is 'open'"),
        ("dmPolicy: open", "", "bob", "sms", "one", "sms.accounts.one.dmPolicy is 'open'"),
        ("dmPolicy: open", ", peer: {kind: dm, id: '+1'}", "desk", "sms", "one", "dmPolicy is 'open'"),
        ("dmPolicy: open", ", peer: {kind: group, id: '+1'}", "desk", "sms", "one", "dmPolicy is 'open'"),
        ("allowFrom: ['+1']", ", peer: {kind: dm, id: '+1'}", "desk", "sms", "one", None),
        ("allowFrom: ['+1']", "", "desk", "sms", "one", None),
        (
            "allowFrom: ['+1', '+2']",
            ", peer: {kind: dm, id: '+1'}",
            "desk",
            "sms",
            "one",
            "allowFrom[1] lets in '+2'",
        ),
        ("allowFrom: ['*']", ", peer: {kind: dm, id: '*'}", "desk", "sms", "one", "allowFrom[0] lets in '*'"),
        ("allowFrom: ['+1']", "", "bob", "sms", "one", "allowFrom[0] lets in '+1', who needs a shared agent"),
        ("allowFrom: []", "", "bob", "sms", "two", None),
    ],
)
def test_guests_are_let_in_to_a_shared_agent_only(
    tmp_path: Path, policy: str, peer: str, agent: str, channel: str, account: str, said: str | None
) -> None:
    """An account that lets strangers in names the shared agent they talk to, or the file does not load."""
    text = GUESTS.format(policy=policy, peer=peer, agent=agent, channel=channel, account=account)

    if said is None:
        (tmp_path / "fine.yaml").write_text(text)
        assert load(tmp_path / "fine.yaml", {}).channels.account("sms", "one") is not None
    else:
        (line,) = refused(tmp_path, text)
        assert line.startswith("rookery.yaml:3: channels.")
        assert said in line


def test_the_most_specific_rule_decides_where_guests_go(tmp_path: Path) -> None:
    """A shared agent for the channel does not excuse an account, or a guest, bound to a person's own agent."""
    house = (
        "agents: {list: [{id: desk, sponsor: alice}]}\n"
        "bindings: [{agentId: desk, match: {channel: sms}}, {agentId: bob, match: {channel: sms, %s}}]\n"
        "channels: {sms: {accounts: {one: {dmPolicy: %s, allowFrom: ['+1']}}}}\n"
    )

    assert len(refused(tmp_path, house % ("account: one", "open"))) == 2
    (line,) = refused(tmp_path, house % ("peer: {kind: dm, id: '+1'}", "open"))
    assert "allowFrom[0] lets in '+1'" in line
    (tmp_path / "fine.yaml").write_text(house % ("account: two", "open"))
    assert load(tmp_path / "fine.yaml", {}).bindings


@pytest.mark.parametrize(
    ("links", "said"),
    [
        ("{ana: ['12345']}", "identityLinks.ana[0] is wrong: '12345' is not an address: write channel:sender"),
        ("{ana: [12345]}", "identityLinks.ana[0] must be text; write it in quotes"),
        ("{ana: ['webhook:1']}", "needs an account, because the ids of webhook are unique only within one"),
        ("{ana: ['telegram:']}", "names no sender"),
        ("{ana: ['pigeon:1']}", "'pigeon' is not a channel"),
        ("{'a b': ['telegram:1']}", "'a b' is not a user id"),
        ("{ana: ['telegram:1'], bea: ['telegram:1']}", "bea[0] is 'telegram:1', which belongs to 'ana' already"),
        (
            "{ana: ['telegram:1'], bea: ['telegram@x:1']}",
            "bea[0] is 'telegram@x:1', which belongs to 'ana' already",
        ),
        ("{ana: ['telegram@x:1'], bea: ['telegram:1']}", "bea[0] is 'telegram:1', which belongs to 'ana' already"),
        ("{ana: ['telegram:1'], Ana: ['telegram:2']}", "Ana is the same name as 'ana'; case makes no difference"),
    ],
)
def test_identity_links_are_exact(tmp_path: Path, links: str, said: str) -> None:
    """An address names its channel, and belongs to one name."""
    (line,) = refused(tmp_path, f"session: {{identityLinks: {links}}}")

    assert said in line


def test_one_name_may_hold_an_address_twice_over(tmp_path: Path) -> None:
    """The same sender on two accounts, and a name's own repetition, take nothing from anybody."""
    (tmp_path / "fine.yaml").write_text(
        "session: {identityLinks: {a: ['telegram@x:1', 'telegram:1'], b: ['webhook@a:1'], c: ['webhook@b:1']}}"
    )

    assert len(load(tmp_path / "fine.yaml", {}).session.identity_links) == 3


def test_no_error_shows_a_secret_or_what_a_variable_holds(tmp_path: Path) -> None:
    """A key pasted in the wrong place is not repeated into logs and terminals."""
    canary = "sk-canary-0123"
    places = [
        "models: {default: %s}",
        "models: {providers: {openai: {api: %s}}}",
        "agents: {list: [{id: %s, sponsor: %s}]}",
        "session: {dmScope: %s, mainKey: %s, identityLinks: {ana: [%s]}}",
        "gateway: {host: %s, port: %s, publicUrl: %s, trustedProxies: [%s]}",
        "database: {url: %s}",
        "bindings: [{agentId: %s, match: {channel: %s, account: %s}}]",
        "channels: {sms: {accounts: {a: {dmPolicy: %s, requireMention: %s, allowFrom: [%s]}}}}",
        "budgets: {default: {perDayUsd: %s}}",
        "storage: %s",
    ]
    for value in (canary, f"{canary}/x:y z", f"opn/{canary}", f"telegram@{canary}:x", f"pigeon:{canary}"):
        for place in places:
            lines = refused_or_nothing(tmp_path, place.replace("%s", '"${KEY}"'), {"KEY": value})
            assert canary not in "\n".join(lines)
    written = (
        "models: {sharedKeys: {k: {provider: openai, keyFrom: %s}}}",
        "channels: {webhook: {accounts: {a: {secret: %s}}}}",
        "channels: {webhook: {accounts: {a: %s}}}",
        "database: {url: 'mysql://u:%s@h/d'}",
        "gateway: {publicUrl: 'https://u:%s@h'}",
        "channels: {webhook: {accounts: {a: {secret: 0123456789abcdefg, callbackUrl: 'ftp://u:%s@h'}}}}",
        'channels: {webhook: {accounts: {a: {secret: "%s',
        "channels: {webhook: {accounts: {a: {secret: %s}: }}}",
    )
    for place in written:
        assert canary not in "\n".join(refused(tmp_path, place.replace("%s", canary)))


def refused_or_nothing(tmp_path: Path, text: str, environ: dict[str, str]) -> list[str]:
    path = tmp_path / "rookery.yaml"
    path.write_text(text)
    try:
        load(path, environ)
    except ConfigError as error:
        # A traceback printed with it would show what pydantic was given.
        return [*error.detail.split("\n"), "".join(traceback.format_exception(error))]
    return []


def test_a_variable_that_is_wrong_is_named(tmp_path: Path) -> None:
    """What stands in the file is shown in place of what the variable holds."""
    (line,) = refused(tmp_path, "session: {dmScope: '${SCOPE}'}", {"SCOPE": "canary"})

    assert line == (
        "rookery.yaml:1: session.dmScope must be one of main, per-peer, per-channel-peer, "
        "per-account-channel-peer, per-channel, not what '${SCOPE}' stands for"
    )


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: 1\nb: [1, 2\nc: 3\n", 3),
        ("a: 1\n---\nb: 2\n", 2),
        ("a: 1\nb: *nobody\n", 2),
        ("a: 1\n\tb: 2\n", 2),
        ("a: 1\n\nb: \x07\n", 3),
        ("[" * 3000, 1),
    ],
)
def test_what_is_not_yaml_is_told_where(tmp_path: Path, text: str, line: int) -> None:
    """The line where reading ended is named."""
    assert [part.split(" ")[0] for part in refused(tmp_path, text)] == [f"rookery.yaml:{line}:"]


def test_an_unquoted_variable_in_braces_is_explained(tmp_path: Path) -> None:
    """`{ key: ${NAME} }` is not YAML; the remedy is quotes."""
    (line,) = refused(tmp_path, "channels:\n  telegram: { accounts: { a: { botToken: ${TOKEN} } } }\n")

    assert line.startswith("rookery.yaml:2: the file is not YAML: ")
    assert line.endswith("put a value with ${…} in quotes")


def test_aliases_that_unfold_without_end_are_refused(tmp_path: Path) -> None:
    """Nine lines that stand for a billion values do not fill the memory."""
    text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
    text += "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 9))

    assert refused(tmp_path, text) == ["rookery.yaml:1: the file holds more than 50000 values"]


def test_what_cannot_be_read_is_said(tmp_path: Path) -> None:
    """A folder in the file's place, and bytes that are no text, are configuration errors too."""
    with pytest.raises(ConfigError, match=rf"^{tmp_path.name}:1: the file cannot be read: Is a directory$"):
        load(tmp_path, {})
    (tmp_path / "rookery.yaml").write_bytes(b"a: 1\nb: \xff\n")
    with pytest.raises(ConfigError, match=r"^rookery.yaml:2: the file is not UTF-8 from here on$"):
        load(tmp_path / "rookery.yaml", {})
