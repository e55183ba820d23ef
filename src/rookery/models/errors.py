"""What a server's error answer means: one of our kinds, how long to wait, and words fit for a log."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, cast

import msgspec
from msgspec import Struct

from rookery.errors import ModelError, ModelErrorKind

Kind = ModelErrorKind


class Private(Struct, frozen=True):
    """What an error's words may never hold: the key, and anything of the prompt, which servers like to quote."""

    secret: str | None
    prompt: bytes
    """The messages as they were sent, in JSON."""

    def clean(self, words: str) -> str:
        """The first 200 characters of a server's words, with key and prompt taken out."""
        if self.secret:
            words = words.replace(self.secret, "…")
        words = _KEY_LIKE.sub("…", _plain_spaces(words))[:_LONGEST_DETAIL]
        prompt = _plain_spaces(self.prompt.decode())
        hidden = [False] * len(words)
        for start in range(len(words) - _QUOTED + 1):
            run = words[start : start + _QUOTED]
            if msgspec.json.encode(run)[1:-1].decode() in prompt:
                hidden[start : start + _QUOTED] = [True] * _QUOTED
        kept = "".join("\0" if hide else char for char, hide in zip(words, hidden, strict=True))
        return re.sub("\0+", "…", kept)


def error_of_answer(
    who: str,
    status: int,
    header: Callable[[str], str | None],
    body: bytes,
    *,
    private: Private,
    now: Callable[[], datetime],
) -> ModelError:
    """The error that an HTTP answer other than 2xx stands for; `who` is the provider's name for the log."""
    if 300 <= status < 400:
        return ModelError(
            Kind.GARBAGE, f"{who} answers with a redirect ({status}); set baseUrl to where it leads."
        )
    try:
        said: object = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        said = None
    return _error(who, status, said, private, wait_told(header, now))


def error_of_object(who: str, said: object, *, private: Private) -> ModelError:
    """The error that an error object inside a 200 answer stands for."""
    return _error(who, 200, said, private, None)


def _error(who: str, status: int, said: object, private: Private, wait: float | None) -> ModelError:
    facts = _facts(said)
    if status == 200 and facts.status is not None:
        status = facts.status
    kind = _kind(status, facts)
    if kind in {Kind.RATE_LIMITED, Kind.OVERLOADED}:
        wait = wait if wait is not None else _hinted_wait(facts)
    else:
        wait = None
    detail = f"{who} answered {status}" if status != 200 else f"{who} broke off with an error"
    words = private.clean(facts.message)
    if words:
        detail += f": {words}"
    elif status == 404:
        detail += " without saying why; does baseUrl end with what the API's paths begin after, usually /v1?"
    if kind is Kind.WRONG_KEY and private.secret is None:
        detail += "; no key was sent, add one of this provider under models.sharedKeys and grant it"
    return ModelError(kind, detail, retry_after=wait)


class _Detail(Struct):
    msg: str = ""
    retry_delay: Any = msgspec.field(name="retryDelay", default=None)


class _Said(Struct):
    """An error object, whoever wrote it. The types are ours to check: an odd field must not hide the others."""

    error: Any = None
    message: Any = None
    code: Any = None
    type: Any = None
    status: Any = None
    detail: Any = None
    details: Any = None
    metadata: Any = None


class _Facts(Struct, frozen=True):
    """What an error object tells; `labels` are its code, type and status in lower case."""

    message: str = ""
    labels: str = ""
    status: int | None = None
    wait: str = ""


def _facts(said: object) -> _Facts:
    if isinstance(said, str):
        return _Facts(message=said)
    try:
        # Google's endpoint wraps its error in a list.
        fields = msgspec.convert(said, _Said) if isinstance(said, dict) else msgspec.convert(said, list[_Said])[0]
    except (msgspec.ValidationError, IndexError):
        return _Facts()
    if fields.error is not None:
        return _facts(fields.error)
    if fields.detail is not None:
        return _Facts(
            message=fields.detail if isinstance(fields.detail, str) else _first_detail(fields.detail).msg
        )
    delay = _first_detail(fields.details, lambda detail: detail.retry_delay is not None).retry_delay
    # Anthropic tells a spent budget from a rate only in its details.
    reason = _field(fields.details, "error_code")
    flagged = "moderation" if _field(fields.metadata, "reasons") else ""  # OpenRouter, with a 403
    return _Facts(
        message=fields.message if isinstance(fields.message, str) else "",
        labels=f"{fields.code} {fields.type} {fields.status} {reason} {flagged}".lower(),
        status=fields.code if isinstance(fields.code, int) and 400 <= fields.code < 600 else None,
        wait=delay if isinstance(delay, str) else "",
    )


