"""Letting groups in, and putting them out again."""

from __future__ import annotations

from sqlalchemy import Connection

from rookery import users
from rookery.config import Config, check_address
from rookery.errors import Conflict, InvalidInput
from rookery.gateway import pairing, turn_facts, turns
from rookery.gateway.operations.desk import Desk
from rookery.gateway.operations.permission import someone, still
from rookery.gateway.rules import INTERNAL_CHANNELS
from rookery.gateway.shapes import Done, Nothing, Space, SpaceAdmit, SpaceNamed
from rookery.ids import TurnId
from rookery.messages import Chat, ChatKind
from rookery.policy import HOUSE, Action
from rookery.users import spaces

_LONGEST = 500


async def admit(desk: Desk, ask: SpaceAdmit) -> Space:
    """Let a group in; its messages are answered from now on.

    Raises `Refused`, `InvalidInput` for a chat, an account or an agent that cannot be, `NotFound` for the sponsor
    or the agent, `Conflict` for a group that is let in already or bound by `rookery.yaml`.
    """
    desk.ask(Action.MANAGE_SPACES, HOUSE)
    chat = _chat(ask)
    if ask.name is not None and (not ask.name.strip() or not ask.name.isprintable() or len(ask.name) > _LONGEST):
        raise InvalidInput("A name is some words on one line; leave it out to use the usual one.")
    if ask.name is not None and ask.agent_id is not None:
        raise InvalidInput(f"The agent {ask.agent_id!r} has a name; leave one of the two out.")
    bound = _bound(desk.config, ask, chat)
    if bound is not None:
        raise Conflict(f"bindings in rookery.yaml give this group to {bound!r} already; take the rule out first.")

    def work(connection: Connection) -> Space:
        still(connection, desk)
        sponsor = someone(connection, desk, ask.sponsor)
        agent = None if ask.agent_id is None else desk.agent(connection, ask.agent_id, Action.READ_AGENT)
        space = spaces.admit(
            connection,
            ask.channel,
            ask.account,
            chat,
            sponsor=sponsor.id,
            agent_id=None if agent is None else agent.id,
            name=ask.name,
            by=desk.principal,
            now=desk.now(),
        )
        pairing.group_let_in(connection, ask.channel, ask.account, chat, by=desk.principal, now=desk.now())
        desk.record(connection, "space.admit", f"{space} {space.agent_id}", space.sponsor)
        return _shown(connection, space)

    return await desk.write(work, lambda space: space.agent_id)


async def listed(desk: Desk, _: Nothing) -> list[Space]:
    """The groups that are let in. Raises `Refused`."""
    desk.ask(Action.MANAGE_SPACES, HOUSE)
    return await desk.house.database.read(
        lambda connection: [_shown(connection, space) for space in spaces.list_spaces(connection)]
    )


async def remove(desk: Desk, ask: SpaceNamed) -> Done:
    """Put a group out: what is being answered there stops, and nothing more is. Its agent's brain is kept.

    Raises `Refused`, `InvalidInput` for a chat that cannot be, and `NotFound` for a group that is not let in.
    """
    desk.ask(Action.MANAGE_SPACES, HOUSE)
    chat = _chat(ask)

    def work(connection: Connection) -> tuple[users.Space, list[TurnId]]:
        still(connection, desk)
        space = spaces.remove(connection, ask.channel, ask.account, chat, now=desk.now())
        desk.record(connection, "space.remove", f"{space} {space.agent_id}", space.sponsor)
        busy = turn_facts.busy_in(connection, space.channel, space.account, space.chat)
        return space, [turn for session in busy for turn in turns.stop(connection, session, None)]

    gateway = desk.house.gateway
    with gateway.catching_up():
        space, _ = await gateway.database.write(work, then=lambda removed: gateway.lanes.stop(removed[1]))
    gateway.overheard.forget(lambda group, _: group[0] == space.agent_id)
    return Done(f"{space} is answered no more; what {space.agent_id} remembers is kept.")


def _chat(ask: SpaceAdmit | SpaceNamed) -> Chat:
    """The chat that was named, by the rules for addresses. Raises `InvalidInput`."""
    if not ask.chat:
        raise InvalidInput("The group's id is empty; give the one its network has for it.")
    check_address(ask.channel, ask.account, ask.chat)
    if ask.channel in INTERNAL_CHANNELS | {"cron"}:
        raise InvalidInput(f"{ask.channel} has no groups; name one of a chat network.")
    if not ask.chat.isprintable() or ask.chat != ask.chat.strip() or len(ask.chat) > _LONGEST:
        raise InvalidInput(f"{ask.chat[:80]!r} is no chat id: it is too long, or holds control characters.")
    return Chat(ChatKind(ask.kind), ask.chat)


def _bound(config: Config, ask: SpaceAdmit, chat: Chat) -> str | None:
    """The agent that a rule of the configuration names for this very group."""
    for binding in config.bindings:
        match, peer = binding.match, binding.match.peer
        here = match.channel == ask.channel and (match.account is None or ask.account in (None, match.account))
        if here and peer is not None and (peer.kind, peer.id) == (chat.kind, chat.id):
            return binding.agent_id
    return None


def _shown(connection: Connection, space: users.Space) -> Space:
    agent = users.get_agent(connection, space.agent_id)
    return Space(
        channel=space.channel,
        account=space.account,
        kind="group" if space.chat.kind is ChatKind.GROUP else "channel",
        chat=space.chat.id,
        agent_id=agent.id,
        agent_name=agent.name,
        sponsor=space.sponsor,
        admitted_by=space.admitted_by,
        admitted_at=space.admitted_at,
        answering=agent.enabled and users.get_user(connection, space.sponsor).enabled,
    )
