"""The agent loop: build the prompt, ask the model, call tools, until there is a reply."""

from rookery.agents import prompt, words
from rookery.agents.approvals import Approvals, NobodyToAsk, Verdict, Wish
from rookery.agents.calling import Capacity
from rookery.agents.calls import pending_calls
from rookery.agents.endpoint import Endpoint
from rookery.agents.interruption import Interrupted, Interruption
from rookery.agents.loop import Emit, Opening, RunSettings, messages_of, run
from rookery.agents.shortening import Shortening
from rookery.agents.steering import NoSteering, Steering

__all__ = [
    "Approvals",
    "Capacity",
    "Emit",
    "Endpoint",
    "Interrupted",
    "Interruption",
    "NoSteering",
    "NobodyToAsk",
    "Opening",
    "RunSettings",
    "Shortening",
    "Steering",
    "Verdict",
    "Wish",
    "messages_of",
    "pending_calls",
    "prompt",
    "run",
    "words",
]
