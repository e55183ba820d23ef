"""What an agent can do besides talk: tools, behind the one gate."""

from rookery.tools.port import AsksFirst, TakesItsTime, Tool, ToolContext
from rookery.tools.time import TimeTool
from rookery.tools.toolset import ToolLimits, ToolOutcome, Toolset

__all__ = [
    "AsksFirst",
    "TakesItsTime",
    "TimeTool",
    "Tool",
    "ToolContext",
    "ToolLimits",
    "ToolOutcome",
    "Toolset",
]
