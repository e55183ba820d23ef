"""The people file: what it can say, and what it is told when it is wrong, with line and key."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rookery.config.people_digest import digest
from rookery.errors import ConfigError
from rookery.users.described import DescribedBudget
from tests.config.people_files import EXAMPLE, HASH, HOMECLAW, read, refused


def test_the_example_of_the_contract(tmp_path: Path) -> None:
    """Every key of the public example is read as what it says."""
    (tmp_path / "identity.md").write_text("Sabrina was born in Chengdu.\n")
    found = read(tmp_path, EXAMPLE)
    [alice] = found.people

    assert (alice.id, alice.name, alice.role, alice.timezone, alice.language) == (
        "alice",
        "Alice",
        "member",
        "Europe/Madrid",
        "es",
    )
    assert alice.password_hash == HASH
    assert (alice.email, alice.im, alice.phone) == (
        ("email:alice@example.org",),
        ("telegram:12345", "matrix:@alice:example.org"),
        ("sms:+4912345678",),
    )
    assert alice.permissions == ("im", "email", "phone", "web", "api")
    assert (alice.model, alice.skills) == ("openai/gpt-x", ("weather",))
    assert alice.budget == DescribedBudget(per_day_nano_usd=2_000_000_000)
    [sabrina] = alice.friends
    assert (sabrina.id, sabrina.name, sabrina.relation) == ("sabrina", "Sabrina", "friend")
    assert sabrina.who == {
        "gender": "female",
        "roles": ["friend"],
        "personalities": ["gentle"],
        "language": "zh",
        "responseLength": "medium",
    }
    assert found.file.texts == {sabrina.identity: "Sabrina was born in Chengdu.\n"}
    assert found.file.warnings == [
        "users.yaml:14: users[0].skills is kept, and has no effect in this version, nor have others'",
        "users.yaml:15: users[0].budget is kept, and not enforced in this version, nor are others'",
    ]


def test_both_spellings_and_the_environment(tmp_path: Path) -> None:
    """Keys may be written in snake_case, and values may come from the environment."""
    text = 'users:\n  - { id: alice, password_hash: "${ALICE}", budget: { per_day_usd: 0.000000001 } }\n'
    [alice] = read(tmp_path, text, {"ALICE": HASH}).people
    assert alice.password_hash == HASH
    assert alice.budget == DescribedBudget(per_day_nano_usd=1)


@pytest.mark.parametrize(
    ("key", "written", "kept"),
    [
        ("email", "Alice.B@EXAMPLE.org", "email:alice.b@example.org"),
        ("email", "alice@bücher.example", "email:alice@xn--bcher-kva.example"),
        ("email", "email:alice@example.org", "email:alice@example.org"),
        ("phone", "sms:+49 (30) 123-4567", "sms:+49301234567"),
        ("phone", "voice@office:+49.30.1234567", "voice@office:+49301234567"),
        ("im", "matrix:@Alice:Example.org", "matrix:@Alice:Example.org"),
        ("im", "webhook@default:ALICE", "webhook@default:ALICE"),
    ],
)
def test_an_address_is_kept_as_its_channel_writes_it(tmp_path: Path, key: str, written: str, kept: str) -> None:
    """Mail in lower case with an ASCII domain, numbers as E.164, everything else as it stands."""
    [alice] = read(tmp_path, f'users: [{{ id: alice, {key}: ["{written}"] }}]').people
    assert getattr(alice, key) == (kept,)


WRONG = {
    "an unknown key": ("  - { id: a, nmae: A }", "2: users[0].nmae is not a known key; did you mean 'name'?"),
    "no id": ("  - name: Alice", "2: users[0].id is missing; it has no default"),
    "an id that is none": (
        "  - id: Ana María",
        (
            "2: users[0].id is wrong: 'Ana María' is not a user id: letters, digits, '-' and '_', beginning "
            "with a letter or digit, at most 63. Try 'Ana-Maria'."
        ),
    ),
    "an id that means something": (
        "  - id: Share",
        "2: users[0].id is wrong: 'Share' is not a user id: none of main, share, space, system. Try 'Share-1'.",
    ),
    "an id twice": (
        "  - id: alice\n  - id: bob\n  - id: ALICE",
        "4: users[2].id is 'ALICE', which users[0] on line 2 is called already; case makes no difference",
    ),
    "a number for a name": ("  - { id: a, name: 12 }", '2: users[0].name must be text; write it in quotes: "12"'),
    "a role": (
        "  - { id: a, role: amdin }",
        "2: users[0].role must be one of member, admin, not 'amdin'; did you mean 'admin'?",
    ),
    "a zone": (
        "  - { id: a, timezone: Mars }",
        "2: users[0].timezone is wrong: 'Mars' is not a time zone; use a name such as 'Europe/Madrid'.",
    ),
    "a language": (
        "  - { id: a, language: Spanish! }",
        "2: users[0].language is wrong: 'Spanish!' is not a language; use a BCP 47 tag such as 'es' or 'pt-BR'.",
    ),
    "another username": (
        "  - { id: alice, username: pengshilei }",
        "2: users[0].username is 'pengshilei', but people log in by their id; write 'alice', or leave it out",
    ),
    "a password instead of a hash": (
        "  - { id: a, passwordHash: hunter2 }",
        (
            "2: users[0].passwordHash must be an Argon2id hash, such as $argon2id$v=19$m=65536,t=3,p=1$…$…, "
            "in quotes"
        ),
    ),
    "a cheap hash": (
        f'  - {{ id: a, passwordHash: "{HASH.replace("65536", "4096")}" }}',
        (
            "2: users[0].passwordHash is too cheap to guess: it needs at least m=19456 with t=2, or m=47104 "
            "with t=1"
        ),
    ),
    "a dear hash": (
        f'  - {{ id: a, passwordHash: "{HASH.replace("t=3", "t=900")}" }}',
        "2: users[0].passwordHash costs too much for each login: at most m=262144, t=16 and p=8",
    ),
    "two passwords": (
        f'  - {{ id: a, password: "a long enough one", passwordHash: "{HASH}" }}',
        "2: users[0].password stands beside passwordHash; take it out, the hash is enough",
    ),
    "an easy password": (
        "  - { id: a, password: sunshine1 }",
        (
            "2: users[0].password is wrong: This password is among the first that anybody would try; choose "
            "another one."
        ),
    ),
    "an address of no channel": (
        "  - { id: a, im: [telgram:1] }",
        "2: users[0].im[0] is wrong: 'telgram' is not a channel; did you mean 'telegram'?",
    ),
    "an address without its account": (
        "  - { id: a, im: [webhook:1] }",
        (
            "2: users[0].im[0] is wrong: The address 'webhook:1' needs an account, because the ids of "
            "webhook are unique only within one: write 'webhook@<account>:…'."
        ),
    ),
    "an address of a channel of ours": (
        "  - { id: a, im: [webchat:a] }",
        (
            "2: users[0].im[0] is wrong: webchat needs no linking: there a person is known by their user "
            "id; link addresses of chat networks."
        ),
    ),
    "an address in another list": (
        '  - { id: a, im: ["sms:+4912345678"] }',
        "2: users[0].im[0] is an address of sms, which belongs under 'phone'",
    ),
    "a bare number": (
        '  - { id: a, phone: ["+4912345678"] }',
        "2: users[0].phone[0] names no channel; write 'sms:+4912345678' or 'voice:+4912345678', or both",
    ),
    "a number without its country": (
        '  - { id: a, phone: ["sms:004912345678"] }',
        (
            "2: users[0].phone[0] is wrong: '004912345678' is no telephone number with its country, such as "
            "'+4912345678'; did you mean '+4912345678'?"
        ),
    ),
    "a mail address that is none": (
        "  - { id: a, email: [alice] }",
        "2: users[0].email[0] is wrong: 'alice' is no mail address, such as 'alice@example.org'.",
    ),
    "one address, two people": (
        "  - { id: alice, im: [telegram:1] }\n  - { id: bob, im: [telegram:1] }",
        (
            "3: users[1].im[0] is 'telegram:1' of 'bob', which is an address of 'alice' already, on line 2; "
            "an address is one person's, so take it from one of them"
        ),
    ),
    "one address on every account and on one": (
        "  - { id: alice, im: [telegram:1] }\n  - { id: bob, im: [telegram@home:1] }",
        (
            "3: users[1].im[0] is 'telegram@home:1' of 'bob', which is an address of 'alice' already, on "
            "line 2; an address is one person's, so take it from one of them"
        ),
    ),
    "one mail address in two spellings": (
        "  - { id: alice, email: [a@Example.org] }\n  - { id: bob, email: [A@example.ORG] }",
        (
            "3: users[1].email[0] is 'email:a@example.org' of 'bob', which is an address of 'alice' "
            "already, on line 2; an address is one person's, so take it from one of them"
        ),
    ),
    "a permission": (
        "  - { id: a, permissions: [im, mail] }",
        (
            "2: users[0].permissions[1] must be one of im, email, phone, web, api, not 'mail'; did you mean "
            "'email'?"
        ),
    ),
    "a model": (
        "  - { id: a, model: gpt-x }",
        "2: users[0].model must be written provider/model, such as offline/demo",
    ),
    "a budget in words": (
        '  - { id: a, budget: { perDayUsd: "2" } }',
        "2: users[0].budget.perDayUsd must be a number of US dollars, without quotes",
    ),
    "a budget that cannot be counted": (
        "  - { id: a, budget: { perDayUsd: 0.0000000001 } }",
        (
            "2: users[0].budget.perDayUsd has more than nine digits behind the point, which is less than "
            "can be counted"
        ),
    ),
    "a friend without an id": (
        "  - id: a\n    friends:\n      - name: 莎莎",
        "4: users[0].friends[0].name cannot be an id as well; write `id: friend`, or another",
    ),
    "a friend twice": (
        "  - { id: a, friends: [{ name: Ann }, { name: ann, id: other }] }",
        "2: users[0].friends[1].id cannot be told from friends[0], 'Ann': /talk takes one name for one friend",
    ),
    "what a friend cannot be": (
        "  - { id: a, friends: [{ name: Ann, who: { responseLength: huge } }] }",
        (
            "2: users[0].friends[0].who.responseLength is wrong: who.responseLength is 'huge'; it can be "
            "short, medium, long."
        ),
    ),
    "a text that is not there": (
        "  - { id: a, friends: [{ name: Ann, identity: ann.md }] }",
        "2: users[0].friends[0].identity names 'ann.md', which is not in ",
    ),
    "a text elsewhere": (
        "  - { id: a, friends: [{ name: Ann, identity: ../ann.md }] }",
        (
            "2: users[0].friends[0].identity is '../ann.md'; write a path below this file's directory, such "
            "as 'identity.md'"
        ),
    ),
    "a variable that is not set": (
        '  - { id: a, name: "${NOBODY}" }',
        "2: users[0].name needs the environment variable 'NOBODY', which is not set",
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_mistake_is_named_with_its_line(tmp_path: Path, what: str) -> None:
    """Whatever is wrong, one line says where and what would be right."""
    written, told = WRONG[what]
    [line] = refused(tmp_path, f"users:\n{written}\n")
    if told.endswith(" "):
        assert line.startswith(f"users.yaml:{told}")
    else:
        assert line == f"users.yaml:{told}"


def test_every_mistake_is_named_at_once(tmp_path: Path) -> None:
    """What is wrong with one person does not hide what is wrong with, or between, the others."""
    text = """\
