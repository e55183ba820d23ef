"""What goes wrong, in the words and statuses that clients of OpenAI's interface know."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from http import HTTPStatus

from rookery.channels.contract import HttpReply
from rookery.errors import (
    InvalidInput,
    ModelErrorKind,
    NotFound,
    QuotaReached,
    Refused,
    RookeryError,
    StorageUnavailable,
    TooLarge,
)

_WRONG = "invalid_request_error"
_OURS = "server_error"


@dataclass(frozen=True, slots=True)
class Problem:
    """One error as a client is told of it. `type` and `code` are OpenAI's words where it has one that fits."""

    status: HTTPStatus
    message: str
    type: str = _WRONG
    code: str | None = None
    param: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def body(self) -> dict[str, object]:
        return {"error": {"message": self.message, "type": self.type, "param": self.param, "code": self.code}}

    def not_again(self) -> Problem:
        """The same, with the word to OpenAI's own clients that sending it again is no good."""
        return replace(self, headers={**self.headers, "x-should-retry": "false"})


class Unanswerable(Exception):
    """A request that is answered with a problem."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


def invalid(message: str, param: str | None = None, code: str | None = None) -> Unanswerable:
    """The request is not written as it must be."""
    return Unanswerable(Problem(HTTPStatus.BAD_REQUEST, message, code=code, param=param))


def unsupported(message: str, param: str) -> Unanswerable:
    """The request asks for what is not built."""
    return invalid(message, param, "unsupported")


def no_model(name: str) -> Unanswerable:
    """There is no such model, or it is not the caller's: both read alike."""
    message = f"The model {name!r} does not exist. GET /v1/models lists those you can use."
    return Unanswerable(Problem(HTTPStatus.NOT_FOUND, message, code="model_not_found", param="model"))


def no_session(name: str) -> Unanswerable:
    """There is no such session, or it is not the caller's: both read alike."""
    message = f"There is no session {name!r} here."
    return Unanswerable(Problem(HTTPStatus.NOT_FOUND, message, code="session_not_found", param="user"))


def revoked() -> Problem:
    """The caller's token ended, or they may not come in any more, while they were being answered."""
    return Problem(HTTPStatus.UNAUTHORIZED, "This token is not valid any more.", code="invalid_api_key")


def from_reply(reply: HttpReply) -> Problem:
    """A refusal of the web face, which is written as problem details."""
    code = str(reply.body.get("code"))
    return Problem(
        HTTPStatus(reply.status),
        str(reply.body.get("detail")),
        "permission_error" if reply.status == HTTPStatus.FORBIDDEN else _WRONG,
        "invalid_api_key" if reply.status == HTTPStatus.UNAUTHORIZED else code,
        headers=reply.headers,
    )


def from_error(error: RookeryError) -> Problem | None:
    """An error that a request can meet before its turn begins; None for what none should."""
    match error:
        case TooLarge() | QuotaReached():
            return Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, error.detail, code=error.code)
        case InvalidInput():
            return Problem(HTTPStatus.BAD_REQUEST, error.detail, code=error.code)
        case NotFound():
            return Problem(HTTPStatus.NOT_FOUND, error.detail, code=error.code)
        case Refused():
            return Problem(HTTPStatus.FORBIDDEN, error.detail, "permission_error", error.code)
        case StorageUnavailable():
            return Problem(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "Messages cannot be accepted at the moment; send it again in a while.",
                _OURS,
                error.code,
                headers={"retry-after": "1"},
            )
        case _:
            return None


def from_turn(kind: str | None, message: str) -> Problem:
    """Why a turn failed. `message` is what the person is told, empty where there are no words for it."""
    if kind == "refused":
        return Problem(
            HTTPStatus.FORBIDDEN, message or "This assistant does not answer you.", "permission_error", kind
        )
    status, type, code = _OF_MODELS.get(kind or "", (HTTPStatus.INTERNAL_SERVER_ERROR, _OURS, kind))
    return Problem(status, message or "Something went wrong on our side.", type, code)


_BAD_GATEWAY = HTTPStatus.BAD_GATEWAY
_OF_MODELS: Mapping[str, tuple[HTTPStatus, str, str]] = {
    # What is wrong with the house's own key or model is nothing the client can mend: 401 would say its token is.
    **{
        kind.value: (_BAD_GATEWAY, _OURS, kind.value)
        for kind in (
            ModelErrorKind.WRONG_KEY,
            ModelErrorKind.NOT_PERMITTED,
            ModelErrorKind.NO_KEY,
            ModelErrorKind.LOCKED_KEY,
            ModelErrorKind.NO_CREDIT,
            ModelErrorKind.BAD_REQUEST,
            ModelErrorKind.UNKNOWN_MODEL,
            ModelErrorKind.UNREACHABLE,
            ModelErrorKind.GARBAGE,
            ModelErrorKind.BROKEN_OFF,
        )
    },
    ModelErrorKind.RATE_LIMITED: (HTTPStatus.TOO_MANY_REQUESTS, "rate_limit_error", "rate_limit_exceeded"),
    ModelErrorKind.OVERLOADED: (HTTPStatus.SERVICE_UNAVAILABLE, _OURS, "overloaded"),
    ModelErrorKind.TIMED_OUT: (HTTPStatus.GATEWAY_TIMEOUT, _OURS, "timed_out"),
    ModelErrorKind.CONTEXT_TOO_LONG: (HTTPStatus.BAD_REQUEST, _WRONG, "context_length_exceeded"),
    ModelErrorKind.CONTENT_REFUSED: (HTTPStatus.BAD_REQUEST, _WRONG, "content_filter"),
}
