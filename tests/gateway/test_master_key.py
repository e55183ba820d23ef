"""The master key: where it lies, what is refused, and two of them during a rotation."""

from __future__ import annotations

import base64
import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from rookery.errors import ConfigError, RookeryError, StorageCorrupt, StorageUnavailable
from rookery.gateway.master_key import (
    FILE,
    OLD_VARIABLE,
    VARIABLE,
    EnvironmentKey,
    FileKey,
    KeyringKey,
    MasterKeySource,
    MemoryKey,
)
from tests.sessions.bad_disk import BadDisk

ONE, TWO = bytes(32), bytes(range(32))
NEXT = f"{FILE}.next"


class Ring:
    """A keyring in memory: all that the library's backends do."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, name: str, /) -> str | None:
        return self.kept.get((service, name))

    def set_password(self, service: str, name: str, password: str, /) -> None:
        self.kept[service, name] = password

    def delete_password(self, service: str, name: str, /) -> None:
        del self.kept[service, name]


Again = Callable[[], MasterKeySource]
"""The place as a process that has just started finds it."""


@pytest.fixture(params=["file", "keyring", "memory"])
def again(request: pytest.FixtureRequest, tmp_path: Path) -> Again:
    """Each place where we make the key ourselves."""
    ring, memory = Ring(), MemoryKey()
    match request.param:
        case "file":
            return lambda: FileKey(tmp_path)
        case "keyring":
            return lambda: KeyringKey(tmp_path, ring)
        case _:
            return lambda: memory


def test_it_is_made_once_and_stays(again: Again):
    """Before there is none; after, every start finds the same."""
    assert again().read() is None
    made = again().make()
    assert len(made.current) == 32
    assert again().read() == made


def test_a_rotation_goes_from_one_to_the_other(again: Again):
    """In between both are there; beginning again takes the one that was made."""
    old = again().make().current
    begun = again().begin()
    assert begun is not None
    assert begun.old == old
    assert begun.current != old
    assert again().read() == begun
    assert again().begin() == begun
    assert again().finish() == ""
    after = again().read()
    assert after is not None
    assert (after.current, after.old) == (begun.current, None)
    again_begun = again().begin()
    assert again_begun is not None
    assert again_begun.old == begun.current


def test_without_a_key_there_is_no_rotation(again: Again):
    """And none is made by trying."""
    assert again().begin() is None
    assert again().read() is None


def test_it_shows_itself_nowhere(again: Again):
    """Not in a traceback, not in a log of an object."""
    made = again().make()
    assert made.current.hex() not in repr(made)
    assert str(made.current) not in repr(made)


# --- the file ------------------------------------------------------------------------------------------------


def test_the_file_is_its_owners_alone(tmp_path: Path):
    """32 bytes that nobody else can read, and nothing left lying beside it."""
    FileKey(tmp_path).make()
    path = tmp_path / FILE
    assert path.stat().st_size == 32
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o700 | 0o010])
def test_a_file_that_others_can_read_is_refused(tmp_path: Path, mode: int):
    """With the command that makes it right."""
    path = tmp_path / FILE
    path.write_bytes(ONE)
    path.chmod(mode)
    with pytest.raises(StorageCorrupt, match="chmod 600"):
        FileKey(tmp_path).read()
    path.chmod(0o400)
    held = FileKey(tmp_path).read()
    assert held is not None
    assert held.current == ONE


@pytest.mark.parametrize("content", [b"", b"short", bytes(31), bytes(33), base64.b64encode(bytes(32))])
def test_a_file_that_holds_something_else_is_refused(tmp_path: Path, content: bytes):
    """What it holds is not said."""
    path = tmp_path / FILE
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(StorageCorrupt, match="32 bytes"):
        FileKey(tmp_path).read()
    with pytest.raises(StorageUnavailable):
        FileKey(tmp_path).make()
    assert path.read_bytes() == content


def test_a_link_or_a_directory_is_no_key(tmp_path: Path):
    """It is not followed, and not replaced."""
    (tmp_path / "elsewhere").write_bytes(ONE)
    path = tmp_path / FILE
    path.symlink_to(tmp_path / "elsewhere")
    for ask in (FileKey(tmp_path).read, FileKey(tmp_path).make):
        with pytest.raises(StorageUnavailable, match=FILE):
            ask()
    path.unlink()
    path.mkdir()
    with pytest.raises(StorageUnavailable, match=FILE):
        FileKey(tmp_path).read()


@pytest.mark.parametrize("moment", range(3))
def test_a_disk_that_fails_leaves_no_key(tmp_path: Path, moment: int):
    """Then none is used; whatever is there at the next attempt is whole."""
    with pytest.raises(StorageUnavailable, match="cannot be made"):
        FileKey(tmp_path, ops=BadDisk({moment: errno.ENOSPC}).ops).make()
    held = FileKey(tmp_path).read()
    if held is None:
        assert list(tmp_path.iterdir()) == []
        held = FileKey(tmp_path).make()
    assert FileKey(tmp_path).read() == held


def test_what_a_killed_process_left_is_no_key(tmp_path: Path):
    """A half-written one has another name, and is cleared away."""
    (tmp_path / f"{FILE}.unfinished").write_bytes(b"half")
    assert FileKey(tmp_path).read() is None
    FileKey(tmp_path).make()
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


def test_the_new_one_alone_is_the_key(tmp_path: Path):
    """Somebody who took the old one away has finished the rotation by hand."""
    source = FileKey(tmp_path)
    source.make()
    begun = source.begin()
    assert begun is not None
    (tmp_path / FILE).unlink()
    held = source.read()
    assert held is not None
    assert (held.current, held.old) == (begun.current, None)
    source.begin()
    assert (tmp_path / FILE).read_bytes() == begun.current


# --- the environment -----------------------------------------------------------------------------------------


def encoded(key: bytes) -> str:
    """As the operator writes it."""
    return base64.b64encode(key).decode()


@pytest.mark.parametrize("text", [encoded(TWO), base64.urlsafe_b64encode(TWO).decode(), f" {encoded(TWO)}\n"])
def test_the_environment_holds_it_in_base64(text: str):
    """Of either alphabet."""
    assert EnvironmentKey(text).read().current == TWO


@pytest.mark.parametrize(
    "text", ["", "x", encoded(bytes(31)), encoded(bytes(33)), TWO.hex(), encoded(TWO)[:-2] + "é"]
)
def test_what_is_no_key_is_refused_at_once(text: str):
    """Its words name the variable, and hold nothing of what stood there."""
    for given in ((text, None), (encoded(ONE), text)):
        with pytest.raises(ConfigError, match="base64") as refused:
            EnvironmentKey(*given)
        assert VARIABLE in refused.value.detail
        assert len(text) < 2 or text not in refused.value.detail


def test_without_the_variable_it_is_said_what_to_do():
    """At the first use."""
    with pytest.raises(ConfigError, match=f"{VARIABLE} is not set"):
        EnvironmentKey(None).read()


def test_the_operator_brings_both_for_a_rotation():
    """Without the old one there is nothing to go from; at the end it can be taken out."""
    with pytest.raises(ConfigError, match=OLD_VARIABLE):
        EnvironmentKey(encoded(TWO)).begin()
    source = EnvironmentKey(encoded(TWO), encoded(ONE))
    assert (source.begin().current, source.begin().old) == (TWO, ONE)
    assert OLD_VARIABLE in source.finish()
    assert EnvironmentKey(encoded(TWO), encoded(TWO)).read().old is None


def test_it_is_taken_out_of_the_environment(monkeypatch: pytest.MonkeyPatch):
    """No child inherits it."""
    monkeypatch.setenv(VARIABLE, encoded(TWO))
    monkeypatch.setenv(OLD_VARIABLE, encoded(ONE))
    held = EnvironmentKey.taken().read()
    assert (held.current, held.old) == (TWO, ONE)
    assert VARIABLE not in os.environ
    assert OLD_VARIABLE not in os.environ


# --- the keyring ---------------------------------------------------------------------------------------------


def test_each_home_has_its_own_entry(tmp_path: Path):
    """Two homes of one user do not take each other's."""
    ring = Ring()
    KeyringKey(tmp_path / "one", ring).make()
    assert KeyringKey(tmp_path / "two", ring).read() is None


