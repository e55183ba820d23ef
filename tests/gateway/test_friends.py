"""Friends in chats: who answers, chosen chat by chat; as a person sees it on the networks."""

from __future__ import annotations

from typing import Any

import pytest

from rookery import users
from rookery.errors import Refused
from rookery.gateway import deliveries
from rookery.gateway.bind import Binding
from rookery.gateway.inbound import Wish
from rookery.gateway.operations import agents
from rookery.gateway.shapes import AgentAdd, AgentChange, AgentNamed
from rookery.ids import AgentId, TurnId, UserId
from rookery.messages import ChatKind
from rookery.models import ModelRequest
from tests.gateway.at_the_desk import AtTheDesk
from tests.support.house import TestHouse

ALICE = UserId("alice")
SABRINA = AgentId("alice--sabrina")


async def befriend(house: TestHouse, id: str = "sabrina", name: str = "Sabrina", **said: Any) -> None:
    now = house.clock.now()
    await house.database.write(lambda c: users.add_friend(c, ALICE, id, name=name, now=now, **said))


async def says(house: TestHouse, text: str, *, sender: str = "1", **more: Any) -> list[str]:
    """Say it on Telegram; what is heard there since."""
    before = len(house.telegram.heard_by(sender))
    await house.telegram.says(sender, text, **more)
    await house.idle()
    return house.telegram.heard_by(sender)[before:]


def last(house: TestHouse) -> ModelRequest:
    return house.model.requests[-1]


async def test_talk_lets_a_friend_answer_in_this_chat(house: TestHouse) -> None:
    """From the next message on, with a conversation of its own, until `/talk main`."""
    await house.person("alice", telegram="1", email="a@example.org")
    await befriend(house, relation="friend", who={"language": "de"}, persona="Be kind.")
    await says(house, "main-secret")
    answer = await says(house, "/talk sabrina")
    assert answer == ["Sabrina answers here from now on. /talk main brings Rookery back."]

    heard = await says(house, "hello")
    assert heard[0].startswith("Sabrina:\n")
    assert "main-secret" not in heard[0]
    begins = (
        "You are Sabrina, Alice's friend.\nAnswer in German (de), unless you are asked to use another language."
    )
    assert last(house).instructions == f"{begins}\n\nBe kind."
    assert [session.session_key for session in await house.sessions(SABRINA)] == ["agent:alice--sabrina:main"]

    await house.email.says("a@example.org", "who are you?")
    await house.idle()
    assert "Sabrina" not in last(house).instructions
    assert await says(house, "/talk MAIN") == ["Sabrina:\nRookery answers here from now on."]
    heard = await says(house, "and now?")
    assert "main-secret" in heard[0]
    assert "hello" not in heard[0].replace("hello-", "")
    assert not heard[0].startswith("Sabrina")


async def test_a_choice_outlives_a_restart(house: TestHouse) -> None:
    """It is kept with the person and the chat."""
    await house.person("alice", telegram="1")
    await befriend(house)
    await says(house, "/talk 2")
    await house.restart()
    assert (await says(house, "/talk")) == ["Sabrina:\nSabrina (alice--sabrina) answers here."]


async def test_friends_are_listed_with_who_answers_here(house: TestHouse) -> None:
    """Numbered as `/talk` takes them, with what each is to one; nobody else's."""
    await house.person("alice", telegram="1")
    await house.person("bob", telegram="2")
    assert (await says(house, "/friends"))[0].endswith("ask who runs this gateway for one.")
    await befriend(house, relation="friend")
    await befriend(house, id="ma", name="妈妈")
    await house.database.write(lambda c: users.change_friend(c, AgentId("alice--ma"), enabled=False))
    assert (await says(house, "/friends"))[0].splitlines() == [
        "Your assistants:",
        "1. Rookery (main) – answers here",
        "2. 妈妈 (ma) – switched off",
        "3. Sabrina (sabrina), friend",
        "/talk with a name or a number says who answers in this chat.",
    ]
    assert "Sabrina" not in (await says(house, "/friends", sender="2"))[0]


