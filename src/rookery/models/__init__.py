"""The models: one port, and the clients behind it."""

from rookery.models.port import (
    Key,
    Model,
    ModelEvent,
    ModelReply,
    ModelRequest,
    PromptMessage,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
    ToolSpec,
)

__all__ = [
    "Key",
    "Model",
    "ModelEvent",
    "ModelReply",
    "ModelRequest",
    "PromptMessage",
    "TextDelta",
    "ThinkingDelta",
    "ToolCallDelta",
    "ToolSpec",
]