@pytest.mark.parametrize("steps", [1, 2])
def test_a_keyring_that_dies_in_the_middle_of_the_end(tmp_path: Path, steps: int):
    """The new key is found whichever half was done, and the next rotation clears up."""
    ring = Ring()
    KeyringKey(tmp_path, ring).make()
    begun = KeyringKey(tmp_path, ring).begin()
    assert begun is not None
    if steps == 1:
        ring.set_password("rookery", str(tmp_path), encoded(begun.current))
    else:
        KeyringKey(tmp_path, ring).finish()
    held = KeyringKey(tmp_path, ring).read()
    assert held is not None
    assert (held.current, held.old) == (begun.current, None)
    once_more = KeyringKey(tmp_path, ring).begin()
    assert once_more is not None
    assert once_more.old == begun.current


def test_a_keyring_that_does_not_answer(tmp_path: Path):
    """Locked, or none at all: that is said, and nothing of what was asked."""

    class Locked(Ring):
        def get_password(self, service: str, name: str, /) -> str | None:
            raise RuntimeError(f"locked: {service} {name}")

    with pytest.raises(StorageUnavailable, match="does not answer"):
        KeyringKey(tmp_path, Locked()).read()


def test_something_else_in_the_keyring_is_no_key(tmp_path: Path):
    """It is not used, and not replaced."""
    ring = Ring()
    ring.set_password("rookery", str(tmp_path), "not a key")
    with pytest.raises(RookeryError, match="base64"):
        KeyringKey(tmp_path, ring).read()
