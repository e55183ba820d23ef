"""A gateway process whose clock is looked at only with its person's yes, and in which that takes its time.

No tool of this version asks first, so the process is given one at its start: Python imports `sitecustomize`.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rookery.gateway.consent import Consent
from rookery.tools import TimeTool

WORDS = "Look at the clock in the hall, and tell nobody else what time it is."

_OVER = "ROOKERY_TEST_TIME_IS_OVER"


def asks_first(directory: Path) -> dict[str, str]:
    """The environment for that; an answer is waited for until `time_is_over`."""
    (directory / "sitecustomize.py").write_text("from tests.browser.asking import install\ninstall()\n")
    root = Path(__file__).parents[2]
    return {"PYTHONPATH": os.pathsep.join([str(directory), str(root)]), _OVER: str(_flag(directory))}


def time_is_over(directory: Path) -> None:
    """From now on nobody who is asked has any time left."""
    _flag(directory).touch()


def install() -> None:
    """Called in the process itself."""
    made: Callable[..., None] = Consent.__init__

    def approval(*_: object) -> str:
        return WORDS

    async def until_over(_: float) -> None:
        while not Path(os.environ[_OVER]).exists():
            await asyncio.sleep(0.02)

    def make(consent: Consent, **how: Any) -> None:
        made(consent, **{**how, "wait": until_over})

    setattr(TimeTool, "approval", approval)  # noqa: B010 - tools of this version have none
    setattr(Consent, "__init__", make)  # noqa: B010 - pyright will not have it otherwise


def _flag(directory: Path) -> Path:
    return directory / "over"
