"""The models: one port, and the clients behind it."""

from rookery.models.port import (
    INVALID_ARGUMENTS,
    Key,
    Model,
    ModelEvent,
    ModelReply,
    ModelRequest,
    ModelStream,
    PromptMessage,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
    ToolSpec,
)

__all__ = [
    "INVALID_ARGUMENTS",
    "Key",
    "Model",
    "ModelEvent",
    "ModelReply",
    "ModelRequest",
    "ModelStream",
    "PromptMessage",
    "TextDelta",
    "ThinkingDelta",
    "ToolCallDelta",
    "ToolSpec",
]
