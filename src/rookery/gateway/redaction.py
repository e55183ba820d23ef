"""Secrets that are in memory are never written down: a line that is about to be is searched for them first."""

from __future__ import annotations

import base64
import re
import sys
from collections.abc import Iterator
from urllib.parse import quote

import msgspec

SHORTEST = 8
"""A secret with fewer characters than this is not looked for: it would be found everywhere."""

_HIDDEN = b"(hidden)"
_STEP = 8
_LONG_ENOUGH = 2 * _STEP - 1


class Redaction:
    """The secrets to look for. Asking about a line costs about a microsecond, however many there are.

    Any eight bytes that stand together in a secret are known as a number. A line is read eight bytes at a time: a
    form of fifteen bytes or more that is in it covers one of those places. Only a line in which such a number is
    found is looked through properly.
    """

    def __init__(self) -> None:
        self._secrets: set[str] = set()
        self._forms: set[bytes] = set()
        self._short: tuple[bytes, ...] = ()
        self._numbers: set[int] = set()

    def add(self, secret: str) -> None:
        """From here on this is not written."""
        if len(secret) < SHORTEST or secret in self._secrets:
            return
        self._secrets.add(secret)
        # Compared in small letters: so a form is found however it was written.
        forms = {form.lower() for form in _forms(secret)}
        self._forms |= forms
        self._short = tuple(form for form in self._forms if len(form) < _LONG_ENOUGH)
        for form in forms:
            if len(form) >= _LONG_ENOUGH:
                self._numbers.update(_number(form[at : at + _STEP]) for at in range(_STEP))

    def clean(self, line: bytes) -> bytes:
        """The line without any of the secrets; the same object when there is none in it."""
        if not self._forms:
            return line
        low = line.lower()
        whole = memoryview(low)[: len(low) - len(low) % _STEP].cast("Q")
        if self._numbers.isdisjoint(whole) and not any(form in low for form in self._short):
            return line
        for form in sorted(self._forms, key=len, reverse=True):
            if form in low:
                line = re.sub(re.escape(form), _HIDDEN, line, flags=re.IGNORECASE)
                low = line.lower()
        return line


def _forms(secret: str) -> Iterator[bytes]:
    """What a secret looks like where it was written into text: plain, as JSON or in a URL, as hex or base64, or
    with two bytes a character. Of base64, for each of its three alignments, what depends on the secret alone."""
    plain = secret.encode()
    yield plain
    yield msgspec.json.encode(secret)[1:-1]
    yield quote(secret, safe="").encode()
    yield plain.hex().encode()
    yield b"".join(b"%c\\u0000" % byte for byte in plain)[: -len(b"\\u0000")]
    for before in range(3):
        written = base64.b64encode(b"\0" * before + plain)
        core = written[-(-before * 8 // 6) : (before + len(plain)) * 8 // 6]
        yield core
        yield core.translate(_IN_URLS)


_IN_URLS = bytes.maketrans(b"+/", b"-_")


def _number(eight: bytes) -> int:
    return int.from_bytes(eight, sys.byteorder)
