"""How a configuration is shown: as values, as a schema, and as what it asks for in vain."""

from __future__ import annotations

import json
import pickle
import re
from pathlib import Path
from typing import Any, cast

import pytest

from rookery.config import CHANNEL_NAMES, Config, QueueMode, Secret, schema, show, unavailable
from tests.config.house_files import ENVIRON, EXAMPLE, read


def test_the_effective_configuration_hides_every_secret(tmp_path: Path) -> None:
    """Everything is shown but keys, tokens, passwords and what a URL carries in its query."""
    config = read(
        tmp_path,
        EXAMPLE.replace("{ url: null }", '{ url: "postgresql://app:canary@db:5432/rookery?sslpassword=canary" }')
        .replace("http://127.0.0.1:9000/reply", "'https://me:canary@h/reply?token=canary'")
        .replace("a-long-and-quiet-secret", "canary-canary-canary"),
        ENVIRON,
    )

    shown = show(config)

    text = json.dumps(shown)
    for everything in (text, repr(config), str(config)):
        assert "-canary" not in everything
    assert "canary" not in text
    assert shown["database"]["url"] == "postgresql://app:***@db:5432/rookery?***"
    assert shown["models"]["sharedKeys"]["house"]["keyFrom"] == "env:OPENAI_API_KEY"
    assert shown["channels"]["telegram"]["accounts"]["default"]["botToken"] == "(hidden)"
    assert shown["channels"]["webhook"]["accounts"]["default"]["callbackUrl"] == "https://me:***@h/reply?***"


def test_what_is_shown_of_the_example_is_the_example(tmp_path: Path) -> None:
    """The keys and values in force, in camelCase, as plain numbers and words."""
    shown = show(read(tmp_path, EXAMPLE, ENVIRON))

    assert shown["models"]["limits"] == {
        "maxConcurrent": 16, "perUser": 3, "perKey": None, "background": 4, "timeoutSeconds": 120,
        "firstTokenSeconds": None,
    }  # fmt: skip
    free = {"input": 0, "output": 0, "cachedInput": None, "cacheWrite": None}
    assert shown["models"]["providers"]["local"]["prices"] == {"some-model": free}
    assert shown["bindings"][0]["match"]["peer"] == {"kind": "group", "id": "-100123"}
    assert shown["usersFile"] is None
    assert list(shown["channels"]) == ["webchat", "webhook", "terminal", "cron", "telegram"]


def test_an_address_is_shown_as_it_was_written(tmp_path: Path) -> None:
    """`identityLinks` come out as they went in, prices and budgets too."""
    text = (
        "session: {identityLinks: {ana: ['telegram:1', 'webhook@a:b:c']}}\nbudgets: {default: {perDayUsd: 0.25}}"
    )
    shown = show(read(tmp_path, text))

    assert shown["session"]["identityLinks"] == {"ana": ["telegram:1", "webhook@a:b:c"]}
    assert shown["budgets"]["default"]["perDayUsd"] == 0.25


def test_a_secret_shows_itself_nowhere() -> None:
    """Not in text, not among other values, not in a pickle; two equal ones are equal."""
    secret = Secret("canary")

    assert "canary" not in f"{secret} {secret!r} {[secret]} {{'a': {secret}}}"
    assert secret.reveal() == "canary"
    assert secret == Secret("canary")
    assert hash(secret) == hash(Secret("canary"))
    assert secret != Secret("other")
    assert secret != "canary"
    with pytest.raises(TypeError):
        pickle.dumps(secret)


def _objects(node: object) -> list[dict[str, Any]]:
    """Every part of a schema that describes keys."""
    if isinstance(node, list):
        return [found for item in cast("list[object]", node) for found in _objects(item)]
    if isinstance(node, dict):
        part = cast("dict[str, Any]", node)  # it was JSON, whose keys are text
        inner = [found for item in part.values() for found in _objects(item)]
        return [part, *inner] if isinstance(part.get("properties"), dict) else inner
    return []


def test_the_json_schema_is_complete() -> None:
    """Every key is there, camelCase, with a description, and nothing else is allowed beside it."""
    generated = json.loads(json.dumps(schema()))
    objects = _objects(generated)

    assert len(objects) > 25
    for described in objects:
        assert described["additionalProperties"] is False
        assert described["description"]
        for key, value in described["properties"].items():
            assert re.fullmatch(r"[a-z][A-Za-z]*", key), key
            named = generated["$defs"].get(value.get("$ref", "").rpartition("/")[2], {})
            assert value.get("description") or named.get("description"), f"{key} is not described"
    assert set(generated["properties"]) == {
        "gateway", "database", "models", "agents", "bindings", "session", "messages", "budgets", "usersFile",
        "storage", "secrets", "audit", "channels",
    }  # fmt: skip
    assert set(generated["$defs"]["Channels"]["properties"]) == set(CHANNEL_NAMES)


def test_the_schema_promises_only_what_this_version_does() -> None:
    """The queue modes that are offered to an editor are those there are."""
    assert schema()["$defs"]["QueueMode"]["enum"] == [mode.value for mode in QueueMode]


def test_every_channel_name_has_its_section() -> None:
    """The names an address may use and the sections of `channels` are the same."""
    assert set(type(Config().channels).model_fields) == set(CHANNEL_NAMES)


def test_what_this_version_cannot_do_is_said(tmp_path: Path) -> None:
    """A file for a later version loads; each thing that will not happen is one line."""
    config = read(
        tmp_path,
        """
session: { reset: { mode: daily }, compaction: { enabled: false } }
budgets: { default: { perDayUsd: 2 } }
channels:
  feishu: { sessionBinding: isolated }
  discord: { enabled: true }
  slack: { enabled: false, accounts: { a: {} } }
  sms: { accounts: { a: {} } }
""",
    )

    assert [line.split(":")[0] for line in unavailable(config)] == [
        "channels.discord", "channels.sms", "budgets", "session.reset", "session.compaction",
    ]  # fmt: skip


def test_nothing_is_said_about_what_works(tmp_path: Path) -> None:
    """The defaults and the channels of this version need no warning; the example's Telegram does."""
    assert unavailable(read(tmp_path, "")) == []
    assert [line.split(":")[0] for line in unavailable(read(tmp_path, EXAMPLE, ENVIRON))] == ["channels.telegram"]
