"""A route as columns of a row, and back."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row

from rookery.messages import Chat, ChatKind, Route

COLUMNS = ("channel", "account", "chat_kind", "chat_id", "thread_id", "sender_id", "message_id")
"""The names of a route's columns."""


def to_columns(route: Route) -> dict[str, str | None]:
    """The values of the route's columns."""
    return {
        "channel": route.channel,
        "account": route.account,
        "chat_kind": route.chat.kind.value,
        "chat_id": route.chat.id,
        "thread_id": route.thread_id,
        "sender_id": route.sender_id,
        "message_id": route.message_id,
    }


def from_row(row: Row[Any]) -> Route:
    """The route of a row that has its columns."""
    return Route(
        channel=row.channel,
        account=row.account,
        chat=Chat(ChatKind(row.chat_kind), row.chat_id),
        thread_id=row.thread_id,
        sender_id=row.sender_id,
        message_id=row.message_id,
    )