def _field(details: object, name: str) -> object:
    return cast("dict[object, object]", details).get(name) if isinstance(details, dict) else None


def _first_detail(details: object, wanted: Callable[[_Detail], bool] = lambda _: True) -> _Detail:
    # FastAPI's validation errors carry the whole input beside `msg`; nothing else of them is taken.
    try:
        return next(filter(wanted, msgspec.convert(details, list[_Detail])), _Detail())
    except msgspec.ValidationError:
        return _Detail()


def _kind(status: int, facts: _Facts) -> ModelErrorKind:
    for kind, labels in _BY_LABEL:
        if any(label in facts.labels for label in labels):
            return kind
    message = facts.message.lower()
    if any(phrase in message for phrase in _SPENT):
        return Kind.NO_CREDIT
    if status in {200, 400, 413, 422, 500}:
        for kind, phrases in _BY_PHRASE:
            if any(phrase in message for phrase in phrases):
                return kind
    by_status = _BY_STATUS.get(status)
    if by_status is not None:
        return by_status
    if status == 200:
        # An error in mid-stream has no status of its own; what the request did wrong is said by its type.
        return Kind.BAD_REQUEST if _OURS.search(facts.labels) else Kind.OVERLOADED
    return Kind.BAD_REQUEST if 400 <= status < 500 else Kind.OVERLOADED


def wait_told(header: Callable[[str], str | None], now: Callable[[], datetime]) -> float | None:
    """How many seconds the headers ask us to wait; None when they do not say.

    Where none of them says so outright, it is until every limit that is used up begins anew.
    """
    milliseconds = header("Retry-After-Ms")
    if milliseconds is not None and _NUMBER.fullmatch(milliseconds.strip()):
        return float(milliseconds) / 1000
    value = header("Retry-After")
    if value is not None:
        return _seconds_until(value, now)
    waits = [
        wait
        for left, reset in _LIMITS
        if (header(left) or "").strip() in {"0", "0.0"}
        and (told := header(reset)) is not None
        and (wait := _seconds_until(told, now)) is not None
    ]
    return max(waits, default=None)


def _seconds_until(value: str, now: Callable[[], datetime]) -> float | None:
    """Seconds from now, out of a number of them, a span such as 6m0s, or a moment in any of three ways."""
    value = value.strip()
    if _NUMBER.fullmatch(value):
        number = float(value)
        if number < _FIRST_MOMENT:
            return number
        # Nobody asks to wait for thirty years: it is the second, or millisecond, since 1970.
        return max(0.0, (number / 1000 if number > _FIRST_MOMENT * 1000 else number) - now().timestamp())
    span = _SPAN.fullmatch(value)
    if span is not None and value:
        hours, minutes, seconds, milliseconds = (float(part or 0) for part in span.groups())
        return 3600 * hours + 60 * minutes + seconds + milliseconds / 1000
    when = _moment(value)
    return None if when is None else max(0.0, when.timestamp() - now().timestamp())


def _moment(value: str) -> datetime | None:
    for read in (parsedate_to_datetime, datetime.fromisoformat):
        try:
            when = read(value)
        except (ValueError, OverflowError):
            continue
        return when if when.tzinfo is not None else when.replace(tzinfo=UTC)
    return None


def _hinted_wait(facts: _Facts) -> float | None:
    hint = _WAIT.search(facts.wait) or _WAIT_HINT.search(facts.message)
    if hint is None:
        return None
    minutes, amount, unit = hint.group("minutes"), hint.group("amount"), hint.group("unit")
    seconds = float(amount) / 1000 if unit == "ms" else float(amount)
    return seconds + 60 * float(minutes or 0)


def _plain_spaces(text: str) -> str:
    """The text with each run of white space, written out or escaped, as one space."""
    return " ".join(_ESCAPED_SPACE.sub(" ", text).split())


