"""Mistakes with what an agent is told about itself, and with what a group said before."""

from __future__ import annotations

from collections.abc import Collection, Generator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any
from unittest.mock import patch

from msgspec import structs

from rookery.gateway import entries, gateway, inbound, overheard
from rookery.gateway.overheard import Group
from rookery.gateway.turns import Turn
from rookery.ids import AgentId
from rookery.messages import MessageEntry, Route, TextPart
from rookery.sessions.workspace_files import FileWorkspace


def files_of_whoever_came_last() -> AbstractContextManager[object]:
    """Where an agent has no files of its own, as a group's has none, those that were read last are told."""
    beginnings = FileWorkspace.beginnings
    last: dict[str, bytes] = {}

    async def any_files(workspace: FileWorkspace, names: Collection[str], limit: int) -> Mapping[str, bytes]:
        last.update(await beginnings(workspace, names, limit))
        return dict(last)

    return patch.object(FileWorkspace, "beginnings", any_files)


@contextmanager
def lines_of_all_groups() -> Generator[None]:
    """What one agent hears in its groups is one history."""
    group_of = overheard.group_of

    def together(agent_id: AgentId, route: Route) -> Group | None:
        return None if group_of(agent_id, route) is None else (agent_id,)

    with patch.object(inbound, "group_of", together), patch.object(gateway, "group_of", together):
        yield


def lines_in_the_transcript() -> AbstractContextManager[object]:
    """What was overheard is written down with the message it came along with."""
    user_entry = entries.user_entry

    def with_lines(batch: Collection[Turn], *rest: Any, **more: Any) -> MessageEntry:
        entry = user_entry(tuple(batch), *rest, **more)
        told = overheard.told([line for turn in batch for line in turn.overheard])
        return structs.replace(entry, content=(*entry.content, TextPart(told))) if told else entry

    return patch.object(entries, "user_entry", with_lines)
