"""Friends: a person's agents beside `main`, what can be said of them, and which answers in a chat."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from rookery import users
from rookery.errors import Conflict, InvalidId, InvalidInput, NotFound, QuotaReached
from rookery.ids import AgentId, UserId
from rookery.messages import Chat, ChatKind, Route
from rookery.storage import Database
from rookery.users import Agent, chosen, friends
from rookery.users.friend_ids import suggested_id
from rookery.users.who import check_who
from tests.users.conftest import NOW

ALICE, BOB = UserId("alice"), UserId("bob")
SABRINA = AgentId("alice--sabrina")


async def befriend(database: Database, owner: UserId, id: str | None, name: str, **said: Any) -> Agent:
    return await database.write(lambda c: users.add_friend(c, owner, id, name=name, now=NOW, **said))


def by(thread: str | None = None, chat: str = "1", channel: str = "telegram", account: str = "default") -> Route:
    return Route(channel, account, Chat(ChatKind.DM, chat), thread, chat, "m")


async def answers(database: Database, route: Route, owner: UserId = ALICE) -> tuple[str, bool]:
    def look(connection: Any) -> tuple[str, bool]:
        found = users.answering(connection, users.get_user(connection, owner), route)
        return found.agent.id, found.lost

    return await database.read(look)


async def choose(database: Database, route: Route, agent: AgentId, owner: UserId = ALICE) -> None:
    await database.write(lambda c: chosen.choose(c, users.get_user(c, owner), route, agent, NOW))


async def test_a_friend_is_an_agent_of_ones_own(database: Database) -> None:
    """It has an id under its person's, and keeps all that was said of it."""
    who = {"gender": "female", "roles": ["friend"], "response_length": "medium", "language": "zh"}
    made = await befriend(
        database,
        ALICE,
        "sabrina",
        "Sabrina",
        relation="friend",
        who=who,
        skills=["weather"],
        model="a/b",
        persona="Kind.",
    )
    assert (made.id, made.owner, made.sponsor, made.is_friend, made.shared) == (SABRINA, ALICE, None, True, False)
    assert (made.relation, made.skills, made.model, made.persona) == ("friend", ("weather",), "a/b", "Kind.")
    assert made.who == {"gender": "female", "roles": ["friend"], "language": "zh", "responseLength": "medium"}
    assert await database.read(lambda c: users.friends_of(c, ALICE)) == [made]
    assert await database.read(lambda c: users.friends_of(c, BOB)) == []
    main = await database.read(lambda c: users.get_agent(c, AgentId("alice")))
    assert not main.is_friend
    assert main.who is None


async def test_the_id_is_the_name_where_that_can_be_one(database: Database) -> None:
    """What does not fit is asked for with a suggestion, and never rewritten."""
    assert (await befriend(database, ALICE, None, "Sabrina")).id == "alice--Sabrina"
    for name, suggestion in {"张三": "friend", "Lena Maria": "Lena-Maria", "Сабрина": "Sabrina-2"}.items():
        with pytest.raises(InvalidId, match=repr(suggestion)) as refused:
            await befriend(database, ALICE, None, name)
        assert refused.value.suggestion == suggestion
        await befriend(database, ALICE, suggestion, name)
    for id in ("", "a--b", "main", "MAIN", "x" * 64, "ä", "a b", "-a"):
        with pytest.raises(InvalidId) as refused:
            await befriend(database, BOB, id, "Somebody")
        assert refused.value.suggestion


def test_suggestions_sound_like_the_name() -> None:
    """Where a script says how its letters sound, the suggestion can be read aloud."""
    heard = {"김민수": "gimminsu", "サブリナ": "saburina", "Щука": "Shchuka", "Ελένη": "Eleni", "Øyvind": "Oyvind"}
    assert {name: suggested_id(name, ()) for name in heard} == heard
    assert suggested_id("Zoë", ["zoe", "ZOE-2"]) == "Zoe-3"


async def test_ids_are_unique_regardless_of_case(database: Database) -> None:
    """Per person; another's friend may be called the same."""
    await befriend(database, ALICE, "sabrina", "Sabrina")
    with pytest.raises(Conflict, match="'alice--sabrina'"):
        await befriend(database, ALICE, "SABRINA", "Somebody else")
    assert (await befriend(database, BOB, "sabrina", "Sabrina")).id == "bob--sabrina"
    with pytest.raises(NotFound):
        await befriend(database, UserId("carol"), "sabrina", "Sabrina")


async def test_names_that_talk_could_not_tell_apart_are_refused(database: Database) -> None:
    """Neither another friend's name or id, nor the main agent's, nor a number; also when one is renamed."""
    await befriend(database, ALICE, "sabrina", "Sabrina Müller")
    alike = ("sabrina müller", "SABRINA  MU\u0308LLER", "Sabrina", "rookery", "Main", "ＭＡＩＮ")
    for name in alike:
        with pytest.raises(Conflict, match=r"cannot be told|first assistant"):
            await befriend(database, ALICE, "other", name)
    with pytest.raises(Conflict, match="cannot be told"):
        await befriend(database, ALICE, "rookery", "Somebody")
    for name in ("2", "٢", " ", "", "a\nb", "x" * 101):
        with pytest.raises(InvalidInput):
            await befriend(database, ALICE, "other", name)
    other = await befriend(database, ALICE, "other", "Other")
    with pytest.raises(Conflict, match="alice--sabrina"):
        await database.write(lambda c: users.change_friend(c, other.id, name="sabrina"))
    with pytest.raises(Conflict, match="alice--other"):
        await database.write(lambda c: users.change_friend(c, AgentId("alice"), name="Other"))
    assert (await befriend(database, BOB, "other", "Sabrina Müller")).name == "Sabrina Müller"


