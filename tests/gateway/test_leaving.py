"""Leaving: everything of one person out, everything of one person gone, and everybody else as they were."""

from __future__ import annotations

import asyncio
import csv
import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from sqlalchemy import Connection, func, select

from rookery import users
from rookery.errors import Conflict, InvalidInput, NotFound, WrongLogin
from rookery.gateway import audit, tables
from rookery.gateway.leaving.erasing import begin_person
from rookery.gateway.leaving.stores import TABLES, End, part_of_brain
from rookery.gateway.log import JsonLog
from rookery.gateway.operations import leaving
from rookery.gateway.operations.people import change
from rookery.gateway.shapes import MeErase, UserChange, UserErase, UserNamed
from rookery.ids import UserId
from rookery.models.scripted import ScriptedModel, Step
from rookery.sessions.tables import content_metadata
from rookery.storage import metadata
from rookery.usage.ledger import ledger
from tests.gateway.a_life import Life, bytes_under, found_under, furnish, live, rows
from tests.gateway.at_the_desk import PASSWORD, AtTheDesk
from tests.isolation import canaries
from tests.support.house import TestHouse


@pytest.fixture
def desk(house: TestHouse) -> AtTheDesk:
    """Where the operator sits."""
    return AtTheDesk(house)


@pytest.fixture
async def lives(house: TestHouse) -> tuple[Life, Life]:
    """Alice and Bob, who both used everything there is."""
    await furnish(house)
    return await live(house, "alice", 1), await live(house, "bob", 2)


def test_every_table_and_every_part_of_a_brain_says_what_becomes_of_it() -> None:
    """A table that is added without saying what of a person is in it, and how that goes, fails here."""
    assert TABLES.keys() == metadata.tables.keys() | content_metadata.tables.keys()
    for name, store in TABLES.items():
        table = metadata.tables.get(name)
        if table is None:
            assert store.end is End.WITH_THE_BRAIN, name
        elif store.end in (End.DELETED, End.TOMBSTONE) and name != "erasures":
            assert store.mine is not None, f"{name} does not say whose a row is"
            assert store.file is not None, f"{name} does not come out"
            assert set(store.hidden) <= {column.name for column in table.columns}, name


async def test_nobody_keeps_anything_in_a_part_of_a_brain_that_is_not_named(
    house: TestHouse, lives: tuple[Life, Life]
) -> None:
    """Whatever lies in a brain's directory belongs to a part that export and erasure know."""
    del lives
    agents = house.home / "agents"
    found = [path for brain in agents.iterdir() for path in brain.iterdir()] if agents.exists() else []
    assert [str(path) for path in found if part_of_brain(path.name) is None] == []


