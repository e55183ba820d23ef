"""Beginnings of turns: a bounded number of one person's at once, in order, and nobody else's affair."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from rookery.gateway.starts import Start, Starts


async def test_one_person_waits_for_themselves_alone() -> None:
    """The third of alice waits for one of hers to have begun; bob does not."""
    starts = Starts(at_once=2)
    first, _ = await starts.take("alice"), await starts.take("alice")
    third = asyncio.ensure_future(starts.take("alice"))
    await asyncio.wait_for(starts.take("bob"), 1)
    assert not third.done()

    first.over()
    first.over()

    await asyncio.wait_for(third, 1)
    fourth = asyncio.ensure_future(starts.take("alice"))
    await asyncio.sleep(0)
    assert not fourth.done(), "saying twice that it is over frees no second place"
    fourth.cancel()


@given(st.lists(st.sampled_from(["take", "over", "cancel", "cancel late"]), max_size=60))
async def test_never_more_than_allowed_and_never_fewer_than_could(steps: list[str]) -> None:
    """Whatever is taken, ended and given up, also in the moment in which it was handed out."""
    starts = Starts(at_once=3)
    begun: list[Start] = []
    waiting: list[asyncio.Future[Start]] = []

    async def settle() -> None:
        for _ in range(4):
            await asyncio.sleep(0)
        for one in [one for one in waiting if one.done()]:
            waiting.remove(one)
            if not one.cancelled():
                begun.append(one.result())

    for step in steps:
        if step == "take":
            waiting.append(asyncio.ensure_future(starts.take("alice")))
        elif step == "over" and begun:
            begun.pop(0).over()
        elif step == "cancel" and waiting:
            waiting[0].cancel()
        elif step == "cancel late" and waiting and begun:
            begun.pop(0).over()
            waiting[0].cancel()
        await settle()
        assert len(begun) <= 3
        assert not waiting or len(begun) == 3
    for one in waiting:
        one.cancel()
    await settle()
    for start in begun:
        start.over()
    assert vars(starts)["_running"] == {}
    assert vars(starts)["_waiting"] == {}
