"""One agent's conversations: their places, their transcripts, and the brain that holds them."""

from rookery.sessions.brain import Brain
from rookery.sessions.brains import Brains, FileBrains, MemoryBrains, RowBrains
from rookery.sessions.session import Session

__all__ = ["Brain", "Brains", "FileBrains", "MemoryBrains", "RowBrains", "Session"]