users:
  - { id: alice, role: king, im: [telegram:1] }
  - { id: bob, im: [telegram:2], timezone: Mars }
  - { id: carol, im: [telegram:2] }
colour: red
"""
    assert [line.split(" ")[0] for line in refused(tmp_path, text)] == [
        "users.yaml:2:",
        "users.yaml:3:",
        "users.yaml:4:",
        "users.yaml:5:",
    ]


def test_no_mistake_shows_a_secret(tmp_path: Path) -> None:
    """A password, and what a variable holds, stand in no line."""
    text = 'users: [{ id: a, passwordHash: "hunter2-canary", name: "${A}", password: "canary-8888" }]'
    said = "\n".join(refused(tmp_path, text, {"A": "canary\nname"}))
    assert "canary" not in said


def test_a_text_outside_by_a_link(tmp_path: Path) -> None:
    """A link beside the file leads nowhere, neither as the file nor on the way to it."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.md").write_text("not yours")
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "link.md").symlink_to(outside / "secret.md")
    (inside / "way").symlink_to(outside)
    os.mkfifo(inside / "pipe")
    for path in ("link.md", "way/secret.md", "pipe", "way"):
        text = f"users: [{{ id: a, friends: [{{ name: Ann, identity: {path} }}] }}]"
        [line] = refused(inside, text)
        assert "users[0].friends[0].identity names" in line


