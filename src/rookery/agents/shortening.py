"""What keeps a conversation within a model's window, as a run asks it."""

from __future__ import annotations

from typing import Protocol

from rookery.sessions import Session


class Shortening(Protocol):
    """Makes a session's history shorter. Everything of the turn so far is in the transcript when it is asked.

    May be cancelled at any point.
    """

    async def filling(self, session: Session, tokens: int) -> None:
        """Told before each step about how many tokens the conversation has: what the model counted last, and a
        guess of what came since. It may be made shorter now."""
        ...

    async def overflowed(self, session: Session) -> bool:
        """The model refused the conversation as too long. Whether it is shorter now, so that it is asked again."""
        ...
