"""The agent loop: build the prompt, ask the model, call tools, until there is a reply."""

from rookery.agents import prompt, words
from rookery.agents.ask import Capacity
from rookery.agents.endpoint import Endpoint
from rookery.agents.interruption import Interrupted, Interruption
from rookery.agents.loop import Emit, Opening, RunSettings, messages_of, run
from rookery.agents.steering import NoSteering, Steering

__all__ = [
    "Capacity",
    "Emit",
    "Endpoint",
    "Interrupted",
    "Interruption",
    "NoSteering",
    "Opening",
    "RunSettings",
    "Steering",
    "messages_of",
    "prompt",
    "run",
    "words",
]
