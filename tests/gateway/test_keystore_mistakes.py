"""Mistakes of keeping keys made on purpose: for each, the test that is to notice it does."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Generator, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from unittest.mock import patch

import pytest

from rookery.gateway import redaction
from rookery.gateway.master_key import FileKey
from rookery.gateway.redaction import Redaction
from rookery.sessions import disk
from rookery.storage import sealing
from rookery.storage.sealing import Binding
from rookery.storage.threads import WriterThreads
from tests.gateway import test_redaction, test_rotation
from tests.sessions import test_profiles
from tests.storage import test_sealing

Apply = Callable[[], AbstractContextManager[object]]


def _bound_otherwise(bound: Callable[[str, Binding], bytes]) -> Apply:
    return lambda: patch.object(sealing, "_bound_to", bound)


_without_the_agent = _bound_otherwise(lambda key, place: f"{key}|{place.purpose}|{place.name}".encode())
_joined_without_lengths = _bound_otherwise(
    lambda key, place: f"{key}{place.agent_id}{place.purpose}{place.name}".encode()
)


def _follows_a_link() -> AbstractContextManager[object]:
    return patch.object(disk, "_SAFE", os.O_CLOEXEC)


def _logs_what_was_revealed() -> AbstractContextManager[object]:
    def clean(_: Redaction, line: bytes) -> bytes:
        return line

    return patch.object(Redaction, "clean", clean)


def _looks_for_the_secret_as_it_is() -> AbstractContextManager[object]:
    def forms(secret: str) -> Iterator[bytes]:
        yield secret.encode()

    return patch.object(redaction, "_forms", forms)


@contextmanager
def _forgets_the_old_key_too_early() -> Generator[None]:
    """The new one is put in its place when the rotation begins."""
    real = FileKey.begin

    def begin(self: FileKey) -> object:
        held = real(self)
        self.finish()
        return held

    with patch.object(FileKey, "begin", begin):
        yield


def _moved() -> Awaitable[None]:
    async def test() -> None:
        test_sealing.test_a_key_that_was_moved_is_refused(Binding("bob", "profile", "openai/default"))

    return test()


def _alike() -> Awaitable[None]:
    async def test() -> None:
        test_sealing.test_places_that_read_alike_when_joined_are_not_alike()

    return test()


async def _links(directory: Path) -> None:
    threads = WriterThreads(1)
    try:
        agent = test_profiles.ALICE
        profiles = test_profiles.FileProfiles(directory / "alice", agent, threads)
        await profiles.change(test_profiles.put(test_profiles.profile()))
        await test_profiles.test_a_link_is_not_followed(
            directory / "alice" / test_profiles.FILE, threads, directory
        )
    finally:
        await threads.close()


async def _log(directory: Path) -> None:
    test_redaction.test_fifty_secrets_in_every_form(directory)


async def _killed(directory: Path) -> None:
    (directory / "agents").mkdir()
    await test_rotation.test_killed_at_every_step_nothing_is_lost(directory, None)


CAUGHT: list[tuple[Apply, Callable[[Path], Awaitable[None]]]] = [
    (_without_the_agent, lambda _: _moved()),
    (_joined_without_lengths, lambda _: _alike()),
    (_follows_a_link, _links),
    (_logs_what_was_revealed, _log),
    (_looks_for_the_secret_as_it_is, _log),
    (_forgets_the_old_key_too_early, _killed),
]


@pytest.mark.parametrize(
    ("apply", "test"),
    CAUGHT,
    ids=[
        "associated data without the agent",
        "associated data without lengths",
        "profile file followed through a link",
        "log of a revealed secret",
        "log of a revealed secret in another form",
        "old master key forgotten too early",
    ],
)
def test_a_mistake_is_noticed(apply: Apply, test: Callable[[Path], Awaitable[None]], tmp_path: Path):
    """Without it the test passes, with it the test fails."""

    def passes(directory: Path) -> bool:
        async def run() -> None:
            await test(directory)

        directory.mkdir()
        try:
            asyncio.run(run())
        except (Exception, pytest.fail.Exception):
            return False
        return True

    assert passes(tmp_path / "as it is")
    with apply():
        assert not passes(tmp_path / "with the mistake")
