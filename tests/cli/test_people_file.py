"""`rookery user apply`: a family described in one file, and what becomes of it."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from tests.cli.command import Rookery, running
from tests.config.people_files import HASH, HOMECLAW
from tests.support.databases import fresh_database

FAMILY = """\
users:
  - id: alice
    name: Alice
    role: admin
    timezone: Europe/Madrid
    language: es
    email: [alice@example.org]
    im: ["telegram:12345"]
    friends:
      - { name: Sabrina, id: sabrina, relation: friend, who: { language: zh, roles: [friend] } }
  - id: bob
    name: Bob
    im: ["telegram:777"]
    permissions: [im, web]
    budget: { perDayUsd: 2, perDayTokens: 100000 }
"""


@pytest.fixture(params=["sqlite", "sqlite, running", "postgresql"])
def empty(request: pytest.FixtureRequest, rookery: Rookery) -> Generator[Rookery]:
    """Commands on a home with nobody in it, on both databases, and where a gateway runs."""
    if request.param == "postgresql":
        with fresh_database() as database:
            url = database.app_url.replace("+asyncpg", "")
            rookery.configure(f'database: {{ url: "{url}" }}')
            yield rookery
    elif request.param == "sqlite":
        yield rookery
    else:
        rookery.configure("")
        with running(rookery.home):
            yield rookery


def _write(rookery: Rookery, text: str, name: str = "users.yaml") -> str:
    path = rookery.home.path.parent / name
    path.write_text(text)
    return str(path)


def test_a_family_in_one_file(empty: Rookery) -> None:
    """The file is rehearsed, applied, and applied again, which changes nothing; then everybody is there."""
    file = _write(empty, FAMILY)
    rehearsed = empty("user", "apply", file, "--dry-run")
    assert rehearsed.status == 0, rehearsed
    assert rehearsed.out == (
        "alice: new, admin\n"
        "alice: address + email:alice@example.org\n"
        "alice: address + telegram:12345\n"
        "alice: new friend alice--sabrina\n"
        "bob: new, member\n"
        "bob: permissions + im, web\n"
        "bob: address + telegram:777\n"
        "bob: budget + $2.00 a day, 100000 tokens a day\n"
        "users.yaml: 2 people, 8 changes to make. Nothing was changed.\n"
    )
    assert empty("user", "list", "--json").json == []

    applied = empty("user", "apply", file)
    assert applied.out.replace("made.", "to make. Nothing was changed.") == rehearsed.out
    assert "budget is kept, and not enforced in this version" in applied.err

    alice, bob = empty("user", "list", "--json").json
    assert (alice["name"], alice["role"], alice["timezone"], alice["language"]) == (
        "Alice",
        "admin",
        "Europe/Madrid",
        "es",
    )
    assert alice["agents"] == ["alice", "alice--sabrina"]
    assert (alice["fromFile"], bob["fromFile"]) == (True, True)
    assert bob["permissions"] == ["im", "web"]
    listed = empty("identity", "list", "--json").json
    assert {(one["userId"], one["channel"], one["sender"]) for one in listed} == {
        ("alice", "email", "alice@example.org"),
        ("alice", "telegram", "12345"),
        ("bob", "telegram", "777"),
    }
    assert "They are described in the people file." in empty("user", "show", "alice").out

    again = empty("user", "apply", file)
    assert again.out == "users.yaml: 2 people, nothing to change.\n"


def test_what_the_file_changes_and_what_it_leaves(house: Rookery) -> None:
    """People who were there are adopted; what is not said of them stays as it is."""
    house("identity", "link", "alice", "telegram", "99")
    file = _write(house, "users: [{ id: alice, name: Alicia, im: ['telegram:12345'] }, { id: bob }]")
    applied = house("user", "apply", file)
    assert applied.out == (
        "alice: name Alice -> Alicia\n"
        "alice: was added by hand, and is described by the file from now on\n"
        "alice: address + telegram:12345\n"
        "bob: was added by hand, and is described by the file from now on\n"
        "users.yaml: 2 people, 4 changes made.\n"
    )
    assert "alice: telegram:99 stays theirs: it is not in the file, and was not linked by it" in applied.err
    alice = house("user", "show", "alice", "--json").json
    assert (alice["name"], alice["timezone"], alice["role"]) == ("Alicia", "Europe/Madrid", "member")

    _write(house, "users: [{ id: alice }]")
    changed = house("user", "apply", file)
    assert changed.out.startswith("alice: address - telegram:12345\n")
    assert "bob is not in users.yaml any more, and stays as they are" in changed.err
    [left] = house("identity", "list", "--json").json
    assert left["sender"] == "99"


def test_what_cannot_be_is_said_by_line(house: Rookery) -> None:
    """What only the store knows is found before anything changes, and named with the file's line as well."""
    house("identity", "link", "bob", "telegram", "1")
    file = _write(
        house,
        "users:\n  - id: carol\n    im: [telegram:1]\n    model: nobody/gpt\n  - { id: ALICE }\n",
    )
    ran = house("user", "apply", file)
    assert (ran.status, ran.out) == (1, "")
    assert ran.err == (
        "rookery: users.yaml:3: users[0].im[0] is 'telegram:1', which belongs to 'bob'; to give it to 'carol', "
        "first: rookery identity unlink bob telegram 1\n"
        "users.yaml:4: users[0].model names the provider 'nobody', which is not in rookery.yaml; known: "
        "anthropic, offline, openai\n"
        "users.yaml:5: users[1].id is 'ALICE', but there is a user 'alice'; choose another id\n"
    )
    assert len(house("user", "list", "--json").json) == 2


