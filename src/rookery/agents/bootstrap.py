"""The files that tell an agent about itself, a part of its instructions: the same bytes until one is changed."""

from __future__ import annotations

from collections.abc import Mapping

FILES = {
    "AGENTS.md": "how you work",
    "SOUL.md": "what you are like",
    "USER.md": "who you help",
    "identity.md": "who you are",
}
"""Their names, at the top of the workspace, in the order in which they are told; each with what it is about."""

LONGEST = 20_000
"""How many characters of a file are told."""

BYTES = 4 * LONGEST + 1
"""How many bytes of a file are enough to know its first `LONGEST` characters, and whether there are more."""


def told(files: Mapping[str, bytes]) -> str:
    """What the files say, each under a heading with its name; those that are missing or empty are left out."""
    return "\n\n".join(
        f"# {name}: {about}\n\n{text}"
        for name, about in FILES.items()
        if (text := _text(name, files.get(name, b"")))
    )


def _text(name: str, data: bytes) -> str:
    text = data.decode("utf-8-sig", "replace").replace("\0", "\ufffd")
    if len(text) > LONGEST:
        return f"{text[:LONGEST].strip()}\n\n[{name} goes on; its first {LONGEST:,} characters stand here.]"
    return text.strip()
