"""What an agent can do besides talk: tools, behind the one gate."""

from rookery.tools.port import Tool, ToolContext, Toolset
from rookery.tools.time import TimeTool

__all__ = ["TimeTool", "Tool", "ToolContext", "Toolset"]