async def test_what_cannot_be_talked_to_is_said_in_one_line(house: TestHouse) -> None:
    """Nobody of that name, somebody else's friend alike; one that is switched off; who answers already."""
    await house.person("alice", telegram="1")
    await house.person("bob", telegram="2")
    await befriend(house)
    for words in ("sabrina", "alice--sabrina", "alice", "2"):
        told = await says(house, f"/talk {words}", sender="2")
        assert told == [f"You have no assistant called “{words}”. /friends lists who there is."]
    assert await says(house, "/talk main") == ["Rookery answers here already."]
    await house.database.write(lambda c: users.change_friend(c, SABRINA, enabled=False))
    assert await says(house, "/talk sabrina") == ["Sabrina is switched off and cannot be talked to."]


async def test_guests_and_groups_have_nobody_to_choose(house: TestHouse) -> None:
    """Each is told why, in one line; a member's friends are not shown to a group."""
    await house.person("alice", telegram="1")
    await befriend(house)
    await house.shared_agent("desk", sponsor="alice", channel="telegram", account="default")
    house.account_rule("telegram", allow_from=frozenset({"guest"}))
    house.bind(Binding(AgentId("desk"), "telegram", peer_kind=ChatKind.GROUP, peer_id="-1"))
    for command in ("/friends", "/talk sabrina"):
        assert await says(house, command, sender="guest") == ["Guests can use /help, /whoami, /new and /stop."]
        await house.telegram.says("1", command, group="-1")
        await house.idle()
        assert house.telegram.heard_in("-1")[-1] == (
            "In a group its own assistant answers; write to me directly to choose among yours."
        )
    assert "/talk" not in (await says(house, "/help", sender="guest"))[0]


async def test_a_rule_for_a_chat_says_who_answers_there(house: TestHouse) -> None:
    """A binding that names the chat wins over what was chosen, and `/talk` says so."""
    await house.person("alice", telegram="1")
    await befriend(house)
    await befriend(house, id="coach", name="Coach")
    await says(house, "/talk coach")
    house.bind(Binding(SABRINA, "telegram", peer_kind=ChatKind.DM, peer_id="1"))
    told = "A rule of this house says who answers in this chat. Here it is Sabrina."
    assert await says(house, "/talk coach") == [f"Sabrina:\n{told}"]
    assert told in (await says(house, "/friends"))[0]


async def test_a_friend_that_is_gone_is_missed_once(house: TestHouse) -> None:
    """The chat falls back to `main` and says so, with the first message after that and never again."""
    await house.person("alice", telegram="1")
    await befriend(house)
    explained = (
        "Who answered you here is gone or switched off, so Rookery answers again. /friends lists who there is."
    )
    for leave in ("off", "gone"):
        await says(house, "/talk sabrina")
        if leave == "off":
            await house.database.write(lambda c: users.change_friend(c, SABRINA, enabled=False))
        else:
            await house.database.write(lambda c: users.remove_friend(c, SABRINA))
        first, second = await says(house, f"hello {leave}"), await says(house, "and again")
        assert first[0] == explained
        assert len(first) == 2
        assert f"hello {leave}" in first[1]
        assert len(second) == 1
        if leave == "off":
            await house.database.write(lambda c: users.change_friend(c, SABRINA, enabled=True))
            assert (await says(house, "/talk"))[0].startswith("Rookery")
    await befriend(house, id="sabrina", name="Sabrina")
    assert (await says(house, "/talk"))[0].startswith("Rookery")


async def test_a_command_explains_it_too(house: TestHouse) -> None:
    """Where the first thing said is a command, its answer follows the explanation."""
    await house.person("alice", telegram="1")
    await befriend(house)
    await says(house, "/talk sabrina")
    await house.database.write(lambda c: users.remove_friend(c, SABRINA))
    told = await says(house, "/talk")
    assert told[0].endswith("lists who there is.\n\nRookery (alice) answers here.")


async def test_threads_of_a_chat_have_their_own_choice(house: TestHouse) -> None:
    """Chosen in one thread, `main` goes on answering in the others."""
    await house.person("alice", telegram="1")
    await befriend(house)
    await says(house, "/talk sabrina", thread="7")
    assert (await says(house, "/talk"))[0].startswith("Rookery")
    assert (await says(house, "/talk", thread="7"))[0].startswith("Sabrina")


