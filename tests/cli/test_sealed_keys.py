"""The master key from the command line: what `rookery doctor` says of it, and `rookery key rotate-master`."""

from __future__ import annotations

import base64
import json
import os
import sys

import pytest

from tests.cli.command import Ran, Rookery

SECRET = "sk-Kanarie0123456789abcdef"
ONE, TWO = base64.b64encode(bytes(32)).decode(), base64.b64encode(bytes(range(32))).decode()


def found(ran: Ran, check: str) -> list[tuple[str, str]]:
    """What doctor said of something."""
    return [(one["level"], one["detail"]) for one in json.loads(ran.out) if one["check"] == check]


def test_a_rotation(house: Rookery) -> None:
    """The keys stay what they were, the old master key is gone, and doctor is content before and after."""
    assert house("key", "rotate-master").out.startswith("There is no master key yet")
    [(level, said)] = found(house("doctor", "--json"), "master key")
    assert (level, said[:12]) == ("ok", "There is non")
    assert house("key", "set", "alice", "openai", stdin=SECRET).status == 0
    assert house("key", "share", "team", "openai", stdin=SECRET).status == 0
    old = (house.home.path / "master.key").read_bytes()
    ran = house("key", "rotate-master")
    assert ran.status == 0
    assert "2 keys are sealed" in ran.out
    assert (house.home.path / "master.key").read_bytes() != old
    doctor = house("doctor", "--json")
    assert found(doctor, "sealed keys") == [("ok", "All 2 can be opened.")]
    assert SECRET not in doctor.out + ran.out + house("key", "list").out
    assert "key.rotateMaster" in house("audit", "list").out
    for path in house.home.path.rglob("*"):
        assert not path.is_file() or SECRET.encode() not in path.read_bytes(), path


def test_doctor_says_what_is_wrong_with_the_master_key(rookery: Rookery) -> None:
    """Readable for others, gone, or another one: each with what would be right, and how much hangs on it."""
    rookery("user", "add", "alice")
    rookery("key", "set", "alice", "openai", stdin=SECRET)
    path = rookery.home.path / "master.key"
    path.chmod(0o644)
    [(level, said)] = found(rookery("doctor", "--json"), "master key")
    assert level == "fail"
    assert "chmod 600" in said
    assert "1 sealed key cannot" in said
    path.chmod(0o600)
    kept = path.read_bytes()
    path.unlink()
    [(level, said)] = found(rookery("doctor", "--json"), "master key")
    assert level == "fail"
    assert "bring back" in said
    rookery("key", "set", "alice", "openai", "--profile", "second", stdin=SECRET).refused_with("no master key")
    path.write_bytes(bytes(32))
    path.chmod(0o600)
    ran = rookery("doctor", "--json")
    assert ran.status == 1
    [(level, said)] = found(ran, "sealed keys")
    assert level == "fail"
    assert "1 of 1 cannot be opened: profile 'openai/default' of 'alice'" in said
    path.write_bytes(kept)
    assert found(rookery("doctor", "--json"), "sealed keys")[0][0] == "ok"
    (rookery.home.path / "master.key.next").write_bytes(bytes(32))
    (rookery.home.path / "master.key.next").chmod(0o600)
    [(level, said)] = found(rookery("doctor", "--json"), "master key")
    assert level == "warn"
    assert "rotate-master" in said
    assert rookery("key", "rotate-master").status == 0
    assert found(rookery("doctor", "--json"), "master key")[0][0] == "ok"


def test_a_profile_file_that_cannot_be_read_is_found(rookery: Rookery) -> None:
    """By doctor, with its path."""
    rookery("user", "add", "alice")
    rookery("key", "set", "alice", "openai", stdin=SECRET)
    (rookery.home.agents / "alice" / "auth-profiles.json").write_text("{")
    [(level, said)] = found(rookery("doctor", "--json"), "sealed keys")
    assert level == "fail"
    assert "auth-profiles.json" in said


def test_a_master_key_from_the_environment(rookery: Rookery, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is used and gone from the environment; a new one is brought beside the old."""
    rookery("user", "add", "alice")
    rookery.configure("secrets: { masterKey: env }")

    def with_keys(*arguments: str, new: str | None = ONE, old: str | None = None, stdin: str = "") -> Ran:
        for name, value in (("ROOKERY_MASTER_KEY", new), ("ROOKERY_MASTER_KEY_OLD", old)):
            if value is not None:
                monkeypatch.setenv(name, value)
        ran = rookery(*arguments, stdin=stdin)
        assert not [name for name in os.environ if name.startswith("ROOKERY_MASTER_KEY")]
        return ran

    with_keys("key", "set", "alice", "openai", new=None, stdin=SECRET).refused_with(
        "ROOKERY_MASTER_KEY is not set"
    )
    assert with_keys("key", "set", "alice", "openai", stdin=SECRET).status == 0
    assert not (rookery.home.path / "master.key").exists()
    with_keys("key", "rotate-master").refused_with("ROOKERY_MASTER_KEY_OLD")
    with_keys("key", "list", new="nonsense").refused_with("base64")
    assert found(with_keys("doctor", "--json", new=TWO), "sealed keys")[0][0] == "fail"
    ran = with_keys("key", "rotate-master", new=TWO, old=ONE)
    assert "1 key is sealed" in ran.out
    assert "Take ROOKERY_MASTER_KEY_OLD out" in ran.out
    assert found(with_keys("doctor", "--json", new=TWO), "sealed keys") == [("ok", "All 1 can be opened.")]


def test_without_the_extra_the_keyring_is_said_to_need_it(
    rookery: Rookery, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the command that brings it."""
    rookery("user", "add", "alice")
    rookery.configure("secrets: { masterKey: keyring }")
    monkeypatch.setitem(sys.modules, "keyring", None)
    rookery("key", "set", "alice", "openai", stdin=SECRET).refused_with("rookery[keyring]")
