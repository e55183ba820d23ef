"""`rookery user export` and `rookery user erase`."""

from __future__ import annotations

import json
import zipfile

from tests.cli.command import Rookery


def test_a_person_is_exported_into_a_new_file(house: Rookery) -> None:
    """One archive, for this user alone, and no file is ever written over."""
    file = house.home.path.parent / "alice.zip"
    ran = house("user", "export", "alice", str(file))
    assert (ran.status, ran.out) == (0, "")
    assert "alice can see" in ran.err
    assert file.stat().st_mode & 0o777 == 0o600
    with zipfile.ZipFile(file) as archive:
        assert archive.testzip() is None
        assert json.loads(archive.read("manifest.json"))["person"] == "alice"
        assert "rookery" in archive.read("README.txt").decode().lower()
    house("user", "export", "bob", str(file)).refused_with("is there already")
    house("user", "export", "bob", str(file.with_name("none") / "b.zip")).refused_with("no directory", "none")
    house("user", "export", "nadia", str(file.with_name("n.zip"))).refused_with("nadia")
    assert sorted(path.name for path in file.parent.glob("*.zip*")) == ["alice.zip"]
    assert [path.name for path in file.parent.iterdir() if "part" in path.name] == []


def test_a_person_is_erased_once_their_id_is_typed_again(house: Rookery) -> None:
    """A dry run changes nothing, another word neither; then they are gone, and the trail is whole."""
    would = house("user", "erase", "alice", "--dry-run")
    assert "Would go: alice" in would.out
    assert len(house("user", "list", "--json").json) == 2
    other = house("user", "erase", "alice", stdin="bob\n")
    assert (other.status, other.out) == (1, "")
    assert "not their id" in other.err
    assert len(house("user", "list", "--json").json) == 2
    gone = house("user", "erase", "alice", stdin="alice\n")
    assert gone.status == 0, gone
    assert "Gone: alice" in gone.out
    assert [one["id"] for one in house("user", "list", "--json").json] == ["bob"]
    verified = house("audit", "verify")
    assert verified.status == 0
    assert "lost their names" in verified.out


def test_the_log_is_cleared_without_a_gateway_too(rookery: Rookery) -> None:
    """The command that opens the state itself takes the lines out that an earlier gateway wrote."""
    for name in ("alice", "bob"):
        rookery("user", "add", name)
    log = rookery.home.log
    log.write_text('{"event":"x","principal":"user:alice"}\n{"event":"x","principal":"user:bob"}\n')
    log.with_name("rookery.jsonl.1").write_text('{"event":"x","sender":"alice"}\n')
    assert rookery("user", "erase", "alice", "--yes").status == 0
    assert "bob" in log.read_text()
    assert not [path for path in rookery.home.path.rglob("*") if path.is_file() and b"alice" in path.read_bytes()]