async def test_there_is_room_for_twenty(database: Database) -> None:
    """A person has at most so many; somebody else's do not count."""
    for number in range(friends.MOST_FRIENDS):
        await befriend(database, ALICE, f"f{number}", f"Friend {number}")
    with pytest.raises(QuotaReached, match="room for 20"):
        await befriend(database, ALICE, "one-more", "One more")
    assert await befriend(database, BOB, "f0", "Friend 0")


async def test_renaming_keeps_everything(database: Database) -> None:
    """The id stays, and with it all that belongs to it; what is not named stays too."""
    made = await befriend(database, ALICE, "sabrina", "Sabrina", relation="friend", who={"language": "de"})
    renamed = await database.write(lambda c: users.change_friend(c, SABRINA, name="Brina"))
    assert (renamed.id, renamed.name, renamed.relation, renamed.who) == (SABRINA, "Brina", "friend", made.who)
    cleared = await database.write(lambda c: users.change_friend(c, SABRINA, relation=None, who=None))
    assert (cleared.relation, cleared.who, cleared.name) == (None, None, "Brina")


@pytest.mark.parametrize(
    ("who", "where"),
    [
        ({"colour": "red"}, r"who\.colour .* gender, roles"),
        ({"roles": "friend"}, r"who\.roles is a list"),
        ({"roles": ["friend", 3]}, r"who\.roles\[1\] is text"),
        ({"language": "not a language"}, r"who\.language: 'not a language'"),
        ({"responseLength": "endless"}, r"who\.responseLength is 'endless'; it can be short, medium, long"),
        ({"gender": "a\nb"}, r"who\.gender holds"),
        ({"gender": 3}, r"who\.gender is text"),
        ({"description": "x" * 4001}, r"who\.description has 4001"),
        ({"responseLength": "short", "response_length": "long"}, r"who\.response_length says again"),
    ],
)
def test_what_a_friend_cannot_be_is_told_with_its_place(who: Mapping[str, object], where: str) -> None:
    """Unknown words and wrong values are refused, by name."""
    with pytest.raises(InvalidInput, match=where):
        check_who(who)


def test_who_is_kept_in_one_order() -> None:
    """The same facts are the same text, whatever order they came in; nothing said is nothing kept."""
    one = check_who({"language": "de", "roles": ["a", " "], "gender": None, "description": "Two\nlines."})
    assert list(one.items()) == [("roles", ["a"]), ("language", "de"), ("description", "Two\nlines.")]


async def test_who_was_chosen_answers_in_that_chat_alone(database: Database) -> None:
    """Another thread, chat, account, channel or person has its own choice; without one it is `main`."""
    await befriend(database, ALICE, "sabrina", "Sabrina")
    await choose(database, by(), SABRINA)
    assert await answers(database, by()) == (SABRINA, False)
    for other in (by("7"), by(chat="2"), by(channel="email"), by(account="second")):
        assert await answers(database, other) == ("alice", False)
    assert await answers(database, by(), BOB) == ("bob", False)
    await choose(database, by(), AgentId("alice"))
    assert await answers(database, by()) == ("alice", False)


async def test_whoever_is_gone_or_off_is_missed_until_that_was_told(database: Database) -> None:
    """The chat falls back to `main`, and the choice is there to be explained until it is forgotten."""
    await befriend(database, ALICE, "sabrina", "Sabrina")
    await choose(database, by(), SABRINA)
    await choose(database, by("7"), SABRINA)
    await database.write(lambda c: users.change_friend(c, SABRINA, enabled=False))
    assert await answers(database, by()) == ("alice", True)
    await database.write(lambda c: users.change_friend(c, SABRINA, enabled=True))
    assert await answers(database, by()) == (SABRINA, False)
    await database.write(lambda c: users.remove_friend(c, SABRINA))
    assert await answers(database, by()) == ("alice", True)
    await database.write(lambda c: chosen.forget(c, users.get_user(c, ALICE), by()))
    assert await answers(database, by()) == ("alice", False)
    assert await answers(database, by("7")) == ("alice", True)
    assert await database.read(lambda c: users.friends_of(c, ALICE)) == []


async def test_a_choice_that_is_somebody_elses_is_none(database: Database) -> None:
    """Whatever a row says, nobody is answered by an agent that is not theirs."""
    await befriend(database, ALICE, "sabrina", "Sabrina")
    await choose(database, by(), SABRINA, BOB)
    assert await answers(database, by(), BOB) == ("bob", True)


async def test_the_main_agent_is_no_friend_and_stays(database: Database) -> None:
    """It goes only with its person."""
    with pytest.raises(Conflict, match="no friend"):
        await database.write(lambda c: users.remove_friend(c, AgentId("alice")))


async def test_a_friend_is_called_by_number_name_id_or_as_main(database: Database) -> None:
    """Regardless of case and spaces; what means nobody means nobody."""
    await befriend(database, ALICE, "sabrina", "Sabrina Müller")
    await befriend(database, ALICE, "coach", "Coach")
    own = await database.read(lambda c: users.own_agents(c, ALICE))
    meant = {
        "1": "alice",
        "3": SABRINA,
        "main": "alice",
        "ROOKERY": "alice",
        "sabrina  müller": SABRINA,
        "Sabrina": SABRINA,
        "coach": "alice--coach",
        "0": None,
        "4": None,
        "9" * 5000: None,
        "bob": None,
        "alice--coach": None,
    }
    for words, id in meant.items():
        found = friends.called(words, own)
        assert (None if found is None else found.id) == id, words
