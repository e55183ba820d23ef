"""What a client is answered, byte for byte."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import msgspec
from msgspec import Struct

from rookery.ids import TurnId
from rookery.messages import StopReason, Usage
from rookery.users import Agent
from rookery.web.asgi import Send
from rookery.web.v1.problems import Problem

DONE = b"data: [DONE]\n\n"
KEEP_ALIVE = b": keep-alive\n\n"

_encode = msgspec.json.encode

_FINISH = {StopReason.LENGTH: "length", StopReason.REFUSED: "content_filter"}


class Answer(Struct, frozen=True):
    """Whose answer it is: the turn that made it, and the model as the client called it."""

    turn_id: TurnId
    created: datetime
    model: str

    def whole(self, text: str, reason: StopReason | None, usage: Usage) -> bytes:
        """The answer in one piece."""
        message = {"role": "assistant", "content": text, "refusal": None}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish_reason(reason)}
        return _encode(self._outline("chat.completion") | {"choices": [choice], "usage": _usage(usage)})

    def chunks(self, *, with_usage: bool) -> Chunks:
        """The answer in pieces."""
        return Chunks(_encode(self._outline("chat.completion.chunk"))[:-1], with_usage)

    def _outline(self, kind: str) -> dict[str, object]:
        return {
            "id": f"chatcmpl-{self.turn_id}",
            "object": kind,
            "created": int(self.created.timestamp()),
            "model": self.model,
            "system_fingerprint": None,
        }


class Chunks:
    """The events of one streamed answer."""

    def __init__(self, outline: bytes, with_usage: bool) -> None:
        self._begin = b"data: " + outline + b',"choices":['
        self._delta = self._begin + b'{"index":0,"delta":'
        self._end = b'],"usage":null}\n\n' if with_usage else b"]}\n\n"
        self._open = b',"logprobs":null,"finish_reason":null}' + self._end
        self._with_usage = with_usage

    def role(self) -> bytes:
        """The first one."""
        return self._delta + b'{"role":"assistant","content":"","refusal":null}' + self._open

    def words(self, text: str) -> bytes:
        """Some more of the answer."""
        return self._delta + b'{"content":' + _encode(text) + b"}" + self._open

    def end(self, reason: StopReason | None, usage: Usage) -> bytes:
        """The last ones."""
        finish = b'{},"logprobs":null,"finish_reason":' + _encode(finish_reason(reason)) + b"}"
        last = self._delta + finish + self._end
        if self._with_usage:
            last += self._begin + b'],"usage":' + _encode(_usage(usage)) + b"}\n\n"
        return last + DONE


def error_event(problem: Problem) -> bytes:
    """A problem that came up when the answer had begun."""
    return b"data: " + _encode(problem.body) + b"\n\n"


def model(name: str, agent: Agent) -> dict[str, object]:
    """An agent as a model."""
    return {"id": name, "object": "model", "created": int(agent.created_at.timestamp()), "owned_by": "rookery"}


def finish_reason(reason: StopReason | None) -> str:
    """Why the answer ends where it does; one that the person stopped ends like any other."""
    return "stop" if reason is None else _FINISH.get(reason, "stop")


def _usage(usage: Usage) -> dict[str, object]:
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
    }


# --- on the wire --------------------------------------------------------------------------------------------


async def send_whole(
    send: Send, body: bytes, *, status: int = 200, headers: Mapping[str, str] | None = None, hang_up: bool = False
) -> None:
    """One JSON answer; `hang_up` closes the connection after it, for a body that is left unread."""
    lines = [*_HEAD, (b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    lines += [(name.encode(), value.encode()) for name, value in (headers or {}).items()]
    if hang_up:
        lines.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": status, "headers": lines})
    await send({"type": "http.response.body", "body": body})


async def send_problem(send: Send, problem: Problem, *, hang_up: bool = False) -> None:
    """A problem, where nothing was answered yet."""
    await send_whole(send, _encode(problem.body), status=problem.status, headers=problem.headers, hang_up=hang_up)


async def send_head(send: Send, turn_id: TurnId) -> None:
    """The beginning of a streamed answer."""
    lines = [
        *_HEAD,
        (b"content-type", b"text/event-stream; charset=utf-8"),
        (b"x-accel-buffering", b"no"),
        (b"x-request-id", turn_id.encode()),
    ]
    await send({"type": "http.response.start", "status": 200, "headers": lines})


_HEAD = [(b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff")]
