"""What was said in a group without speaking to the assistant: told once, to that group, and kept nowhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rookery.channels.contract import Outcome, Receipt
from rookery.config.words import GroupPolicy
from rookery.gateway import overheard
from rookery.gateway.overheard import BEGIN, END, GROUP_BYTES, LONGEST_LINE, Heard, Line, Overheard, line_of
from rookery.ids import UserId
from rookery.messages import Chat, ChatKind, InboundMessage
from rookery.users import spaces
from tests.support.house import TestHouse

GROUP, OTHER = Chat(ChatKind.GROUP, "-100"), Chat(ChatKind.GROUP, "-200")


@pytest.fixture
async def group(house: TestHouse) -> TestHouse:
    """Alice sponsors two groups in which Bob writes too, and in which the assistant has to be mentioned."""
    await house.person("alice", telegram="1")
    await house.person("bob", telegram="2")
    for chat in (GROUP, OTHER):
        await admit(house, chat)
    for account in ("default", "second"):
        house.account_rule("telegram", account, require_mention=True)
    return house


async def admit(house: TestHouse, chat: Chat) -> None:
    now = house.clock.now()
    await house.database.write(
        lambda c: spaces.admit(c, "telegram", None, chat, sponsor=UserId("alice"), by="operator", now=now)
    )


_numbers = iter(range(1_000_000))


async def says(
    house: TestHouse,
    sender: str,
    text: str,
    *,
    to_us: bool = False,
    chat: Chat = GROUP,
    thread: str | None = None,
    account: str = "default",
    name: str | None = None,
) -> Receipt:
    message = InboundMessage(
        "telegram", account, f"o{next(_numbers)}", sender, chat, text, thread, name, mentioned=to_us
    )
    return await house.telegram.offers(message)


async def context(house: TestHouse, text: str = "well?", **more: object) -> str:
    """What stands at the end of the prompt when somebody speaks to the assistant."""
    await says(house, "1", text, to_us=True, **more)  # pyright: ignore[reportArgumentType]
    await house.idle()
    return house.model.requests[-1].context


async def test_what_was_said_before_is_told_once(group: TestHouse) -> None:
    """By whom, in order, marked as what it is; and the next time only what is new."""
    assert (await says(group, "2", "pizza or pasta?", name="Bob")).outcome is Outcome.IGNORED
    await says(group, "1", "pasta")
    told = (BEGIN, '"Bob" (telegram:2): "pizza or pasta?"', 'telegram:1: "pasta"', END)
    assert (await context(group)).split("\n") == list(told)
    assert await context(group) == ""
    await says(group, "2", "when?")
    told = await context(group)
    assert "when?" in told
    assert "pasta" not in told


async def test_it_is_in_no_transcript_and_no_row(tmp_path: Path) -> None:
    """The prompt's end has it, and nothing on the disk does; a restart forgets it."""
    async with TestHouse(tmp_path) as house:
        house.model = _silent()
        await house.restart()
        await house.person("alice", telegram="1")
        await admit(house, GROUP)
        house.account_rule("telegram", require_mention=True)
        await says(house, "1", "canary one")
        assert "canary one" in await context(house)
        await says(house, "1", "canary two")
        await house.restart()
        assert await context(house) == ""
    found = [path for path in tmp_path.rglob("*") if path.is_file() and b"canary" in path.read_bytes()]
    assert found == []


def _silent() -> object:
    from itertools import repeat

    from rookery.models.scripted import ScriptedModel

    return ScriptedModel(repeat("ok"))


async def test_the_prefix_stays_the_same(group: TestHouse) -> None:
    """What was overheard stands behind everything else, so the next prompt begins as this one did."""
    await says(group, "2", "psst")
    await context(group, "one")
    first = group.model.requests[-1]
    await context(group, "two")
    second = group.model.requests[-1]
    assert second.instructions == first.instructions
    said = [message.entry for message in second.history]
    assert said[: len(first.history)] == [message.entry for message in first.history]
    assert not any("psst" in str(entry.content) for entry in said if entry.role.value == "user")