def test_a_text_that_is_too_large(tmp_path: Path) -> None:
    """64 KiB are enough to say who somebody is."""
    (tmp_path / "a.md").write_text("x" * (64 * 1024 + 1))
    [line] = refused(tmp_path, "users: [{ id: a, friends: [{ name: Ann, identity: a.md }] }]")
    assert line.endswith("names 'a.md', which is larger than 64 KiB")


def test_a_file_that_unfolds_without_end(tmp_path: Path) -> None:
    """Aliases in aliases are bounded, and so is the file."""
    bomb = "a: &a [x, x, x, x, x, x, x, x, x, x]\n"
    for before, name in zip("abcdefg", "bcdefgh", strict=True):
        bomb += f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]\n"
    [line] = refused(tmp_path, f"{bomb}users: []\n")
    assert line == "users.yaml:1: the file holds more than 50000 values"
    [line] = refused(tmp_path, "#" * (10 * 1024 * 1024 + 1))
    assert line == "users.yaml:1: the file is larger than 10 MiB"


def test_a_file_of_homeclaws_shape(tmp_path: Path) -> None:
    """HomeClaw's own example loads as it is, with a warning for everything that means something else here."""
    found = read(tmp_path, HOMECLAW.read_text())
    [allen] = found.people
    assert (allen.id, allen.name, allen.password, allen.any_password) == ("AllenPeng", "AllenPeng", "secret", True)
    assert (allen.email, allen.im, allen.phone) == ((), ("matrix:@pengshilei:matrix.org",), ())
    assert allen.permissions is None
    [sabrina] = allen.friends
    assert (sabrina.name, sabrina.relation, sabrina.identity) == ("Sabrina", "girlfriend", None)
    assert sabrina.who == {
        "gender": "female",
        "roles": ["girlfriend"],
        "personalities": ["gentle", "supportive"],
        "language": "zh",
        "responseLength": "medium",
    }
    assert found.file.warnings == [
        "users.yaml:4: users[0].username is not kept; they log in as 'AllenPeng'",
        "users.yaml:5: users[0].password is to be changed at the first login",
        "users.yaml:5: users[0].password stands here for all to read: it is taken once, so take it out now",
        "users.yaml:6: users[0].email is empty, which is nobody; HomeClaw took it for everybody once",
        "users.yaml:8: users[0].phone is empty, which is nobody; HomeClaw took it for everybody once",
        "users.yaml:9: users[0].permissions is empty, which reads as left out: every kind of channel",
        (
            "users.yaml:20: users[0].friends[0].identity names 'identity.md', which is not in "
            f"{str(tmp_path)!r}; the friend comes without it"
        ),
    ]


