"""Identities: which address is which person."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, delete

from rookery import users
from rookery.errors import Conflict, InvalidInput, NotFound
from rookery.ids import UserId
from rookery.messages import Address
from rookery.storage import Database
from rookery.users import tables
from tests.users.conftest import NOW

ALICE, BOB = UserId("alice"), UserId("bob")


async def link(database: Database, user: UserId, channel: str, account: str | None, sender: str) -> users.Identity:
    return await database.write(lambda c: users.link(c, user, channel, account, sender, now=NOW))


async def who(database: Database, channel: str, account: str, sender: str) -> str | None:
    found = await database.read(lambda c: users.identify(c, Address(channel, account, sender)))
    return None if found is None else found.id


async def test_an_address_is_found_on_its_account_only(database: Database) -> None:
    """The same sender id on another account or channel is somebody else."""
    await link(database, ALICE, "webhook", "default", "42")

    assert await who(database, "webhook", "default", "42") == "alice"
    assert await who(database, "webhook", "other", "42") is None
    assert await who(database, "telegram", "default", "42") is None


async def test_an_address_without_account_holds_on_every_account(database: Database) -> None:
    """What a network-wide id is."""
    await link(database, ALICE, "telegram", None, "42")
    assert {await who(database, "telegram", account, "42") for account in ("default", "second")} == {"alice"}


_other = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), min_size=1, max_size=8)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(["Jose\u0301", "042", "a@example.org"]), _other)
async def test_nothing_but_the_exact_id_is_the_person(database: Database, known: str, other: str) -> None:
    """Case, composition, leading zeros, spaces: whatever differs by a byte is a stranger."""
    assume(other != known)
    await database.write(lambda c: c.execute(delete(tables.identities)))
    await link(database, ALICE, "telegram", None, known)
    for spelling in (known.upper(), f" {known}", f"{known} ", f"0{known}", "Jos\u00e9", other):
        if spelling != known:
            assert await who(database, "telegram", "default", spelling) is None
    assert await who(database, "telegram", "default", known) == "alice"


async def test_linking_twice_changes_nothing(database: Database) -> None:
    """The second time says the same, and there is one identity."""
    first = await link(database, ALICE, "telegram", None, "42")
    second = await link(database, ALICE, "telegram", None, "42")
    narrower = await link(database, ALICE, "telegram", "default", "42")

    assert first == second == narrower
    assert len(await database.read(users.list_identities)) == 1


async def test_widening_one_s_own_address_keeps_it_working(database: Database) -> None:
    """An address linked for one account, then for every account, is still exactly one person's.

    Both rows matched the sender on that account, and finding two broke every further message of hers.
    """
    await link(database, ALICE, "telegram", "default", "42")
    await link(database, ALICE, "telegram", None, "42")

    assert await who(database, "telegram", "default", "42") == "alice"
    assert await who(database, "telegram", "second", "42") == "alice"


@pytest.mark.parametrize(
    ("first", "second"), [(None, None), ("default", "default"), (None, "default"), ("default", None)]
)
async def test_an_address_that_overlaps_somebody_else_s_is_refused(
    database: Database, first: str | None, second: str | None
) -> None:
    """In both directions: one account against every account, and every account against one."""
    taken = await link(database, ALICE, "telegram", first, "42")
    with pytest.raises(Conflict) as refused:
        await link(database, BOB, "telegram", second, "42")

    assert refused.value.detail == f"Identity '{taken}' already belongs to 'alice'; unlink it there first."
    assert await who(database, "telegram", "default", "42") == "alice"
    assert await database.read(lambda c: users.list_identities(c, BOB)) == []


async def test_different_accounts_may_be_different_people(database: Database) -> None:
    """On a channel whose ids are per account, the same id on two accounts is two people."""
    await link(database, ALICE, "webhook", "default", "42")
    await link(database, BOB, "webhook", "other", "42")
    assert await who(database, "webhook", "default", "42") == "alice"
    assert await who(database, "webhook", "other", "42") == "bob"
    with pytest.raises(Conflict, match="already belongs to 'bob'"):
        await link(database, ALICE, "webhook", None, "42")


async def test_an_address_is_unlinked_as_it_was_linked(database: Database) -> None:
    """Only its owner's, only in that spelling; afterwards it is free for somebody else."""
    await link(database, ALICE, "telegram", "default", "42")
    for user, account in ((BOB, "default"), (ALICE, None)):
        with pytest.raises(NotFound, match=f"is not an address of '{user}'"):
            await database.write(
                lambda c, user=user, account=account: users.unlink(c, user, "telegram", account, "42")
            )
    await database.write(lambda c: users.unlink(c, ALICE, "telegram", "default", "42"))
    await link(database, BOB, "telegram", "default", "42")
    assert await who(database, "telegram", "default", "42") == "bob"


async def test_an_address_with_an_empty_part_is_refused(database: Database) -> None:
    """An empty account must never read as every account."""
    for channel, account, sender in (("", None, "1"), ("telegram", "", "1"), ("telegram", None, "")):
        with pytest.raises(InvalidInput):
            await link(database, ALICE, channel, account, sender)


async def test_an_address_needs_a_person(database: Database) -> None:
    """There is no user to link it to."""
    with pytest.raises(NotFound, match="'carol'"):
        await link(database, UserId("carol"), "telegram", None, "42")


async def test_addresses_are_listed_in_their_spelling(database: Database) -> None:
    """All, or one person's; each can be read back as it is written."""
    await link(database, BOB, "telegram", "second", "7")
    await link(database, ALICE, "telegram", None, "42")
    await link(database, ALICE, "email", None, "a@example.org")
    everybody = await database.read(users.list_identities)
    hers = await database.read(lambda c: users.list_identities(c, ALICE))

    assert [str(identity) for identity in everybody] == ["email:a@example.org", "telegram:42", "telegram@second:7"]
    assert [str(identity) for identity in hers] == ["email:a@example.org", "telegram:42"]


async def test_a_disabled_person_is_still_recognised(database: Database) -> None:
    """Whether they are let in is the gate's question; they never become a stranger."""
    await link(database, ALICE, "telegram", None, "42")

    def disable(connection: Connection) -> None:
        connection.execute(tables.users.update().where(tables.users.c.id == "alice").values(enabled=False))

    await database.write(disable)
    found = await database.read(lambda c: users.identify(c, Address("telegram", "default", "42")))
    assert found is not None
    assert not found.enabled


_account = st.sampled_from([None, "a", "b"])
_links = st.lists(st.tuples(st.sampled_from([ALICE, BOB]), _account, st.sampled_from(["1", "2"])), max_size=8)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(_links)
async def test_whatever_is_linked_an_address_is_at_most_one_person(
    database: Database, links: list[tuple[UserId, str | None, str]]
) -> None:
    """Any order of links leaves every address with the first person who got it, or nobody."""
    await database.write(lambda c: c.execute(delete(tables.identities)))
    owners: dict[tuple[str, str], str] = {}
    for user, account, sender in links:
        covered = [(name, sender) for name in ("a", "b", "c") if account in (None, name)]
        try:
            await link(database, user, "telegram", account, sender)
        except Conflict:
            assert any(owners.get(place, user) != user for place in covered)
        else:
            assert all(owners.get(place, user) == user for place in covered)
            owners |= dict.fromkeys(covered, user)
    for account in ("a", "b", "c"):
        for sender in ("1", "2"):
            assert await who(database, "telegram", account, sender) == owners.get((account, sender))
