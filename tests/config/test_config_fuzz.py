"""Whatever stands in the file, the answer is a configuration or a clear refusal."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rookery.config import Config, load, schema, show, unavailable
from rookery.errors import ConfigError
from tests.config.house_files import ENVIRON, EXAMPLE

LINE = re.compile(r"rookery\.yaml:[1-9][0-9]*: \S.*")

TOKENS = st.sampled_from(
    [
        "{",
        "}",
        "[",
        "]",
        ": ",
        "\n",
        "\n  ",
        "- ",
        ", ",
        "&a ",
        "*a",
        "<<: ",
        "? ",
        "!!str ",
        "!x ",
        "| ",
        "> ",
        "'",
        '"',
        "#",
        "---\n",
        "...\n",
        "%YAML 1.1\n",
        "${A}",
        "${B",
        "$${",
        "\\u",
        "\t",
        "~",
        "null",
        "yes",
        "0x1g",
        "1_000",
        "2001-01-01",
        ".inf",
        "-.nan",
        "1e999",
        "9" * 5000,
        "*",
        "é",
        "\u2028",
        "\x85",
        "\ufeff",
        "gateway",
        "port",
        "models",
        "default",
        "offline/demo",
        "channels",
        "webhook",
        "accounts",
        "secret",
        "session",
        "identityLinks",
        "telegram:1",
        "bindings",
        "match",
        "agentId",
    ]
)

_KEYS = sorted({key for part in (schema(), *schema()["$defs"].values()) for key in part.get("properties", {})})

VALUES: st.SearchStrategy[Any] = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text(max_size=8),
        st.sampled_from(["open", "*", "offline/demo", "telegram", "telegram:1", "${A}", "env:A", "dm", "alice"]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.one_of(st.sampled_from(_KEYS), st.text(max_size=4)), inner, max_size=4),
    ),
    max_leaves=25,
)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz") / "rookery.yaml"


def answer(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    try:
        config = load(path, {**ENVIRON, "A": "a"})
    except ConfigError as error:
        for line in error.detail.splitlines():
            assert LINE.fullmatch(line), line
    else:
        assert isinstance(config, Config)
        json.dumps(show(config), allow_nan=False)
        unavailable(config)


fuzzed = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@fuzzed
@given(st.text())
def test_any_text(path: Path, text: str) -> None:
    """Text of every kind is read or refused with its line."""
    answer(path, text.encode())


@fuzzed
@given(st.lists(st.one_of(TOKENS, st.text(max_size=3)), max_size=30))
def test_any_row_of_yaml_signs(path: Path, parts: list[str]) -> None:
    """So is what looks like YAML and is not."""
    answer(path, "".join(parts).encode())


@fuzzed
@given(st.binary())
def test_any_bytes(path: Path, content: bytes) -> None:
    """So are bytes that are no text."""
    answer(path, content)


@fuzzed
@given(st.dictionaries(st.sampled_from(sorted(schema()["properties"])), VALUES, max_size=4))
def test_any_values_under_known_keys(path: Path, values: dict[str, Any]) -> None:
    """So are values of every shape where another was expected."""
    answer(path, json.dumps(values).encode())


@fuzzed
@given(st.integers(0, len(EXAMPLE)), st.integers(0, 12), st.one_of(TOKENS, st.text(max_size=3)))
def test_any_slip_in_a_file_that_was_right(path: Path, position: int, length: int, typed: str) -> None:
    """So is a good file after a slip of the hand."""
    answer(path, (EXAMPLE[:position] + typed + EXAMPLE[position + length :]).encode())