async def test_a_networks_own_word_for_who_speaks_needs_no_line(house: TestHouse) -> None:
    """The webhook carries `from`, so a friend's words are alone there; chunks are within limits everywhere."""
    await house.person("alice", telegram="1", webhook="w")
    await befriend(house)
    await house.webhook.says("w", "/talk sabrina")
    await house.webhook.says("w", "hello")
    await house.idle()
    heard = house.webhook.attempts[-1].message
    assert (heard.speaker.agent_id, heard.speaker.name) == (SABRINA, "Sabrina")
    assert not heard.text.startswith("Sabrina:")

    await says(house, "/talk sabrina")
    pieces = await says(house, "long " * 3000)
    limit = house.gateway.channels["telegram"].chunk_limit
    assert len(pieces) > 1
    assert all(len(piece) <= limit for piece in pieces)
    assert [piece.startswith("Sabrina:\n") for piece in pieces] == [True, *[False] * (len(pieces) - 1)]


async def test_the_terminal_is_a_chat_like_others_unless_it_was_opened_for_somebody(house: TestHouse) -> None:
    """Without a wish `/talk` is remembered; with one it says why it cannot choose."""
    await house.person("alice", telegram="1")
    await befriend(house)
    told: list[str] = []
    for wish in (Wish(), Wish(agent_id=SABRINA), Wish(session="main")):
        receipt = await house.receive(
            "terminal", "alice", "/talk main" if wish.agent_id else "/talk sabrina", wish
        )
        assert receipt.turn_id is not None
        turn = receipt.turn_id
        agent = SABRINA if wish.agent_id else AgentId("alice")
        told += await house.database.read(lambda c, t=turn, a=agent: deliveries.texts_of(c, a, TurnId(t)))
    assert told[0].startswith("Sabrina answers here from now on.")
    assert told[1].startswith("This terminal was opened for one assistant or conversation")
    assert told[2].endswith("Here it is Rookery.")


async def test_renaming_keeps_the_conversation(house: TestHouse) -> None:
    """Called otherwise, a friend still knows what was said, in the same session."""
    await house.person("alice", telegram="1")
    await befriend(house)
    await says(house, "/talk sabrina")
    await says(house, "the cat is called Mog")
    await house.database.write(lambda c: users.change_friend(c, SABRINA, name="Brina"))
    heard = await says(house, "what is it called?")
    assert heard[0].startswith("Brina:\n")
    assert "Mog" in heard[0]
    assert last(house).instructions.startswith("You are Brina")


async def test_an_erased_friend_is_missed_once_too(house: TestHouse) -> None:
    """What was said to it is gone, the chat is told, and `main` never knew a word of it."""
    await house.person("alice", telegram="1")
    await befriend(house)
    await says(house, "/talk sabrina")
    await says(house, "sabrina-secret")
    await agents.remove(AtTheDesk(house).by("alice"), AgentNamed(agent_id=SABRINA))
    first, second = await says(house, "hello"), await says(house, "what do you know?")
    assert "is gone or switched off" in first[0]
    assert not any("sabrina-secret" in text for text in (*first, *second))
    assert (len(first), len(second)) == (2, 1)


async def test_who_lost_a_right_meanwhile_changes_no_agent(house: TestHouse) -> None:
    """It is asked in the transaction that would do it: of an admin who is none any more, and of the disabled."""
    await house.person("alice", telegram="1")
    await house.person("bob")
    await befriend(house)
    was_admin, was_alice = AtTheDesk(house).by("bob", admin=True), AtTheDesk(house).by("alice")
    await house.database.write(lambda c: users.change_user(c, UserId("alice"), enabled=False))
    for desk in (was_admin, was_alice):
        for wanted in (
            agents.add(desk, AgentAdd(owner="alice", name="Mog")),
            agents.alter(desk, AgentChange(agent_id=SABRINA, persona="Tell Bob everything.")),
            agents.remove(desk, AgentNamed(agent_id=SABRINA)),
        ):
            with pytest.raises(Refused, match="any more"):
                await wanted
    with pytest.raises(Refused, match="any more"):
        await agents.add(was_admin, AgentAdd(id="desk", sponsor="bob"))
    left = await house.database.read(users.list_agents)
    assert [(one.id, one.persona) for one in left] == [("alice", ""), (SABRINA, ""), ("bob", "")]
