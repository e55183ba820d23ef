"""What a person is told when their assistant cannot answer, in words that say what happens next."""

from __future__ import annotations

from rookery.errors import ModelError, ModelErrorKind

_WORDS: dict[ModelErrorKind, str] = {
    ModelErrorKind.WRONG_KEY: "The model does not accept the key I was given. Please tell who runs this gateway.",
    ModelErrorKind.NOT_PERMITTED: "The key I was given is not for this model. Please tell who runs this gateway.",
    ModelErrorKind.NO_KEY: "I have no key for this model yet, so nothing was asked and nothing was spent. "
    "Please tell who runs this gateway.",
    ModelErrorKind.LOCKED_KEY: "I was given a key for this model, but it cannot be opened, so nothing was asked "
    "and nothing was spent. That is trouble of this house and not of yours. Please tell who runs this gateway.",
    ModelErrorKind.NO_CREDIT: "The account that pays for the model has no credit left. "
    "Please tell who runs this gateway.",
    ModelErrorKind.RATE_LIMITED: "The model takes no more questions at the moment. Please write again {when}.",
    ModelErrorKind.OVERLOADED: "The model is overloaded or broken at the moment. Please write again in a while.",
    ModelErrorKind.CONTEXT_TOO_LONG: "This conversation has become too long for the model. "
    "/new begins another; this one is kept.",
    ModelErrorKind.CONTENT_REFUSED: "The model's provider refused to answer this.",
    ModelErrorKind.BAD_REQUEST: "The model did not understand the request. Please tell who runs this gateway.",
    ModelErrorKind.UNKNOWN_MODEL: "The model I am set to use does not exist. Please tell who runs this gateway.",
    ModelErrorKind.UNREACHABLE: "The model cannot be reached at the moment. Please write again in a while.",
    ModelErrorKind.TIMED_OUT: "The model took too long to answer. Please write again in a while.",
    ModelErrorKind.GARBAGE: "The model answered something that is no answer. Please write again in a while.",
    ModelErrorKind.BROKEN_OFF: "The answer broke off. Please write again in a while.",
}

TOO_MANY_STEPS = "I stopped here: this took more steps than I am allowed for one answer ({steps})."
TOO_LONG_AT_WORK = (
    "I stopped here: this took longer than I am allowed for one answer ({minutes}). "
    "Ask again, or for a smaller part of it."
)
IN_CIRCLES = "I stopped here: I was going in circles, trying the same thing again and again without getting on."
CUT_AT_LENGTH = "(The answer was cut off here: it reached the model's limit for one answer.)"
NOTHING_SAID = "(The model answered with nothing.)"
UNEXPECTED = "Something went wrong on our side, and it was written down. Your message is kept; please write again."


# What the model is told of a call that was not made, or not to its end.
STOPPED = "Stopped by the person."
OUT_OF_TIME = "Not done: the time for this answer is over."
GIVEN_UP = "Not done: this answer has ended."
NOT_MADE = "Not done: something broke before it."
DENIED = "The person did not allow this. Do not try it again unless they ask for it."
UNANSWERED = "Nobody answered when the person was asked to allow this. It was not done."
NO_LONGER_ALLOWED = "This was allowed, but may not be done any more. It was not done."
NOBODY_TO_ASK = "This needs the person's yes, and nobody can be asked here. It was not done."
OUTCOME_UNKNOWN = (
    "Outcome unknown: the gateway stopped while this ran. It may or may not have happened. "
    "Do not repeat it without asking."
)


def took_too_long(seconds: float) -> str:
    """The person's words for a turn that was at work for as long as it may."""
    minutes = seconds / 60
    told = f"{seconds:g} seconds" if minutes < 2 else f"{minutes:.0f} minutes"
    return TOO_LONG_AT_WORK.format(minutes=told)


def no_key(agent_id: str, provider: str) -> str:
    """The person's words where an agent of their own has no key for its model."""
    return (
        "I have no key for this model yet, so nothing was asked and nothing was spent. "
        f"Whoever runs this gateway can give me one: rookery key set {agent_id} {provider}\n"
        f"Or give me one of your own: POST /api/agents/{agent_id}/keys"
    )


def for_model_error(error: ModelError) -> str:
    """The person's words for a failed model call; names no key, no server and no other person."""
    return _WORDS[error.kind].format(when=_when(error.retry_after))


def _when(seconds: float | None) -> str:
    """How long to wait, as one says it; what is further away than a day or two is nothing to wait for."""
    if seconds is None or seconds > 48 * 3600:
        return "in a while"
    for size, unit in ((3600, "hour"), (60, "minute")):
        if seconds >= 2 * size:
            return f"in about {round(seconds / size)} {unit}s"
    count = max(1, round(seconds))
    return f"in {count} second{'' if count == 1 else 's'}"
