"""Nothing that is hidden is written into the log, however it was written down, and hardly at any cost."""

from __future__ import annotations

import base64
import gzip
import json
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rookery.gateway.log import JsonLog
from rookery.gateway.redaction import SHORTEST, Redaction
from tests.isolation import canaries

FORMS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "base64": lambda secret: base64.b64encode(secret.encode()).decode(),
    "base64 of something longer": lambda secret: base64.b64encode(f"Bearer {secret}!".encode()).decode(),
    "base64 for URLs": lambda secret: base64.urlsafe_b64encode(f"k={secret}".encode()).decode(),
    "hex": lambda secret: secret.encode().hex(),
    "hex in capitals": lambda secret: f"{secret}!".encode().hex().upper(),
    "in a URL": lambda secret: quote(secret, safe=""),
    "as JSON": json.dumps,
    "with two bytes a character": lambda secret: secret.encode("utf-16-le").decode(),
    "in a gzip member": lambda secret: gzip.compress(secret.encode()).decode("latin-1"),
    "in capitals": str.upper,
}


def test_fifty_secrets_in_every_form(tmp_path: Path):
    """Alone, inside something longer, in a list and in the name of the event: none is in any file of the log."""
    rng = Random(7)
    secrets = [f"sk-{canaries.fresh(rng)}" for _ in range(50)]
    log = JsonLog(tmp_path / "log.jsonl", max_bytes=50_000)
    for secret in secrets:
        log.hide(secret)
    for secret in secrets:
        for form in FORMS.values():
            written = form(secret)
            log.warning("key.failed", error=f"Incorrect API key: {written}. Try another", agent="alice")
            log.error(written, detail=written, names=["a", f"{written}/b"])
            try:
                raise ValueError(written)
            except ValueError:
                log.exception("turn.crashed", key=written)
    log.close()
    files = list(tmp_path.iterdir())
    assert len(files) > 1
    for path in files:
        assert canaries.found_in(path.read_bytes()) == set()
        assert all(json.loads(line)["level"] for line in path.read_bytes().splitlines())


@given(
    st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=SHORTEST, max_size=60),
    st.sampled_from(["plain", "hex", "in a URL", "base64 for URLs"]),
    st.text(max_size=40),
    st.text(max_size=40),
)
def test_it_is_found_wherever_it_stands(secret: str, form: str, before: str, after: str):
    """At whatever place of a line; and what is left of the line is as it was."""
    redaction = Redaction()
    redaction.add(secret)
    written = FORMS[form](secret)
    line = f"{before} {written} {after}".encode(errors="replace")
    cleaned = redaction.clean(line)
    assert written.encode() not in cleaned.replace(b"(hidden)", b"")
    assert b"(hidden)" in cleaned


@given(st.binary(max_size=300), st.lists(st.text(st.characters(codec="utf-8")), max_size=5))
def test_what_holds_no_secret_stays_as_it_is(line: bytes, beginnings: list[str]):
    """The very same object."""
    redaction = Redaction()
    for beginning in beginnings:
        redaction.add(f"{beginning}-and-then-what-cannot-be-in-there")
    assert redaction.clean(line) is line


@pytest.mark.parametrize("secret", ["", "a", "turn", "1234567"])
def test_what_is_too_short_to_be_a_secret_is_not_looked_for(secret: str):
    """Else every line would be full of holes."""
    redaction = Redaction()
    redaction.add(secret)
    line = b'{"event":"turn.done","turn":"1234567","a":1}'
    assert redaction.clean(line) is line


def test_it_costs_next_to_nothing():
    """A usual line is looked through in a few microseconds, whether for one secret or for a thousand."""
    line = json.dumps(
        {"at": "2026-03-01T12:00:00.000000Z", "level": "info", "event": "turn.done", "turn": "01J" * 9, "ms": 12.5}
        | {f"field{number}": f"value-{number}" for number in range(8)}
    ).encode()
    spent: list[float] = []
    for count in (1, 1000):
        rng, redaction = Random(1), Redaction()
        for _ in range(count):
            redaction.add(f"sk-{rng.getrandbits(160):040x}")
        begun = time.process_time()
        for _ in range(2000):
            assert redaction.clean(line) is line
        spent.append((time.process_time() - begun) / 2000)
    assert max(spent) < 100e-6
