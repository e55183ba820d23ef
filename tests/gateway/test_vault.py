"""The vault: sealed keys are revealed where they belong, by a master key that is made when it is first needed."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from rookery.errors import StorageCorrupt, StorageUnavailable
from rookery.gateway import sealed
from rookery.gateway.keyring import profile_binding, shared_binding
from rookery.gateway.master_key import FILE, FileKey, Held, MemoryKey
from rookery.gateway.vault import REVEALED, Vault
from rookery.ids import AgentId
from rookery.sessions.profiles import Profile
from rookery.users import shared_keys
from tests.support.house import TestHouse

SECRET = "sk-Kanarie0123456789abcdef"
ALICE = AgentId("alice")
PLACE = profile_binding(ALICE, "openai", "default")


class Hidden(list[str]):
    """What was asked to be kept out of the log."""


@pytest.fixture
def hidden() -> Hidden:
    """Nothing yet."""
    return Hidden()


def vault_in(home: Path, hidden: Hidden) -> Vault:
    """As a process that has just started opens it."""
    return Vault(FileKey(home), hide=hidden.append)


async def test_a_home_without_sealed_keys_has_no_master_key(house: TestHouse):
    """It begins to be there with the first that is sealed, and a restart finds it."""
    await house.person("alice", telegram="a1")
    await house.telegram.says("a1", "hello")
    await house.idle()
    assert not (house.home / FILE).exists()
    text = await house.gateway.vault.seal(SECRET, PLACE)
    assert (house.home / FILE).stat().st_size == 32
    await house.restart()
    assert (await house.gateway.vault.reveal(text, PLACE)).secret == SECRET


async def test_what_is_sealed_or_revealed_is_kept_out_of_the_log(tmp_path: Path, hidden: Hidden):
    """From the moment on in which it is in memory."""
    text = await vault_in(tmp_path, hidden).seal(SECRET, PLACE)
    assert hidden == [SECRET]
    hidden.clear()
    await vault_in(tmp_path, hidden).reveal(text, PLACE)
    assert hidden == [SECRET]


async def test_a_key_of_another_place_is_not_revealed(tmp_path: Path, hidden: Hidden):
    """Also not when it was revealed in its own place just before."""
    vault = vault_in(tmp_path, hidden)
    text = await vault.seal(SECRET, PLACE)
    await vault.reveal(text, PLACE)
    for other in (
        profile_binding(AgentId("bob"), "openai", "default"),
        profile_binding(AgentId("alice--sabrina"), "openai", "default"),
        profile_binding(ALICE, "anthropic", "default"),
        shared_binding("openai", "default"),
    ):
        with pytest.raises(StorageCorrupt, match="another place"):
            await vault.reveal(text, other)


async def test_only_so_many_are_kept_in_memory(tmp_path: Path, hidden: Hidden):
    """Those used last; the others are opened again."""
    vault = vault_in(tmp_path, hidden)
    places = [profile_binding(ALICE, "openai", f"number{number}") for number in range(REVEALED + 10)]
    texts = [await vault.seal(f"{SECRET}{number}", place) for number, place in enumerate(places)]
    for _ in range(2):
        for number, (text, place) in enumerate(zip(texts, places, strict=True)):
            assert (await vault.reveal(text, place)).secret == f"{SECRET}{number}"
    assert len(vars(vault)["_revealed"]) == REVEALED
    vault.forget(ALICE)
    assert not vars(vault)["_revealed"]


async def test_many_at_once_make_one_master_key(tmp_path: Path, hidden: Hidden):
    """What each of them sealed is opened after a restart."""
    vault = vault_in(tmp_path, hidden)
    texts = await asyncio.gather(*(vault.seal(SECRET, PLACE) for _ in range(20)))
    again = vault_in(tmp_path, hidden)
    assert {(await again.reveal(text, PLACE)).secret for text in texts} == {SECRET}


async def test_a_master_key_that_is_gone_is_not_replaced(house: TestHouse, hidden: Hidden):
    """As long as something is sealed with it, neither a new one is made nor anything taken for lost."""
    await house.person("alice")
    database, brains = house.gateway.database, house.gateway.brains
    text = await house.gateway.vault.seal(SECRET, PLACE)
    async with brains.use(ALICE) as brain:
        kept = Profile("openai", "default", text, "cdef", house.clock.now())
        await brain.profiles.change(lambda _: [kept])
    away = (house.home / FILE).rename(house.home / "away")
    vault = Vault(
        FileKey(house.home), hide=hidden.append, anything_sealed=lambda: sealed.anything(database, brains)
    )
    for ask in (vault.seal("sk-another-one", PLACE), vault.reveal(text, PLACE), vault.begin()):
        with pytest.raises(StorageCorrupt, match="no master key"):
            await ask
    assert not (house.home / FILE).exists()
    away.rename(house.home / FILE)
    assert (await vault.reveal(text, PLACE)).secret == SECRET


async def test_a_wrong_master_key_opens_nothing(tmp_path: Path, hidden: Hidden):
    """That is said, and the secret is not."""
    text = await vault_in(tmp_path, hidden).seal(SECRET, PLACE)
    (tmp_path / FILE).write_bytes(bytes(32))
    with pytest.raises(StorageCorrupt, match="another master key") as refused:
        await vault_in(tmp_path, hidden).reveal(text, PLACE)
    assert SECRET not in refused.value.detail


async def test_a_place_that_cannot_be_read_is_asked_again(tmp_path: Path, hidden: Hidden):
    """A master key that could not be read once is not taken for one that never can be."""

    class Flaky(MemoryKey):
        fails = True

        def read(self) -> Held | None:
            if self.fails:
                raise StorageUnavailable("The disk is away.")
            return super().read()

    source = Flaky()
    vault = Vault(source, hide=hidden.append)
    with pytest.raises(StorageUnavailable):
        await vault.seal(SECRET, PLACE)
    source.fails = False
    assert (await vault.reveal(await vault.seal(SECRET, PLACE), PLACE)).secret == SECRET


async def test_the_library_is_not_imported_before_it_is_needed(tmp_path: Path):
    """A start without sealed keys does not pay for it."""
    program = "import sys, rookery.web.serve, rookery.gateway.vault; print('cryptography' in sys.modules)"
    said = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert said.stdout.strip() == "False"


async def test_shared_keys_are_found_and_forgotten_by_name(house: TestHouse):
    """One of a name there is replaced; what was changed meanwhile is not overwritten with what was."""
    database, now = house.database, house.clock.now()

    for name, text in (("team", "v1.a"), ("house", "v1.b"), ("team", "v1.c")):
        await database.write(
            lambda c, name=name, text=text: shared_keys.put_shared_key(
                c, name, provider="openai", sealed=text, last_four="cdef", added_by="operator", now=now
            )
        )
    found = await database.read(shared_keys.list_shared_keys)
    assert [(key.name, key.sealed) for key in found] == [("house", "v1.b"), ("team", "v1.c")]
    assert not await database.write(lambda c: shared_keys.reseal_shared_key(c, "team", "v1.a", "v1.d"))
    assert await database.write(lambda c: shared_keys.reseal_shared_key(c, "team", "v1.c", "v1.d"))
    await database.write(lambda c: shared_keys.remove_shared_key(c, "house"))
    assert [key.sealed for key in await database.read(shared_keys.list_shared_keys)] == ["v1.d"]
