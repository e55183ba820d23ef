"""The files of an agent's workspace."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct


class AgentFiles(Struct, frozen=True, rename="camel", kw_only=True, forbid_unknown_fields=True):
    """The files of an agent. `userId` is whose it is: the operator says it, and that person can see that they
    looked."""

    agent_id: str
    user_id: str | None = None


class AgentFileNamed(Struct, frozen=True, rename="camel", kw_only=True, forbid_unknown_fields=True):
    """One file, by its path. `expected`: the version that is to be there, empty for none; null is any."""

    agent_id: str
    path: str
    user_id: str | None = None
    expected: str | None = None


class AgentFilePut(Struct, frozen=True, rename="camel", kw_only=True, forbid_unknown_fields=True):
    """One file with what it is to hold. `expected`: the version that is to be there, as in `AgentFileNamed`."""

    agent_id: str
    path: str
    data: bytes
    user_id: str | None = None
    expected: str | None = None


class AgentFile(Struct, frozen=True, rename="camel", kw_only=True):
    """One file; `size` is in bytes, `changedAt` when it was last written."""

    path: str
    size: int
    changed_at: datetime


class AgentFileShown(Struct, frozen=True, rename="camel", kw_only=True):
    """What one file holds, and the version of that."""

    path: str
    version: str
    data: bytes
