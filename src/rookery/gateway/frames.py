"""What travels over the control socket: one JSON object a line, each way.

A request is `{"id", "method", "params"}`. It is answered by any number of `{"id", "event"}` and then by one
`{"id", "result"}` or `{"id", "error": {"code", "detail"}}`. What an attached terminal is told comes as events
under the id of its `chat.attach`, for as long as the connection stands.
"""

from __future__ import annotations

from msgspec import Raw, Struct

LONGEST_REQUEST = 1 << 20
"""The largest request the gateway reads, in bytes with its newline; who sends more is told so and cut off."""


class Request(Struct, frozen=True):
    """One thing asked for; `id` is the client's own number for it."""

    id: int
    method: str
    params: Raw = Raw(b"{}")


class Problem(Struct, frozen=True):
    """Why something was not done: the stable word of the error, and a line for a person."""

    code: str
    detail: str


class Frame(Struct, frozen=True, kw_only=True):
    """What the gateway says, as the client reads it; one of `event`, `result` and `error` is there.

    `id` None answers something that was no request.
    """

    id: int | None
    event: Raw = Raw()
    result: Raw = Raw()
    error: Problem | None = None
