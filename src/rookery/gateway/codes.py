"""Codes that one person reads and another types: short, hard to misread, and worth nothing once they ran out."""

from __future__ import annotations

import hashlib
import re
import secrets

ALPHABET = "ABCDEFGHJKMNPQRSTVWXYZ23456789"
"""What a code is written with: no 0 or O, no 1, I or L, and no U, which is misread as V."""

LENGTH = 8

_SHAPE = re.compile(rf"[{ALPHABET}]{{{LENGTH}}}")
_BETWEEN = str.maketrans("", "", " -\u2010\u2011\u2013")


def fresh() -> str:
    """A code nobody can foresee: one of 30^8, some 650 thousand million."""
    return "".join(secrets.choice(ALPHABET) for _ in range(LENGTH))


def spoken(code: str) -> str:
    """The code as it is shown, in two groups of four."""
    return f"{code[: LENGTH // 2]}-{code[LENGTH // 2 :]}"


def read(text: str) -> str | None:
    """The code that somebody typed, in any case, with spaces or hyphens or without; None when it is none."""
    typed = text.translate(_BETWEEN)
    if not typed.isascii():
        return None
    code = typed.upper()
    return code if _SHAPE.fullmatch(code) else None


def hash_of(code: str, purpose: str) -> str:
    """The form in which a code is kept; the same code for another purpose has another.

    It keeps a code from being read by accident, in a copy of the database or at a glance. Whoever has the database
    could try all codes, so what holds is that a code runs out, and is forgotten then.
    """
    return hashlib.sha256(f"{purpose}:{code}".encode()).hexdigest()