_LONGEST_DETAIL = 200
_ESCAPED_SPACE = re.compile(r"\\[nrt]")
_QUOTED = 10  # the shortest run of characters that counts as quoted from the prompt
_KEY_LIKE = re.compile(
    r"\b(?:sk|rk|pk|gsk|xai|key|AIza)[-_]?[A-Za-z0-9*_.-]{8,}|\b[A-Za-z0-9]*\*{4,}[A-Za-z0-9*]*"
)
_NUMBER = re.compile(r"\d{1,14}(\.\d{1,9})?")
_FIRST_MOMENT = 1_000_000_000.0
_AMOUNT = r"(\d{1,9}(?:\.\d{1,9})?)"
_SPAN = re.compile(rf"(?:{_AMOUNT}h)?(?:{_AMOUNT}m)?(?:{_AMOUNT}s)?(?:{_AMOUNT}ms)?")
_LIMITS = (
    *(
        (f"anthropic-ratelimit-{what}-remaining", f"anthropic-ratelimit-{what}-reset")
        for what in ("requests", "tokens", "input-tokens", "output-tokens")
    ),
    *((f"x-ratelimit-remaining-{what}", f"x-ratelimit-reset-{what}") for what in ("requests", "tokens")),
    ("x-ratelimit-remaining", "x-ratelimit-reset"),
)
"""Where servers say how much of a limit is left, and when it begins anew: Anthropic, OpenAI, OpenRouter."""

_WAIT = re.compile(r"(?:(?P<minutes>\d{1,4})m(?!s)\s*)?(?P<amount>\d{1,9}(?:\.\d{1,9})?)\s*(?P<unit>ms|s)?")
_WAIT_HINT = re.compile(r"(?:try again|retry)\s+(?:in|after)\s+" + _WAIT.pattern, re.IGNORECASE)

_BY_LABEL: tuple[tuple[ModelErrorKind, tuple[str, ...]], ...] = (
    (
        Kind.NO_CREDIT,
        ("insufficient_quota", "insufficient_balance", "insufficient_credit", "billing", "spend_limit"),
    ),
    (Kind.CONTEXT_TOO_LONG, ("context_length", "exceed_context_size", "context_window", "string_above_max")),
    (Kind.CONTENT_REFUSED, ("content_filter", "content_policy", "moderation", "responsibleai")),
    (Kind.WRONG_KEY, ("api_key", "authentication", "unauthorized")),
    (Kind.NOT_PERMITTED, ("permission",)),
    (Kind.UNKNOWN_MODEL, ("model_not_found", "notfounderror", "not_found_error", "invalid_model")),
    (Kind.RATE_LIMITED, ("rate_limit", "too_many_requests", "resource_exhausted")),
    (Kind.TIMED_OUT, ("timeout",)),
    (Kind.OVERLOADED, ("overloaded", "unavailable", "server_error", "internalservererror")),
)
_BY_PHRASE: tuple[tuple[ModelErrorKind, tuple[str, ...]], ...] = (
    (
        Kind.CONTEXT_TOO_LONG,
        (
            "context length",
            "context size",
            "context window",
            "too many tokens",
            "prompt is too long",
            "input is too long",
            "reduce the length",
            "maximum number of tokens",
            "exceed context limit",
            "`max_new_tokens` must be",
        ),
    ),
    (Kind.CONTENT_REFUSED, ("content filtering policy",)),
    (Kind.UNKNOWN_MODEL, ("not a valid model", "model not exist", "invalid model")),
    (Kind.WRONG_KEY, ("api key", "organization has been disabled")),
)
_SPENT = (
    "credit balance",
    "insufficient credit",
    "insufficient balance",
    "api usage limits",
    "used all available credits",
    "spending limit",
)
"""What servers say, under whatever status, when there is no money left."""

_OURS = re.compile(r"invalid_request|badrequest|bad_request")

_BY_STATUS: dict[int, ModelErrorKind] = {
    401: Kind.WRONG_KEY,
    402: Kind.NO_CREDIT,
    403: Kind.NOT_PERMITTED,
    404: Kind.UNKNOWN_MODEL,
    408: Kind.TIMED_OUT,
    413: Kind.CONTEXT_TOO_LONG,
    429: Kind.RATE_LIMITED,
    504: Kind.TIMED_OUT,
}
