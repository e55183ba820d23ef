"""The agent loop: build the prompt, ask the model, call tools, until there is a reply."""

from rookery.agents import prompt, words
from rookery.agents.interruption import Interrupted, Interruption
from rookery.agents.loop import Capacity, Emit, Opening, RunSettings, messages_of, run

__all__ = [
    "Capacity",
    "Emit",
    "Interrupted",
    "Interruption",
    "Opening",
    "RunSettings",
    "messages_of",
    "prompt",
    "run",
    "words",
]
