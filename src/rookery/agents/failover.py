"""After which failure another endpoint is asked, and which of several failures the person is told."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from rookery.agents.endpoint import Endpoint
from rookery.errors import ModelError, ModelErrorKind

Kind = ModelErrorKind

Failure = tuple[Endpoint, ModelError]
"""An endpoint that gave no answer, and why; also one that was not asked."""


class _Rule(Struct, frozen=True):
    """What follows from a failure before the first word.

    `another`: whether the next endpoint is asked. `told`: the smaller, the more it helps the person to hear of it.
    """

    another: bool
    told: int


_RULES: dict[ModelErrorKind, _Rule] = {
    # The session can be made shorter. A model that happens to read more would only put that off, at its price.
    Kind.CONTEXT_TOO_LONG: _Rule(another=False, told=0),
    # A provider that refuses what was said has given an answer. We do not go from door to door with it.
    Kind.CONTENT_REFUSED: _Rule(another=False, told=0),
    # Waiting helps, and it may be known how long.
    Kind.RATE_LIMITED: _Rule(another=True, told=1),
    # Trouble of one provider, which will pass; nobody knows when.
    Kind.OVERLOADED: _Rule(another=True, told=2),
    Kind.TIMED_OUT: _Rule(another=True, told=2),
    Kind.BROKEN_OFF: _Rule(another=True, told=2),
    Kind.UNREACHABLE: _Rule(another=True, told=2),
    Kind.GARBAGE: _Rule(another=True, told=2),
    # Another account pays, another key opens, another server has the model or takes the request. Left to itself
    # none of these passes: whoever runs the gateway has to do something.
    Kind.NO_CREDIT: _Rule(another=True, told=3),
    Kind.WRONG_KEY: _Rule(another=True, told=3),
    Kind.NOT_PERMITTED: _Rule(another=True, told=3),
    Kind.LOCKED_KEY: _Rule(another=True, told=3),
    Kind.UNKNOWN_MODEL: _Rule(another=True, told=3),
    Kind.BAD_REQUEST: _Rule(another=True, told=3),
    # A fallback that nobody granted a key for is the usual thing, and says nothing of what went wrong.
    Kind.NO_KEY: _Rule(another=True, told=4),
}


def worth_another(error: ModelError) -> bool:
    """Whether another endpoint may be asked after this failure, as long as nothing was heard."""
    return _RULES[error.kind].another


def most_helpful(failures: Sequence[Failure]) -> Failure:
    """Of the failures of all endpoints, in the order they were to be asked, the one to tell the person.

    Of equals it is the first: that of the model they chose.
    """
    return min(failures, key=_use)


def _use(failure: Failure) -> tuple[int, float]:
    _, error = failure
    told = _RULES[error.kind].told
    if error.kind is not Kind.RATE_LIMITED:
        return told, 0.0
    return told, _NEVER if error.retry_after is None else error.retry_after


_NEVER = float("inf")
