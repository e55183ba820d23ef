"""The `time` tool, and the gate every call passes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from rookery.errors import ToolFailed, ToolRetry
from rookery.models import INVALID_ARGUMENTS, ToolSpec
from rookery.policy import Decision
from rookery.tools import TimeTool, ToolContext, Toolset

CONTEXT = ToolContext(lambda: datetime(2026, 3, 29, 0, 59, 59, tzinfo=UTC), "Europe/Madrid")
YES, NO = Decision(True, ""), Decision(False, "Guests cannot use it.")


@pytest.mark.parametrize(
    ("zone", "told"),
    [
        (None, "Sunday, 2026-03-29 01:59:59 in Europe/Madrid (UTC+0100)"),
        ("", "Sunday, 2026-03-29 01:59:59 in Europe/Madrid (UTC+0100)"),
        ("UTC", "Sunday, 2026-03-29 00:59:59 in UTC (UTC+0000)"),
        ("Asia/Kolkata", "Sunday, 2026-03-29 06:29:59 in Asia/Kolkata (UTC+0530)"),
        ("new york", "Saturday, 2026-03-28 20:59:59 in America/New_York (UTC-0400)"),
        ("  Tokyo ", "Sunday, 2026-03-29 09:59:59 in Asia/Tokyo (UTC+0900)"),
    ],
)
async def test_the_time_is_told_where_it_was_asked_for(zone: str | None, told: str) -> None:
    """The person's own zone unless another, or a city, is named."""
    arguments = {} if zone is None else {"zone": zone}
    assert await TimeTool().call(arguments, CONTEXT) == told


async def test_a_second_later_the_clocks_have_changed() -> None:
    """Summer time began at 01:00 UTC."""
    later = ToolContext(lambda: datetime(2026, 3, 29, 1, tzinfo=UTC), "Europe/Madrid")
    assert await TimeTool().call({}, later) == "Sunday, 2026-03-29 03:00:00 in Europe/Madrid (UTC+0200)"


@pytest.mark.parametrize(
    "zone", ["Atlantis", "../../etc/passwd", "/etc/passwd", "a\0b", "Europe", "x" * 5000, 7, ["UTC"], True]
)
async def test_what_is_no_zone_is_asked_for_again(zone: Any) -> None:
    """The model is told what would be right; no path of the host is opened."""
    with pytest.raises(ToolRetry, match="Europe/Madrid"):
        await TimeTool().call({"zone": zone}, CONTEXT)


class Broken:
    """A tool that ends as the test says."""

    spec = ToolSpec("broken", "Breaks.", {"type": "object"})
    effects = True

    def __init__(self, error: Exception) -> None:
        self.error = error
        self.calls = 0

    async def call(self, arguments: dict[str, Any], context: ToolContext) -> str:
        del arguments, context
        self.calls += 1
        raise self.error


async def test_what_goes_wrong_with_a_call_is_words_to_the_model() -> None:
    """An unknown tool, arguments that are none, and a tool's own two words."""
    tools = Toolset([TimeTool(), Broken(ToolFailed("It is down."))], CONTEXT, lambda _: YES)

    unknown = await tools.call("tiem", {})
    garbled = await tools.call("time", {INVALID_ARGUMENTS: "{zone"})
    failed = await tools.call("broken", {})
    retried = await tools.call("time", {"zone": "Atlantis"})

    assert [outcome.is_error for outcome in (unknown, garbled, failed, retried)] == [True] * 4
    assert unknown.text == "There is no tool 'tiem'; there are: broken, time."
    assert "JSON" in garbled.text
    assert failed.text == "It is down."


async def test_what_the_gate_refuses_is_not_offered_and_not_run() -> None:
    """A model that calls it all the same is told why not."""
    broken = Broken(ToolFailed("never"))
    tools = Toolset([broken, TimeTool()], CONTEXT, lambda name: YES if name == "time" else NO)

    assert [spec.name for spec in tools.specs] == ["time"]
    assert (await tools.call("broken", {})).text == "Guests cannot use it."
    assert broken.calls == 0


async def test_only_a_tool_that_is_there_has_effects() -> None:
    """What was never run can be said not to have happened."""
    tools = Toolset([Broken(ToolFailed("x")), TimeTool()], CONTEXT, lambda _: YES)
    assert [tools.has_effects(name) for name in ("broken", "time", "unknown")] == [True, False, False]
