"""The oracle's eyes: a canary is found however it was written down."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Callable
from random import Random
from urllib.parse import quote

import pytest

from tests.isolation import canaries

_SPELLINGS: dict[str, Callable[[bytes], bytes]] = {
    "raw": bytes,
    "lower case": bytes.lower,
    "upper case": bytes.upper,
    "hex": lambda data: data.hex().encode(),
    "upper-case hex": lambda data: data.hex().upper().encode(),
    "base64": base64.b64encode,
    "base64 for URLs": base64.urlsafe_b64encode,
    "UTF-16": lambda data: data.decode().encode("utf-16"),
    "JSON": lambda data: json.dumps(data.decode()).encode(),
    "a URL": lambda data: quote(data.decode()).encode(),
    "gzip": gzip.compress,
    "gzip twice": lambda data: gzip.compress(gzip.compress(data)),
}


@pytest.mark.parametrize("before", ["", "ü", "«é", "1\n2"])
@pytest.mark.parametrize("spelling", _SPELLINGS)
def test_a_canary_is_found_in_any_spelling(spelling: str, before: str) -> None:
    """Encoded alone or among other words, at any alignment, it is seen."""
    canary = canaries.fresh(Random(spelling + before))
    for after in ("", "…", ' \\"'):
        data = _SPELLINGS[spelling](f"{before}{canary}{after}".encode())
        assert canaries.found_in(b"some bytes: " + data + b" and more") == {canary}


def test_where_no_canary_is_none_is_found() -> None:
    """The mark alone, a canary cut short, or random bytes are none."""
    canary = canaries.fresh(Random(1))
    assert canaries.found_in(canaries.MARK) == set()
    assert canaries.found_in(canary[:-1] + "-") == set()
    assert canaries.found_in(Random(2).randbytes(1 << 20)) == set()
