"""People files as the tests write them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from rookery.errors import ConfigError
from rookery.gateway.people_reading import Read, read_people

HASH = "$argon2id$v=19$m=65536,t=3,p=1$c29tZXNhbHRzb21lc2FsdA$ZmlmdHlieXRlc29mYWhhc2h0aGF0aXNub2JvZHlzLi4uLi4"

EXAMPLE = f"""\
users:
  - id: alice
    name: Alice
    role: member
    timezone: Europe/Madrid
    language: es
    username: alice
    passwordHash: "{HASH}"
    email: [alice@example.org]
    im: ["telegram:12345", "matrix:@alice:example.org"]     # channel[@account]:sender
    phone: ["sms:+4912345678"]
    permissions: [im, email, phone, web, api]     # omitted = all
    model: openai/gpt-x
    skills: [weather]
    budget: {{ perDayUsd: 2 }}
    friends:
      - name: Sabrina
        id: sabrina
        relation: friend
        who: {{ gender: female, roles: [friend], personalities: [gentle], language: zh, responseLength: medium }}
        identity: identity.md            # relative to this file; copied into the friend's workspace once
"""
"""The example of the public contract, its elided hash and number filled in."""

HOMECLAW = Path(__file__).parent / "homeclaw_user.yml"
"""The example of HomeClaw's own document on several users, byte for byte."""


def read(tmp_path: Path, text: str, environ: Mapping[str, str] | None = None) -> Read:
    """Read `text` as `users.yaml`."""
    path = tmp_path / "users.yaml"
    path.write_text(text, encoding="utf-8")
    return read_people(path, {} if environ is None else environ)


def refused(tmp_path: Path, text: str, environ: Mapping[str, str] | None = None) -> list[str]:
    """Read `text`, which is wrong, and give the lines that say why."""
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, text, environ)
    return caught.value.detail.split("\n")