def test_what_else_homeclaw_writes(tmp_path: Path) -> None:
    """Numbers as text, addresses with '_', permissions in capitals, friends who are people, no id."""
    text = """\
users:
  - id: mira
    password: 20240101
    im: ['telegram_555001', 'wechat:somebody', 'telegram:unknown']
    permissions: [IM]
    skill_api_keys: { x_access_token: EXAMPLE }
    friends:
      - name: HomeClaw
      - { name: Otto, type: user, user_id: otto }
      - name: Coach
        relation: [trainer]
        identity: coach.md
  - { name: "Otto X", phone: ['+49 000 00001'] }
"""
    (tmp_path / "mira" / "Coach").mkdir(parents=True)
    (tmp_path / "mira" / "Coach" / "coach.md").write_text("Strict.")
    found = read(tmp_path, text)
    mira, otto = found.people
    assert (mira.password, mira.im, mira.permissions) == ("20240101", ("telegram:555001",), ("im",))
    assert [(friend.name, friend.relation) for friend in mira.friends] == [("Coach", "trainer")]
    assert list(found.file.texts.values()) == ["Strict."]
    assert (otto.id, otto.phone) == ("Otto-X", ("sms:+4900000001",))
    assert [line.split(" ")[0].split(":")[1] for line in found.file.warnings] == [
        *("3", "3", "4", "4", "4", "6", "9", "13", "13"),
    ]


def test_an_empty_list_of_permissions_is_none_here(tmp_path: Path) -> None:
    """Only in a file of HomeClaw's shape is it everything; here an empty list is nothing."""
    [alice] = read(tmp_path, "users: [{ id: alice, permissions: [], email: [] }]").people
    assert alice.permissions == ()


def test_a_file_is_known_again(tmp_path: Path) -> None:
    """It is another file when its text is another, or a variable; one with a password in it is read each time."""
    path = tmp_path / "users.yaml"
    path.write_text("users: [{ id: '${A}' }]")
    first = digest(path, {"A": "alice"})
    assert first == digest(path, {"A": "alice", "B": "x"})
    assert first != digest(path, {"A": "bob"})
    path.write_text("users: [{ id: '${A}' }] ")
    assert first != digest(path, {"A": "alice"})
    path.write_text("users: [{ id: a, 'password': x }]")
    assert digest(path, {}) is None
    with pytest.raises(ConfigError, match="cannot be read"):
        digest(tmp_path / "none.yaml", {})