async def test_an_export_holds_everything_of_a_person_and_nothing_of_another(
    house: TestHouse, desk: AtTheDesk, lives: tuple[Life, Life]
) -> None:
    """Every word from every surface, whole files that are what the manifest says; and no secret."""
    alice, bob = lives
    data = b"".join([part.data async for part in leaving.export(desk.operator, UserNamed(user_id="alice"))])
    archive = zipfile.ZipFile(io.BytesIO(data))
    assert archive.testzip() is None
    held = {name: archive.read(name) for name in archive.namelist()}
    everything = b"\n".join(name.encode() + b"\n" + content for name, content in held.items())

    found = canaries.found_in(everything)
    missing = {where for where, word in alice.said.items() if word.lower() not in {one.lower() for one in found}}
    on_disk = {"workspace/notes/a.md", "memory/facts.jsonl", "logs/trace.jsonl"}
    assert missing == set()
    assert on_disk <= alice.said.keys() or house.database.dialect == "postgresql"
    assert bob.words.isdisjoint(one.lower() for one in found)
    assert b"$hash" not in everything
    assert b"sealed" not in held["agents/alice/keys.jsonl"]

    manifest = json.loads(held["manifest.json"])
    assert {one["path"] for one in manifest["files"]} == held.keys() - {"manifest.json"}
    for one in manifest["files"]:
        content = held[one["path"]]
        assert (one["size"], one["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
    for name in held:
        assert not name.startswith("/")
        assert ".." not in name.split("/")
    calls = list(csv.DictReader(io.StringIO(held["usage/calls.csv"].decode())))
    assert {call["user_id"] for call in calls} <= {"alice", "carol"}
    assert ("operator", "alice", "user.export", "alice", "allowed") in await desk.record()


async def test_nobody_exports_somebody_else(desk: AtTheDesk, lives: tuple[Life, Life]) -> None:
    """Admins neither; one's own leaves no mark."""
    del lives
    for one in (desk.by("bob"), desk.by("carol", admin=True)):
        with pytest.raises(NotFound, match="alice"):
            await anext(leaving.export(one, UserNamed(user_id="alice")))
    parts = [part async for part in leaving.export(desk.by("alice"), UserNamed(user_id="alice"))]
    assert parts
    assert "user.export" not in {action for _, _, action, _, _ in await desk.record()}


async def test_erased_is_gone_from_every_byte_and_every_row(
    house: TestHouse, desk: AtTheDesk, lives: tuple[Life, Life]
) -> None:
    """Not a word, name or id of hers is left in a file, a freed page, the log or a table; what she cost stays."""
    alice, bob = lives
    before = await _spent(house)
    others = {name: data for name, data in bytes_under(house.home / "agents") if name.startswith("bob")}

    await leaving.erase(desk.operator, UserErase(user_id="alice"))

    left = await rows(house)
    assert {name: found for name, texts in left.items() if (found := _of(alice, " ".join(texts)))} == {}
    named = {name: [row for row in texts if "alice" in row] for name, texts in left.items()}
    assert {name: found for name, found in named.items() if found} == {}
    assert {
        name: found & alice.words for name, found in _lower(found_under(house.home)).items() if found & alice.words
    } == {}
    assert [name for name, data in bytes_under(house.home) if b"alice" in data] == []
    assert await _spent(house) == before
    assert {name: data for name, data in bytes_under(house.home / "agents") if name.startswith("bob")} == others
    assert bob.words & {one.lower() for one in canaries.found_in(json.dumps(left))}
    trail = await house.database.read(lambda connection: audit.verify(connection, []))
    assert trail is None


async def test_what_was_said_to_others_stays_theirs(
    house: TestHouse, desk: AtTheDesk, lives: tuple[Life, Life]
) -> None:
    """In a group her words go, and those of others and the answers to them stay; nobody gains a conversation."""
    _, bob = lives
    [group] = [agent for agent in await house.database.read(users.list_agents) if agent.of_a_group]
    [session] = await house.sessions(group.id)
    before = await house.entries(group.id, session.session_id)

    await leaving.erase(desk.operator, UserErase(user_id="alice"))

    after = await house.entries(group.id, session.session_id)
    assert [entry.id for entry in after] == [entry.id for entry in before]
    said = " ".join(str(entry.content) for entry in after)
    assert "[erased]" in said
    assert bob.said["in the group"] in said
    await house.telegram.says(bob.sender, "and you?")
    await house.idle()


async def test_the_trail_shows_who_took_names_out_of_it_and_whether_somebody_else_did(
    house: TestHouse, desk: AtTheDesk, lives: tuple[Life, Life]
) -> None:
    """A row that lost its names without an erasure that vouches for it, or with another time, breaks the trail."""
    del lives
    await leaving.erase(desk.operator, UserErase(user_id="alice"))
    await leaving.erase(desk.operator, UserErase(user_id="bob"))
    assert await house.database.read(lambda c: audit.verify(c, [])) is None
    erased = await house.database.read(lambda c: audit.rows(c, audit.Wanted(action="user.erased"), 10))
    assert len(erased) == 2

    seqs = await house.database.read(
        lambda c: list(c.execute(select(tables.audit.c.seq, tables.audit.c.redacted)).all())
    )
    redacted = [seq for seq, by in seqs if by]
    plain = [seq for seq, by in seqs if not by]
    one = tables.audit.update()
    for seq, changes in (
        (redacted[0], {"decision": "denied"}),
        (redacted[0], {"redacted": None}),
        (redacted[0], {"hash": "0" * 64}),
        (plain[0], {"redacted": erased[0].row.object.partition(" ")[0]}),
        (plain[0], {"redacted": "~erased-mine", "object": "erased"}),
    ):

        def tamper(connection: Connection, seq: int = seq, changes: Mapping[str, object] = changes) -> None:
            connection.execute(one.where(tables.audit.c.seq == seq).values(changes))
            broken = audit.verify(connection, [])
            raise _Undone(broken is not None)

        with pytest.raises(_Undone) as undone:
            await house.database.write(tamper)
        assert undone.value.noticed, changes
    cut = redacted[-1]

    def cut_off(connection: Connection) -> None:
        connection.execute(tables.audit.delete().where(tables.audit.c.seq == cut))
        raise _Undone(audit.verify(connection, []) is not None)

    with pytest.raises(_Undone) as undone:
        await house.database.write(cut_off)
    assert undone.value.noticed


async def test_an_erasure_that_was_begun_is_ended_by_the_next_start(
    house: TestHouse, desk: AtTheDesk, lives: tuple[Life, Life]
) -> None:
    """From its first transaction on nothing of theirs is taken in, and nobody brings them back."""
    alice, _ = lives
    await house.database.write(lambda c: begin_person(c, house.gateway, UserId("alice"), "operator", None))
    with pytest.raises(Conflict, match="being erased"):
        await change(desk.operator, UserChange(user_id="alice", enabled=True))
    await house.telegram.says(alice.sender, "still there?")
    await house.idle()
    await house.crash()
    assert "alice" not in [user.id for user in await house.database.read(users.list_users)]
    assert await house.database.read(lambda c: c.scalar(select(func.count()).select_from(tables.erasures))) == 0
    assert [name for name, data in bytes_under(house.home) if b"alice" in data] == []


async def test_what_is_being_answered_is_stopped(house: TestHouse, desk: AtTheDesk) -> None:
    """Erasing somebody whose turn runs waits for no model, and leaves nothing of it."""
    await furnish(house)
    await house.person("alice", telegram="a1")
    started = house.model = ScriptedModel([Step(text="never", before=asyncio.Event())])
    await house.telegram.says("a1", "a long story")
    await house.telegram.says("a1", "and another")
    while not started.requests:
        await asyncio.sleep(0)
    await leaving.erase(desk.operator, UserErase(user_id="alice"))
    await house.idle()
    assert house.telegram.heard_by("a1") == []
    assert [row for texts in (await rows(house)).values() for row in texts if "alice" in row] == []


async def test_the_id_can_be_somebody_elses_again(
    house: TestHouse, desk: AtTheDesk, lives: tuple[Life, Life]
) -> None:
    """A new person of the same id finds nothing of the one before: no session, no usage, no record."""
    alice, _ = lives
    await leaving.erase(desk.operator, UserErase(user_id="alice"))
    await house.person("alice", telegram=alice.sender)
    await house.telegram.says(alice.sender, "hello again")
    await house.idle()
    assert _of(alice, " ".join(house.telegram.heard_by(alice.sender)[-1:])) <= {alice.said["sender id"].lower()}
    assert len(await house.sessions("alice")) == 1
    paid = await house.database.read(
        lambda c: c.scalar(select(func.count()).select_from(ledger).where(ledger.c.user_id == "alice"))
    )
    assert paid == 1


async def test_who_sponsors_something_hands_it_over_first(house: TestHouse, desk: AtTheDesk) -> None:
    """Nothing of a group's or a shared agent's goes with the one who answers for it."""
    await furnish(house)
    with pytest.raises(Conflict, match=r"telegram:-100.*helpdesk.*--hand-over-to"):
        await leaving.erase(desk.operator, UserErase(user_id="carol"))
    assert (await desk.user("carol")).enabled
    with pytest.raises(Conflict, match="somebody else"):
        await leaving.erase(desk.operator, UserErase(user_id="carol", hand_over_to="carol"))
    await leaving.erase(desk.operator, UserErase(user_id="carol", hand_over_to="dan"))
    sponsors = {agent.sponsor for agent in await house.database.read(users.list_agents) if agent.shared}
    assert sponsors == {"dan"}


async def test_the_last_admin_stays(house: TestHouse, desk: AtTheDesk) -> None:
    """Somebody has to be able to let the next one in."""
    await house.person("carol", admin=True)
    with pytest.raises(Conflict, match="last admin"):
        await leaving.erase(desk.operator, UserErase(user_id="carol"))


async def test_people_erase_themselves_with_their_password(house: TestHouse, desk: AtTheDesk) -> None:
    """A borrowed device is not enough, and everything open is closed."""
    await furnish(house)
    await house.person("alice")
    await desk.password("alice")
    secret = (await desk.login("alice")).secret
    caller = await desk.caller(secret)
    assert caller is not None
    with pytest.raises(InvalidInput, match="DELETE /api/me"):
        await leaving.erase(desk.by("alice"), UserErase(user_id="alice"))
    with pytest.raises(WrongLogin):
        await leaving.erase_me(desk.by("alice"), MeErase(password="a wrong one here"), caller)
    with desk.told() as heard:
        await leaving.erase_me(desk.by("alice"), MeErase(password=PASSWORD), caller)
    assert ("alice", None) in heard
    assert await desk.caller(secret) is None
    assert [row for texts in (await rows(house)).values() for row in texts if "alice" in row] == []


async def test_a_dry_run_only_counts(house: TestHouse, desk: AtTheDesk, lives: tuple[Life, Life]) -> None:
    """It says what would go, and nothing is different."""
    del lives
    before = await rows(house)
    would = await leaving.erase(desk.operator, UserErase(user_id="alice", dry_run=True))
    assert (would.done, would.agents) == (False, ("alice", "alice--pal"))
    assert would.rows["turns"] >= 6
    assert await rows(house) == before


async def test_people_are_told_what_is_kept_of_them(house: TestHouse, lives: tuple[Life, Life]) -> None:
    """In a chat of theirs; in a group nothing of it is said."""
    alice, _ = lives
    await house.telegram.says(alice.sender, "/privacy")
    await house.telegram.says(alice.sender, "/export")
    await house.idle()
    privacy, export = house.telegram.heard_by(alice.sender)[-2:]
    assert "1 address" in privacy
    assert "Whoever runs the machine could" in privacy
    assert "rookery user export alice" in export


async def test_lines_of_the_log_that_name_somebody_go(tmp_path: Path) -> None:
    """From the rotated files too; what is logged meanwhile is kept."""
    log = JsonLog(tmp_path / "rookery.jsonl", max_bytes=2000)
    for number in range(40):
        log.info("turn.done", user=("alice", "bob")[number % 2], number=number)
    log.flush()
    forgetting = asyncio.create_task(log.forget(lambda line: b"alice" in line))
    await asyncio.sleep(0)
    log.warning("while.forgetting", user="bob")
    assert await forgetting > 0
    log.info("later", user="bob")
    log.close()
    kept = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"alice" not in kept
    assert kept.count(b"bob") >= 15
    assert b"while.forgetting" in kept
    assert b"later" in kept


class _Undone(Exception):
    """Takes back what was tried, with whether it was noticed."""

    def __init__(self, noticed: bool) -> None:
        super().__init__()
        self.noticed = noticed


async def _spent(house: TestHouse) -> tuple[object, ...]:
    def look(connection: Connection) -> tuple[object, ...]:
        c = ledger.c
        sums = select(func.count(), func.sum(c.input_tokens), func.sum(c.output_tokens), func.sum(c.nano_usd))
        return tuple(connection.execute(sums).one())

    return await house.database.read(look)


def _of(life: Life, text: str) -> set[str]:
    return life.words & {one.lower() for one in canaries.found_in(text)}


def _lower(found: dict[str, set[str]]) -> dict[str, set[str]]:
    return {name: {one.lower() for one in words} for name, words in found.items()}
