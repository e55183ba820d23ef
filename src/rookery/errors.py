"""Everything that can go wrong, said once.

RookeryError                 what every error of ours is
├── ConfigError              the operator mends a file; the start stops, or the old configuration stays
├── InvalidInput             whoever sent it mends it; never tried again
│   ├── InvalidId            an id does not fit its alphabet; carries a suggestion
│   ├── InvalidKey           a session key is not written the one way it can be
│   └── IdempotencyKeyReused an Idempotency-Key came again with another request
├── NotFound                 no such thing, or not this actor's: both read alike
├── Conflict                 the thing exists already, or is somebody else's
│   └── Outdated             it was changed since whoever changes it looked; they look again
├── Refused                  the policy gate said no; carries the reason a person can read
├── WrongLogin               name and password do not belong together; never says which of the two is wrong
├── TooManyRequests          whoever asks has to wait; carries the seconds
├── Busy                     everybody has to wait, for there is more to do than can be done; carries the seconds
├── StorageUnavailable       the disk or database failed; nothing was committed; trying again later may help
│   └── StorageCorrupt       what is stored cannot be read; an operator looks at it, nothing is overwritten
├── ModelError               a model call failed; `kind` says how, and the person is told in their words
├── ChannelUnavailable       a send failed and may work later
├── DeliveryFailed           a send failed and never will; the delivery becomes a dead letter
├── ToolRetry                to the model: call again, differently
└── ToolFailed               to the model: this does not work; go on without it
"""

from __future__ import annotations

from enum import StrEnum


class RookeryError(Exception):
    """Something went wrong in Rookery."""

    code = "error"
    """The stable word for this error in answers, frames and logs."""

    def __init__(self, detail: str | None = None) -> None:
        self.detail = detail if detail is not None else (type(self).__doc__ or "").strip()
        super().__init__(self.detail)


class ConfigError(RookeryError):
    """The configuration cannot be used."""

    code = "config"


class InvalidInput(RookeryError):
    """What was sent cannot be understood."""

    code = "invalid"


class InvalidId(InvalidInput):
    """The id does not fit."""

    code = "invalid_id"

    def __init__(self, detail: str, *, suggestion: str | None = None) -> None:
        super().__init__(detail)
        self.suggestion = suggestion


class InvalidKey(InvalidInput):
    """The session key is not written the one way it can be."""

    code = "invalid_key"


class IdempotencyKeyReused(InvalidInput):
    """The Idempotency-Key was used for another request."""

    code = "idempotency_key_reused"


class TooLarge(InvalidInput):
    """That is too large."""

    code = "too_large"


class QuotaReached(InvalidInput):
    """There is no room left for that."""

    code = "quota"


class NotFound(RookeryError):
    """There is no such thing here."""

    code = "not_found"


class Conflict(RookeryError):
    """That exists already."""

    code = "conflict"


class Outdated(Conflict):
    """That was changed since; look at it again first."""

    code = "outdated"


class Refused(RookeryError):
    """That is not allowed."""

    code = "refused"


class WrongLogin(RookeryError):
    """The user name or the password is wrong."""

    code = "wrong_login"


class TooManyRequests(RookeryError):
    """You have tried that too often; wait a while."""

    code = "too_many_requests"

    def __init__(self, detail: str | None = None, *, retry_after: float) -> None:
        """`retry_after`: the seconds after which it may be tried again."""
        super().__init__(detail)
        self.retry_after = retry_after


class Busy(RookeryError):
    """There is too much to do at the moment; try again in a while."""

    code = "busy"

    def __init__(self, detail: str | None = None, *, retry_after: float) -> None:
        """`retry_after`: the seconds after which it may be tried again."""
        super().__init__(detail)
        self.retry_after = retry_after


class StorageUnavailable(RookeryError):
    """The storage does not answer at the moment; nothing was written."""

    code = "storage_unavailable"


class StorageCorrupt(StorageUnavailable):
    """What is stored cannot be read."""

    code = "storage_corrupt"


class ModelErrorKind(StrEnum):
    """Why a model call failed; decides what the person is told and whether another endpoint is worth a try."""

    WRONG_KEY = "wrong_key"
    NOT_PERMITTED = "not_permitted"
    """The key is good, and not for this model."""

    NO_KEY = "no_key"
    LOCKED_KEY = "locked_key"
    """There is a key, sealed, and it cannot be opened."""

    NO_CREDIT = "no_credit"
    RATE_LIMITED = "rate_limited"
    OVERLOADED = "overloaded"
    CONTEXT_TOO_LONG = "context_too_long"
    CONTENT_REFUSED = "content_refused"
    BAD_REQUEST = "bad_request"
    UNKNOWN_MODEL = "unknown_model"
    UNREACHABLE = "unreachable"
    TIMED_OUT = "timed_out"
    GARBAGE = "garbage"
    BROKEN_OFF = "broken_off"


class ModelError(RookeryError):
    """The model could not answer."""

    code = "model_error"

    def __init__(self, kind: ModelErrorKind, detail: str, *, retry_after: float | None = None) -> None:
        """`detail` is for the operator's log and never holds a key or a prompt; `retry_after` is in seconds."""
        super().__init__(detail)
        self.kind = kind
        self.retry_after = retry_after


class ChannelUnavailable(RookeryError):
    """The network does not take messages at the moment."""

    code = "channel_unavailable"

    def __init__(self, detail: str | None = None, *, retry_after: float | None = None) -> None:
        """`retry_after`: seconds the network asked us to wait, when it did."""
        super().__init__(detail)
        self.retry_after = retry_after


class DeliveryFailed(RookeryError):
    """The network will never take this message."""

    code = "delivery_failed"


class ToolRetry(RookeryError):
    """The call's arguments do not fit; call again with others."""

    code = "tool_retry"


class ToolFailed(RookeryError):
    """The tool does not work at the moment."""

    code = "tool_failed"
