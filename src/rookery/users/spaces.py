"""Groups that were let in: which agent answers each, and who sponsors it. Chats are compared exactly, kind too."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, bindparam, insert, or_, select, update

from rookery.errors import Conflict, InvalidInput, NotFound
from rookery.ids import AgentId, UserId
from rookery.messages import Chat, ChatKind
from rookery.storage.prepared import Prepared
from rookery.users import agents, people, tables
from rookery.users.identities import EVERY_ACCOUNT

NAME = "Rookery"
"""What a group's own agent is called when nothing else was said; as people's own are."""


@dataclass(frozen=True, slots=True)
class Space:
    """A group that was let in; `account` None means every account of the channel."""

    channel: str
    account: str | None
    chat: Chat
    agent_id: AgentId
    sponsor: UserId
    admitted_by: str
    admitted_at: datetime

    def __str__(self) -> str:
        account = f"@{self.account}" if self.account is not None else ""
        return f"{self.channel}{account}:{self.chat.id}"


_c = tables.spaces.c
_here = Prepared(
    select(tables.spaces).where(
        _c.channel == bindparam("channel"),
        or_(_c.account == bindparam("account"), _c.account == EVERY_ACCOUNT),
        _c.chat_kind == bindparam("kind"),
        _c.chat_id == bindparam("chat"),
        _c.removed_at.is_(None),
    )
)


def find(connection: Connection, channel: str, account: str, chat: Chat) -> Space | None:
    """The space of a chat on one of our accounts; None for a group that was not let in, and for no group.

    `admit` keeps a chat from being two spaces at once.
    """
    if chat.kind is ChatKind.DM:
        return None
    row = _here.first(
        connection, {"channel": channel, "account": account, "kind": chat.kind.value, "chat": chat.id}
    )
    return None if row is None else _space(row)


def admit(
    connection: Connection,
    channel: str,
    account: str | None,
    chat: Chat,
    *,
    sponsor: UserId,
    agent_id: AgentId | None = None,
    name: str | None = None,
    by: str,
    now: datetime,
) -> Space:
    """Let a group in. Without `agent_id` it gets an agent of its own, or the one it had when it was let in before.

    Raises `NotFound` for the sponsor or the agent, `InvalidInput` for a chat that is none or an agent that cannot
    answer groups, `Conflict` when the group is let in already or its sponsor is disabled.
    """
    if chat.kind is ChatKind.DM or not chat.id or not channel or account == EVERY_ACCOUNT:
        raise InvalidInput("A space needs a channel and the id of a group or channel there.")
    if not people.get_user(connection, sponsor).enabled:
        raise Conflict(f"User {sponsor!r} is disabled and cannot sponsor a group; choose another.")
    overlapping = [_c.channel == channel, _c.chat_kind == chat.kind, _c.chat_id == chat.id]
    if account is not None:
        overlapping.append(or_(_c.account == account, _c.account == EVERY_ACCOUNT))
    known = connection.execute(select(tables.spaces).where(*overlapping, _c.removed_at.is_(None))).first()
    if known is not None:
        there = _space(known)
        raise Conflict(f"'{there}' is let in already and answered by {there.agent_id!r}; remove it there first.")
    before = connection.execute(select(tables.spaces).where(*_is(channel, account, chat))).first()
    own = None if before is None or before.own_agent is None else AgentId(before.own_agent)
    if agent_id is not None:
        answers = _shared(connection, agent_id)
    elif own is not None:
        answers = own
        agents.keep_space_agent(connection, own, enabled=True, sponsor=sponsor, name=name)
    else:
        answers = own = agents.add_space_agent(connection, sponsor=sponsor, name=name or NAME, now=now).id
    values = {
        "agent_id": answers,
        "own_agent": own,
        "sponsor": sponsor,
        "admitted_by": by,
        "admitted_at": now,
        "removed_at": None,
    }
    if before is not None:
        connection.execute(update(tables.spaces).where(*_is(channel, account, chat)).values(**values))
    else:
        written = EVERY_ACCOUNT if account is None else account
        where = {"channel": channel, "account": written, "chat_kind": chat.kind.value, "chat_id": chat.id}
        connection.execute(insert(tables.spaces).values(**where, **values))
    return Space(channel, account, chat, answers, sponsor, by, now)


def remove(connection: Connection, channel: str, account: str | None, chat: Chat, *, now: datetime) -> Space:
    """End a space: nobody is answered there any more. Its own agent is switched off and keeps its brain.

    Raises `NotFound` for a group that is not let in.
    """
    here = (*_is(channel, account, chat), _c.removed_at.is_(None))
    row = connection.execute(select(tables.spaces).where(*here)).first()
    if row is None:
        spelled = f"{channel}{'' if account is None else f'@{account}'}:{chat.id}"
        raise NotFound(f"The {chat.kind.value} '{spelled}' is not let in; `rookery space list` shows which are.")
    connection.execute(update(tables.spaces).where(*here).values(removed_at=now))
    if row.agent_id == row.own_agent:
        agents.keep_space_agent(connection, AgentId(row.own_agent), enabled=False)
    return _space(row)


def list_spaces(connection: Connection) -> list[Space]:
    """Every group that is let in, in the order of their spelling."""
    query = select(tables.spaces).where(_c.removed_at.is_(None))
    query = query.order_by(_c.channel, _c.account, _c.chat_id, _c.chat_kind)
    return [_space(row) for row in connection.execute(query)]


def _shared(connection: Connection, agent_id: AgentId) -> AgentId:
    agent = agents.get_agent(connection, agent_id)
    if not agent.shared:
        raise InvalidInput(f"{agent_id!r} is {agent.owner!r}'s own agent; only a shared agent can answer a group.")
    if agent.of_a_group:
        raise InvalidInput(
            f"{agent_id!r} is a group's own agent and answers no other; leave the agent out, and a group that was "
            "let in before gets its own back."
        )
    return agent.id


def _is(channel: str, account: str | None, chat: Chat) -> tuple[ColumnElement[bool], ...]:
    written = EVERY_ACCOUNT if account is None else account
    return (
        _c.channel == channel,
        _c.account == written,
        _c.chat_kind == chat.kind.value,
        _c.chat_id == chat.id,
    )


def _space(row: Row[Any]) -> Space:
    return Space(
        channel=row.channel,
        account=None if row.account == EVERY_ACCOUNT else row.account,
        chat=Chat(ChatKind(row.chat_kind), row.chat_id),
        agent_id=AgentId(row.agent_id),
        sponsor=UserId(row.sponsor),
        admitted_by=row.admitted_by,
        admitted_at=row.admitted_at,
    )