def test_a_file_that_is_wrong_changes_nothing(house: Rookery) -> None:
    """One mistake in the last line stops the whole file."""
    file = _write(house, "users:\n  - { id: carol }\n  - { id: dave, timezone: Mars }\n")
    ran = house("user", "apply", file)
    assert (ran.status, ran.out) == (1, "")
    assert ran.err.startswith("rookery: users.yaml:3: users[1].timezone is wrong")
    assert [one["id"] for one in house("user", "list", "--json").json] == ["alice", "bob"]


def test_homeclaws_example(house: Rookery) -> None:
    """It is applied as it is; its password lets its owner in once, to choose another."""
    file = _write(house, HOMECLAW.read_text(), "user.yml")
    applied = house("user", "apply", file)
    assert "AllenPeng: password + (set)" in applied.out
    assert applied.err.count("Note: user.yml:") == 7
    assert house("user", "show", "AllenPeng", "--json").json["agents"] == ["AllenPeng", "AllenPeng--Sabrina"]
    again = house("user", "apply", file)
    assert again.out == "user.yml: 1 person, nothing to change.\n"
    assert "AllenPeng: has a password already; the one in the file is not read again" in again.err


def test_a_change_is_json_for_programs(house: Rookery) -> None:
    """Every difference with its person, key, before and after; no secret."""
    file = _write(house, f'users: [{{ id: alice, name: Alicia, passwordHash: "{HASH}" }}]')
    result = house("user", "apply", file, "--dry-run", "--json").json
    assert result["rehearsal"] is True
    assert {"userId": "alice", "key": "name", "before": "Alice", "after": "Alicia"} in result["changes"]
    assert {"userId": "alice", "key": "password", "before": None, "after": "(set)"} in result["changes"]


def test_many_people_and_long_texts_come_in_parts(house: Rookery) -> None:
    """A file that no single request could carry arrives whole, and says how far it is."""
    friends = "".join(f"      - {{ name: F{number}, persona: '{str(number) * 18_000}' }}\n" for number in range(3))
    text = "".join(
        f"  - id: user{number}\n    im: ['telegram:{number}']\n    friends:\n{friends}" for number in range(40)
    )
    ran = house("user", "apply", _write(house, f"users:\n{text}"))
    assert ran.status == 0, ran.err
    assert "Reading users.yaml" in ran.err
    assert "Sending 0 of " in ran.err
    assert ran.out.endswith("users.yaml: 40 people, 200 changes made.\n")
    assert len(house("user", "list", "--json").json) == 42


def test_the_configuration_names_the_file(rookery: Rookery) -> None:
    """`usersFile` is applied when a gateway starts, before anything asks who is there; a mistake stops it."""
    rookery.configure("usersFile: users.yaml\nagents: { list: [{ id: helpdesk, sponsor: alice }] }\n")
    (rookery.home.path / "users.yaml").write_text(FAMILY)
    with running(rookery.home):
        assert [one["id"] for one in rookery("user", "list", "--json").json] == ["alice", "bob"]
        assert "helpdesk" in rookery("agent", "list").out
        (rookery.home.path / "users.yaml").write_text(FAMILY.replace("name: Bob", "name: Bobby"))
        rookery("config", "reload")
        assert rookery("user", "show", "bob", "--json").json["name"] == "Bobby"
        (rookery.home.path / "users.yaml").write_text(FAMILY.replace("role: admin", "role: king"))
        rookery("config", "reload").refused_with("users.yaml:4: users[0].role must be one of member, admin")
        assert rookery("user", "show", "bob", "--json").json["name"] == "Bobby"
    rookery("chat", "--user", "alice", "hello").refused_with("users.yaml:4: users[0].role")
