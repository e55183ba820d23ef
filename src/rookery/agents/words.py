"""What a person is told when their assistant cannot answer, in words that say what happens next."""

from __future__ import annotations

from rookery.errors import ModelError, ModelErrorKind

_WORDS: dict[ModelErrorKind, str] = {
    ModelErrorKind.WRONG_KEY: "The model does not accept the key I was given. Please tell who runs this gateway.",
    ModelErrorKind.NO_KEY: "I have no key for this model yet, so nothing was asked and nothing was spent. "
    "Please tell who runs this gateway.",
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
CUT_AT_LENGTH = "(The answer was cut off here: it reached the model's limit for one answer.)"
NOTHING_SAID = "(The model answered with nothing.)"
UNEXPECTED = "Something went wrong on our side, and it was written down. Your message is kept; please write again."


def for_model_error(error: ModelError) -> str:
    """The person's words for a failed model call; names no key, no server and no other person."""
    when = "in a while" if error.retry_after is None else f"in {max(1, round(error.retry_after))} seconds"
    return _WORDS[error.kind].format(when=when)
