"""Agents, and the groups that were let in."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Literal

from fastapi import Depends, Query
from starlette.responses import Response

from rookery.gateway.idempotency import Repeated
from rookery.gateway.operations import agents, keys, spaces
from rookery.gateway.shapes import (
    Agent,
    AgentAdd,
    AgentChange,
    AgentKey,
    AgentNamed,
    KeyNamed,
    KeySet,
    Nothing,
    Space,
    SpaceAdmit,
    SpaceNamed,
)
from rookery.web.api.answers import answer, listing, nothing
from rookery.web.api.asking import Asked, Sent
from rookery.web.api.routes import Many, Routes

routes = Routes("Agents and groups")


@routes.route("GET", "/api/agents", {200: Many(Agent)})
async def list_agents(asked: Asked) -> Response:
    """The agents one may talk to, by id; to an admin, all of them."""
    return listing(await agents.listed(asked.desk, Nothing()))


@routes.route("POST", "/api/agents", {201: Agent}, once=True)
async def add_agent(asked: Asked, sent: Annotated[AgentAdd, Depends(Sent(AgentAdd))]) -> Response:
    """Add a friend, an agent of one's own beside the main one; or, with a sponsor, a shared agent."""
    try:
        made = await agents.add(asked.once(sent), sent)
    except Repeated as repeated:
        made = await agents.shown(asked.desk, AgentNamed(agent_id=repeated.object_id))
    return answer(made, HTTPStatus.CREATED)


@routes.route("GET", "/api/agents/{id}", {200: Agent})
async def get_agent(asked: Asked, id: str) -> Response:
    """One agent; its persona and keys are shown to who could change them."""
    return answer(await agents.shown(asked.desk, AgentNamed(agent_id=id)))


@routes.route("PATCH", "/api/agents/{id}", {200: Agent})
async def change_agent(
    asked: Asked, id: str, sent: Annotated[AgentChange, Depends(Sent(AgentChange, given={"agentId": "id"}))]
) -> Response:
    """Change what is said of an agent, or switch it on or off; its id stays."""
    del id
    return answer(await agents.alter(asked.desk, sent))


@routes.route("DELETE", "/api/agents/{id}", {204: None})
async def remove_agent(asked: Asked, id: str) -> Response:
    """Erase a friend for good, with its conversations; or take away a shared agent that nobody has talked to."""
    await agents.remove(asked.desk, AgentNamed(agent_id=id))
    return nothing()


@routes.route("GET", "/api/agents/{id}/keys", {200: Many(AgentKey)})
async def list_keys(asked: Asked, id: str) -> Response:
    """The keys an agent may use, in their order, by name and last four characters; never the keys themselves."""
    return listing(await keys.of_agent(asked.desk, AgentNamed(agent_id=id)))


@routes.route("POST", "/api/agents/{id}/keys", {201: AgentKey})
async def set_key(
    asked: Asked, id: str, sent: Annotated[KeySet, Depends(Sent(KeySet, given={"agentId": "id"}))]
) -> Response:
    """Give an agent a key of its own, or another in its place; it is sealed, and nobody is shown it again."""
    del id
    return answer(await keys.set_key(asked.desk, sent), HTTPStatus.CREATED)


@routes.route("DELETE", "/api/agents/{id}/keys/{provider}/{profile}", {204: None})
async def revoke_key(asked: Asked, id: str, provider: str, profile: str) -> Response:
    """Take a key of its own from an agent, from its next call on."""
    await keys.revoke(asked.desk, KeyNamed(agent_id=id, provider=provider, profile=profile))
    return nothing()


@routes.route("GET", "/api/spaces", {200: Many(Space)})
async def list_spaces(asked: Asked) -> Response:
    """The groups that are let in."""
    return listing(await spaces.listed(asked.desk, Nothing()))


@routes.route("POST", "/api/spaces", {201: Space}, once=True)
async def admit_space(asked: Asked, sent: Annotated[SpaceAdmit, Depends(Sent(SpaceAdmit))]) -> Response:
    """Let a group in: its messages are answered from now on."""
    try:
        made = await spaces.admit(asked.once(sent), sent)
    except Repeated:
        there = await spaces.listed(asked.desk, Nothing())
        made = next((one for one in there if _is(one, sent)), None)
        if made is None:
            raise  # it was put out again meanwhile
    return answer(made, HTTPStatus.CREATED)


@routes.route("DELETE", "/api/spaces", {204: None})
async def remove_space(
    asked: Asked,
    channel: Annotated[str, Query(max_length=100)],
    chat: Annotated[str, Query(max_length=1000)],
    account: Annotated[str | None, Query(max_length=1000)] = None,
    kind: Literal["group", "channel"] = "group",
) -> Response:
    """Put a group out: nothing is answered there any more. What its agent remembers is kept."""
    await spaces.remove(asked.desk, SpaceNamed(channel=channel, chat=chat, account=account, kind=kind))
    return nothing()


def _is(space: Space, asked: SpaceAdmit) -> bool:
    return (space.channel, space.account, space.kind, space.chat) == (
        asked.channel,
        asked.account,
        asked.kind,
        asked.chat,
    )
