"""Files that people hand in."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct

from rookery.gateway.shapes.common import Line


class AttachmentRef(Struct, frozen=True, rename="camel", kw_only=True, forbid_unknown_fields=True):
    """A file that was handed in before."""

    attachment_id: Annotated[str, Meta(min_length=1, max_length=200)]
    name: Line = "file"
    content_type: Line = "application/octet-stream"


class AttachmentAdd(Struct, frozen=True, rename="camel", kw_only=True, forbid_unknown_fields=True):
    """A file to be kept for an agent; None is one's own. `contentType` is what its sender says it is."""

    name: str
    content_type: str | None
    agent_id: str | None
    data: bytes


class AttachmentNamed(Struct, frozen=True, rename="camel", kw_only=True, forbid_unknown_fields=True):
    """One file; of the agent named, or of any that one has."""

    attachment_id: str
    agent_id: str | None = None


class AttachmentShown(Struct, frozen=True, rename="camel", kw_only=True):
    """A file that is kept. `contentType` goes by what it holds; `size` is in bytes."""

    attachment_id: str
    name: str
    content_type: str
    size: int
    created_at: datetime
