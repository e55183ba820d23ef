"""Which of their own agents a person chose for a chat. What was not chosen is `main`, and has no row."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct
from sqlalchemy import Connection, bindparam, delete, literal, select, update
from sqlalchemy.sql.functions import coalesce

from rookery.ids import AgentId, UserId
from rookery.messages import Route
from rookery.storage.prepared import Prepared
from rookery.storage.statements import upsert
from rookery.users import agents, tables
from rookery.users.agents import Agent
from rookery.users.people import User

_c = tables.chat_agents.c
_CHAT = ("user_id", "channel", "account", "chat_id", "thread_id")
_here = [_c[name] == bindparam(name) for name in _CHAT]
_answering = Prepared(
    select(
        tables.agents,
        select(literal(1)).where(*_here).scalar_subquery().label("chose"),
    ).where(
        tables.agents.c.id == coalesce(select(_c.agent_id).where(*_here).scalar_subquery(), bindparam("main")),
    )
)
_choose = upsert(tables.chat_agents, list(_CHAT), ["agent_id", "chosen_at"])


class Answering(Struct, frozen=True):
    """Who answers a person in a chat. `lost`: they chose another there, who is gone or switched off since."""

    agent: Agent
    lost: bool


def answering(connection: Connection, user: User, route: Route) -> Answering:
    """Who answers a person in the chat of a route. Only an agent of their own ever does."""
    row = _answering.first(connection, {**_chat(user.id, route), "main": user.main_agent})
    agent = agents.get_agent(connection, user.main_agent) if row is None else agents.from_row(row)
    if agent.id == user.main_agent:
        return Answering(agent, lost=row is not None and row.chose is not None)
    if agent.owner != user.id or not agent.enabled:
        return Answering(agents.get_agent(connection, user.main_agent), lost=True)
    return Answering(agent, lost=False)


def choose(connection: Connection, user: User, route: Route, agent_id: AgentId, now: datetime) -> None:
    """Let this agent of theirs answer in the chat of a route from now on."""
    if agent_id == user.main_agent:
        forget(connection, user, route)
        return
    connection.execute(_choose.on(connection), {**_chat(user.id, route), "agent_id": agent_id, "chosen_at": now})


def forget(connection: Connection, user: User, route: Route) -> None:
    """Let `main` answer in the chat of a route again."""
    values = _chat(user.id, route)
    connection.execute(delete(tables.chat_agents).where(*(_c[name] == values[name] for name in _CHAT)))


def left(connection: Connection, agent_id: AgentId) -> None:
    """The agent is about to be gone: where it answered it no longer does, and the next message there is told."""
    connection.execute(update(tables.chat_agents).where(_c.agent_id == agent_id).values(agent_id=None))


def _chat(user_id: UserId, route: Route) -> dict[str, object]:
    return {
        "user_id": user_id,
        "channel": route.channel,
        "account": route.account,
        "chat_id": route.chat.id,
        "thread_id": route.thread_id or "",
    }
