"""Mistakes with friends: two agents of one person's, or two people's friends, taken for one another."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager, contextmanager
from typing import Any
from unittest.mock import patch

from sqlalchemy import Connection

from rookery import users
from rookery.agents import prompt
from rookery.gateway import friends
from rookery.ids import AgentId, UserId
from rookery.messages import Route
from rookery.sessions.brain import Brain
from rookery.sessions.brains import BrainPool
from rookery.users import chosen


@contextmanager
def persona_of_a_friend_in_the_main_agent() -> Generator[None]:
    """An agent that was told nothing of its own is told what another was."""
    last: list[str] = []
    instructions = prompt.instructions

    def of_the_last(identity: str, persona: str, **more: Any) -> str:
        if persona:
            last[:] = [persona]
        return instructions(identity, persona or "".join(last), **more)

    with patch.object(prompt, "instructions", of_the_last):
        yield


def talk_without_the_chat() -> AbstractContextManager[object]:
    """Who was chosen is remembered for the person, and not for the chat."""

    def anywhere(user_id: UserId, route: Route) -> dict[str, object]:
        del route
        return {"user_id": user_id, "channel": "", "account": "", "chat_id": "", "thread_id": ""}

    return patch.object(chosen, "_chat", anywhere)


def talk_without_the_thread() -> AbstractContextManager[object]:
    """Who was chosen in one thread of a chat answers in all."""
    chat = vars(chosen)["_chat"]

    def without(user_id: UserId, route: Route) -> dict[str, object]:
        return {**chat(user_id, route), "thread_id": ""}

    return patch.object(chosen, "_chat", without)


def names_of_anybodys_friends() -> AbstractContextManager[object]:
    """A friend's name is looked up among everybody's."""

    def everybodys(connection: Connection, owner: UserId) -> Sequence[users.Agent]:
        own = users.own_agents(connection, owner)
        return [*own, *(agent for agent in users.list_agents(connection) if agent not in own)]

    return patch.object(friends, "own_agents", everybodys)


def friends_share_a_brain() -> AbstractContextManager[object]:
    """A brain is found by the person, and not by the agent."""
    use = BrainPool.use

    def of_the_person(pool: BrainPool, agent_id: AgentId) -> AbstractAsyncContextManager[Brain]:
        return use(pool, AgentId(agent_id.partition("--")[0]))

    return patch.object(BrainPool, "use", of_the_person)
