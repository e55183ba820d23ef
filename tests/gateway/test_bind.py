"""Bindings: the most specific rule picks the agent, whatever the order of the file."""

from __future__ import annotations

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rookery.errors import ConfigError
from rookery.gateway.bind import Binding, Bindings
from rookery.ids import AgentId
from rookery.messages import Chat, ChatKind

GROUP = Chat(ChatKind.GROUP, "-100")

# From the most specific to the least; all of them match thread 7 of the group on the account `work`.
TIERS = [
    Binding(AgentId("a"), "telegram", "work", ChatKind.GROUP, "-100", "7"),
    Binding(AgentId("b"), "telegram", None, ChatKind.GROUP, "-100", "7"),
    Binding(AgentId("c"), "telegram", "work", ChatKind.GROUP, "-100"),
    Binding(AgentId("d"), "telegram", None, ChatKind.GROUP, "-100"),
    Binding(AgentId("e"), "telegram", "work"),
    Binding(AgentId("f"), "telegram"),
]


@pytest.mark.parametrize("missing", range(len(TIERS) + 1))
def test_the_most_specific_rule_wins(missing: int) -> None:
    """With the most specific rules taken away one by one, the next one decides, and at last none."""
    rest = TIERS[missing:]

    assert Bindings(rest).find("telegram", "work", GROUP, "7") == (rest[0] if rest else None)


def test_the_order_of_the_file_says_nothing() -> None:
    """Every order of the same rules picks the same agent."""
    assert {Bindings(order).find("telegram", "work", GROUP, "7") for order in permutations(TIERS)} == {TIERS[0]}


@pytest.mark.parametrize(
    ("channel", "account", "chat", "thread", "agent"),
    [
        ("telegram", "work", GROUP, None, "c"),
        ("telegram", "work", GROUP, "8", "c"),
        ("telegram", "home", GROUP, "7", "b"),
        ("telegram", "home", GROUP, "8", "d"),
        ("telegram", "work", Chat(ChatKind.CHANNEL, "-100"), "7", "e"),
        ("telegram", "work", Chat(ChatKind.DM, "-100"), None, "e"),
        ("telegram", "home", Chat(ChatKind.GROUP, "-0100"), None, "f"),
        ("telegram", "Work", Chat(ChatKind.GROUP, "1"), None, "f"),
        ("discord", "work", GROUP, "7", None),
        ("Telegram", "work", GROUP, "7", None),
    ],
)
def test_a_rule_matches_exactly(
    channel: str, account: str, chat: Chat, thread: str | None, agent: str | None
) -> None:
    """Everything a rule names must be the message's own; what fits no rule is bound to nobody."""
    found = Bindings(TIERS).find(channel, account, chat, thread)

    assert (found.agent_id if found else None) == agent


@pytest.mark.parametrize("rule", TIERS, ids=str)
def test_two_rules_for_the_same_messages_are_refused(rule: Binding) -> None:
    """Which of two equal rules was meant, nobody can say; the error names both, also when they agree."""
    twin = Binding(
        AgentId("zoe"), rule.channel, rule.account, rule.peer_kind, rule.peer_id, rule.thread_id, "per-peer"
    )

    with pytest.raises(ConfigError, match=rf"'zoe'.*'{rule.agent_id}'"):
        Bindings([rule, twin])
    with pytest.raises(ConfigError, match=rf"'{rule.agent_id}'.*'{rule.agent_id}'"):
        Bindings([rule, rule])


@pytest.mark.parametrize(
    ("parts", "why"),
    [
        ({"account": ""}, "empty part"),
        ({"peer_kind": ChatKind.GROUP, "peer_id": ""}, "empty part"),
        ({"peer_kind": ChatKind.GROUP, "peer_id": "1", "thread_id": ""}, "empty part"),
        ({"peer_kind": ChatKind.GROUP}, "half a peer"),
        ({"peer_id": "1"}, "half a peer"),
        ({"thread_id": "7"}, "thread of no chat"),
    ],
)
def test_half_a_rule_is_refused(parts: dict[str, ChatKind | str], why: str) -> None:
    """An empty or missing part is an error, because it would make the rule match more than it says."""
    with pytest.raises(ConfigError, match=why):
        Binding(AgentId("a"), "telegram", **parts)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ConfigError, match="empty part"):
        Binding(AgentId("a"), "")


_small = st.sampled_from(["a", "b"])
_peer = st.tuples(st.none(), st.none()) | st.tuples(st.sampled_from(list(ChatKind)), _small)


@st.composite
def _rules(draw: st.DrawFn) -> list[Binding]:
    rules: dict[tuple[object, ...], Binding] = {}
    for number in range(draw(st.integers(0, 12))):
        kind, peer = draw(_peer)
        thread = draw(st.none() | _small) if peer else None
        account = draw(st.none() | _small)
        binding = Binding(AgentId(f"agent{number}"), draw(_small), account, kind, peer, thread)
        rules.setdefault((binding.channel, account, kind, peer, thread), binding)
    return list(rules.values())


@given(_rules(), _small, _small, st.builds(Chat, st.sampled_from(list(ChatKind)), _small), st.none() | _small)
def test_the_rule_found_is_the_best_of_all_that_match(
    rules: list[Binding], channel: str, account: str, chat: Chat, thread: str | None
) -> None:
    """Looking a rule up gives what going through all of them and taking the most specific would give."""

    def matches(rule: Binding) -> bool:
        return (
            rule.channel == channel
            and rule.account in (None, account)
            and (rule.peer_id is None or (rule.peer_kind, rule.peer_id) == (chat.kind, chat.id))
            and rule.thread_id in (None, thread)
        )

    def closeness(rule: Binding) -> tuple[bool, bool, bool]:
        return rule.thread_id is not None, rule.peer_id is not None, rule.account is not None

    expected = max(filter(matches, rules), key=closeness, default=None)
    assert Bindings(rules).find(channel, account, chat, thread) == expected
