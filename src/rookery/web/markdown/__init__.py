"""A model's Markdown as HTML that is safe to show: rendered here, so that a page needs no parser and no trust.

The libraries are imported on first use, which takes a moment: `warm` does it ahead, in a thread.
"""

from __future__ import annotations

from rookery.web.markdown.blocks import Blocks

__all__ = ["Blocks", "is_heavy", "render", "rendered", "warm"]

HEAVY = 6_000
"""Characters from which on a text is rendered in a thread, so that it holds nobody up."""


def render(text: str) -> str:
    """The whole text as HTML: no script, no handler, no style, nothing that is loaded from anywhere."""
    return "".join(rendered(text))


def rendered(text: str) -> list[str]:
    """The same, block by block."""
    from rookery.web.markdown import engine

    return engine.render_blocks(text)


def is_heavy(text: str) -> bool:
    """Whether rendering this text is better done in a thread."""
    return len(text) > HEAVY


def warm() -> None:
    """Import the libraries and what they need for the usual languages; call it in a thread."""
    from rookery.web.markdown import engine

    engine.warm()
