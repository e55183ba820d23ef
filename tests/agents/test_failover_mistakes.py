"""Mistakes of failover made on purpose: for each, the tests that are to notice it do."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any
from unittest.mock import patch

import pytest
from msgspec.structs import replace

from rookery.agents import ask, failover
from rookery.agents.calling import Calling
from rookery.agents.endpoint import Endpoint
from rookery.agents.failover import Failure
from rookery.errors import ModelError, ModelErrorKind
from rookery.messages import Usage
from rookery.models import cooldown
from rookery.models.cooldown import Cooldowns
from rookery.models.scripted import Step
from rookery.usage import CallEnd
from tests.agents import test_ask
from tests.agents.test_ask import Desk, failing

Kind = ModelErrorKind
Apply = Callable[[], AbstractContextManager[object]]


@contextmanager
def shops_around_after_the_first_token() -> Generator[None]:
    """Whether anything was heard is forgotten before it is asked about."""
    real = Calling.call

    async def call(self: Calling, *args: Any, **others: Any) -> Any:
        try:
            return await real(self, *args, **others)
        except ModelError:
            self.begun = False
            raise

    with patch.object(Calling, "call", call):
        yield


@contextmanager
def cools_without_looking_at_the_key() -> Generator[None]:
    """A key's cooldown is everybody's."""
    real: Callable[[Any], tuple[Any, ...]] = vars(cooldown)["_slots"]

    def slots(place: Any) -> tuple[Any, ...]:
        return tuple(replace(slot, key=None, name=None) for slot in real(place))

    with patch.object(cooldown, "_slots", slots):
        yield


def tells_the_last_error() -> AbstractContextManager[object]:
    """Whatever happened before."""

    def last(failures: Sequence[Failure]) -> Failure:
        return failures[-1]

    return patch.object(ask, "most_helpful", last)


def shops_around_with_what_was_refused() -> AbstractContextManager[object]:
    """Another provider may say yes."""

    def always(error: ModelError) -> bool:
        del error
        return True

    return patch.object(ask, "worth_another", always)


@contextmanager
def forgets_what_was_heard_when_it_breaks_off() -> Generator[None]:
    """A call that did not end well is free."""
    real = Desk.end

    def end(self: Desk, end: CallEnd) -> Usage:
        return real(self, end if end.error is None else replace(end, usage=Usage()))

    with patch.object(Desk, "end", end):
        yield


def never_looks_again_who_may_be_asked() -> AbstractContextManager[object]:
    """The endpoints of the beginning hold for the whole run."""

    async def as_it_was(self: ask.Asking, endpoint: Endpoint) -> Endpoint:
        del self
        return endpoint

    return patch.object(ask.Asking, "_as_it_is_now", as_it_was)


def ends_no_cooldown() -> AbstractContextManager[object]:
    """A success is no news."""

    def nothing(self: Cooldowns, place: object, *, begun: object) -> None:
        del self, place, begun

    return patch.object(Cooldowns, "succeeded", nothing)


async def _told_what_helps() -> None:
    errors = [failing(Kind.RATE_LIMITED, 20), failing(Kind.NO_KEY)]
    await test_ask.test_the_person_is_told_what_helps_them_most(errors, (Kind.RATE_LIMITED, 20))


CAUGHT: list[tuple[Apply, Callable[[], Awaitable[None]]]] = [
    (
        shops_around_after_the_first_token,
        lambda: test_ask.test_what_has_begun_is_not_begun_anew_elsewhere(
            Step(thinking="well", error=failing(Kind.OVERLOADED))
        ),
    ),
    (cools_without_looking_at_the_key, test_ask.test_one_person_s_exhausted_key_cools_nobody_else_s),
    (tells_the_last_error, _told_what_helps),
    (
        shops_around_with_what_was_refused,
        lambda: test_ask.test_the_next_one_is_asked_where_that_may_help(Kind.CONTENT_REFUSED, 0),
    ),
    (forgets_what_was_heard_when_it_breaks_off, test_ask.test_a_call_that_we_hang_up_is_counted_too),
    (never_looks_again_who_may_be_asked, test_ask.test_a_key_that_is_revoked_while_its_call_waits_is_not_used),
    (ends_no_cooldown, test_ask.test_what_failed_is_passed_over_until_its_time_has_come),
]


@pytest.mark.parametrize(("apply", "test"), CAUGHT)
def test_a_mistake_is_noticed(apply: Apply, test: Callable[[], Awaitable[None]]):
    """Without it the test passes, with it the test fails."""

    async def passes() -> bool:
        try:
            await test()
        except (AssertionError, pytest.fail.Exception):
            return False
        return True

    assert asyncio.run(passes())
    with apply():
        assert not asyncio.run(passes())


def test_every_kind_has_its_rule():
    """A new kind of error has to say whether another endpoint is asked, and whom it helps."""
    assert set(vars(failover)["_RULES"]) == set(Kind)
