"""Cutting off what may be cut off, and nothing else."""

from __future__ import annotations

import asyncio

import pytest

from rookery.agents import Interrupted, Interruption
from rookery.messages import StopReason


async def test_guarded_work_gives_what_it_gives() -> None:
    """Nobody asked: the result comes through, and so does an error."""
    interruption = Interruption()

    async def works() -> int:
        return 7

    async def fails() -> None:
        raise KeyError("x")

    assert await interruption.guard(works()) == 7
    with pytest.raises(KeyError):
        await interruption.guard(fails())


async def test_guarded_work_is_cut_off() -> None:
    """What it had open is closed before `Interrupted` is raised."""
    interruption, closed, begun = Interruption(), asyncio.Event(), asyncio.Event()

    async def never() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            closed.set()

    guarded = asyncio.create_task(interruption.guard(never()))
    await begun.wait()
    interruption.ask(StopReason.STOPPED)
    with pytest.raises(Interrupted):
        await guarded
    assert closed.is_set()
    assert interruption.reason is StopReason.STOPPED


async def test_what_was_asked_before_is_not_begun() -> None:
    """The work never runs."""
    interruption, ran = Interruption(), False

    async def works() -> None:
        nonlocal ran
        ran = True

    interruption.ask(None)
    with pytest.raises(Interrupted):
        await interruption.guard(works())
    assert not ran


async def test_the_first_word_stands() -> None:
    """A stop by the person is not turned into a mere pause by the gateway's end."""
    interruption = Interruption()
    interruption.ask(StopReason.STOPPED)
    interruption.ask(None)
    interruption.ask(StopReason.INTERRUPTED)
    assert (interruption.asked, interruption.reason) == (True, StopReason.STOPPED)


async def test_work_that_was_done_is_not_lost() -> None:
    """Asked in the very moment in which the work ended: its result counts, the next guard is the one cut off."""
    interruption = Interruption()

    async def works() -> str:
        return "sent"

    guarded = asyncio.create_task(interruption.guard(works()))
    for _ in range(2):  # the work has run to its end, and its guard has not gone on yet
        await asyncio.sleep(0)
    interruption.ask(StopReason.STOPPED)
    assert await guarded == "sent"
    with pytest.raises(Interrupted):
        await interruption.guard(works())


async def test_being_cancelled_is_not_being_interrupted() -> None:
    """Whoever cancels the run itself sees the cancellation, and the work ends too."""
    interruption, begun, ended = Interruption(), asyncio.Event(), asyncio.Event()

    async def never() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    guarded = asyncio.create_task(interruption.guard(never()))
    await begun.wait()
    guarded.cancel()
    with pytest.raises(asyncio.CancelledError):
        await guarded
    await ended.wait()