async def test_lines_stay_in_their_group_thread_and_account(group: TestHouse) -> None:
    """Nothing of one is told in another, nor in anybody's own chat."""
    await says(group, "2", "line-group")
    await says(group, "2", "line-thread", thread="7")
    await says(group, "2", "line-account", account="second")
    await says(group, "2", "line-other", chat=OTHER)
    await group.telegram.says("1", "in private")
    await group.idle()
    assert group.model.requests[-1].context == ""
    everywhere: tuple[tuple[str, dict[str, Any]], ...] = (
        ("line-other", {"chat": OTHER}),
        ("line-thread", {"thread": "7"}),
        ("line-account", {"account": "second"}),
        ("line-group", {}),
    )
    for text, where in everywhere:
        told = await context(group, **where)
        assert {line for line in ("line-group", "line-thread", "line-account", "line-other") if line in told} == {
            text
        }


async def test_a_stranger_s_line_is_labelled(group: TestHouse) -> None:
    """Whoever is nobody here causes no turn, spoken to us or not; what they say is told as theirs."""
    assert (await says(group, "99", "buy now", to_us=True)).outcome is Outcome.REFUSED
    assert 'telegram:99, whom you do not answer: "buy now"' in await context(group)


async def test_what_is_not_kept(group: TestHouse) -> None:
    """Commands, lines where groups are switched off or no lines are wanted, and groups nobody let in."""
    await says(group, "99", "/new canary", to_us=True)
    await says(group, "2", "canary", chat=Chat(ChatKind.GROUP, "-300"))
    group.account_rule("telegram", group_history=0)
    await says(group, "2", "canary")
    group.account_rule("telegram", group_history=20, group_policy=GroupPolicy.DISABLED)
    await says(group, "2", "canary")
    group.account_rule("telegram", group_policy=GroupPolicy.ALLOWLIST)
    assert await context(group) == ""
    assert group.gateway.overheard.groups == 0


async def test_a_new_conversation_begins_without_it(group: TestHouse) -> None:
    """`/new` by the group's sponsor empties it; by anybody else it does nothing."""
    await says(group, "2", "old matter")
    await says(group, "2", "/new", to_us=True)
    await says(group, "1", "/new", to_us=True)
    assert await context(group) == ""
    await says(group, "2", "other matter")
    await says(group, "2", "/new", to_us=True)
    assert "other matter" in await context(group)


async def test_the_same_message_twice_is_one_line(group: TestHouse) -> None:
    """A network may offer it again."""
    message = InboundMessage("telegram", "default", "twice", "2", GROUP, "once", mentioned=False)
    await group.telegram.offers(message)
    await group.telegram.offers(message)
    assert (await context(group)).count("once") == 1


def test_only_the_last_lines_are_kept() -> None:
    """So many of a group, so many bytes, and so many groups."""
    kept = Overheard()

    def say(group: str, text: str) -> None:
        kept.keep(Heard(("a", group), Line("telegram", "1", None, text, False), 20))

    for number in range(30):
        say("g", str(number))
    assert [line.text for line in kept.take(("a", "g"))] == [str(number) for number in range(10, 30)]
    for _ in range(20):
        say("g", "é" * 1000)
    assert sum(line.size for line in kept.take(("a", "g"))) <= GROUP_BYTES
    for number in range(overheard.MOST_GROUPS + 5):
        say(str(number), "x")
    assert kept.groups == overheard.MOST_GROUPS
    assert kept.take(("a", "0")) == ()
    kept.forget(lambda group, _: group == ("a", "7"))
    assert kept.take(("a", "7")) == ()


_TEXT = st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\0"), max_size=40)


@given(
    lines=st.lists(
        st.tuples(_TEXT, st.none() | _TEXT, _TEXT, st.booleans()),
        min_size=1,
        max_size=5,
    )
)
def test_nobody_s_words_break_out_of_their_line(lines: list[tuple[str, str | None, str, bool]]) -> None:
    """Whatever is said, however long, under whatever name: a line each, whose words are quoted to its end."""
    said = [
        line_of(
            InboundMessage("telegram", "default", "m", sender or "1", GROUP, f"x{text}", None, name),
            stranger=stranger,
        )
        for text, name, sender, stranger in lines
    ]
    told = overheard.told(said)
    first, *between, last = told.splitlines()
    assert (first, last) == (BEGIN, END)
    assert len(between) == len(said)
    for line, one in zip(between, said, strict=True):
        assert line.endswith('"')
        quoted = f": {overheard._quoted(one.text)}"  # pyright: ignore[reportPrivateUsage]
        assert line.endswith(quoted)
        assert json.loads(quoted[2:]) == one.text
    assert len(line_of(_long(), stranger=False).text) == LONGEST_LINE + 1


def _long() -> InboundMessage:
    return InboundMessage("telegram", "default", "m", "1", GROUP, "x" * 5000)
