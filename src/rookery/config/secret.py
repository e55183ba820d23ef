"""A value that shows itself nowhere: not in a log, a traceback, a dump or an error."""

from __future__ import annotations

import hmac


class Secret:
    """A key, token or password; `reveal()` is the only way to read it.

    `shown` is what may stand in its place: a fixed word, or what names the secret without being it. Two
    secrets are equal when their values are, compared in constant time, so that a changed file can be noticed.
    """

    __slots__ = ("_value", "shown")

    def __init__(self, value: str, *, shown: str = "(hidden)") -> None:
        self._value = value
        self.shown = shown

    def reveal(self) -> str:
        """The value itself, for the one call that needs it."""
        return self._value

    def __repr__(self) -> str:
        return f"Secret({self.shown})"

    def __str__(self) -> str:
        return self.shown

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._value.encode(), other._value.encode())

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("A secret is not pickled; pass it on, or reveal it where it is used.")
