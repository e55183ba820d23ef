"""Mistakes with keys that the proof has to notice: one inherited, one of somebody else, one that is gone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from typing import Any
from unittest.mock import patch

from rookery.agents import Endpoint
from rookery.gateway.answering import Answering
from rookery.gateway.equipment import Equipment
from rookery.gateway.keyring import Keyring
from rookery.gateway.providers import HeldKey
from rookery.ids import AgentId

Held = Sequence[HeldKey]


def _holding(change: Callable[[dict[str, Held], AgentId, Held], Held]) -> AbstractContextManager[object]:
    """What an agent holds is changed by what others were seen to hold."""
    held: Callable[..., Any] = vars(Keyring)["_held"]
    seen: dict[str, Held] = {}

    async def changed(keyring: Keyring, agent_id: AgentId, *rest: Any) -> Any:
        found = await held(keyring, agent_id, *rest)
        instead = list(change(seen, agent_id, found))
        if found:
            seen[agent_id] = found
        return instead

    return patch.object(Keyring, "_held", changed)


def key_inherited() -> AbstractContextManager[object]:
    """A friend without a key of its own uses its person's."""
    return _holding(lambda seen, agent_id, found: found or seen.get(agent_id.partition("--")[0], ()))


def keys_of_one_person_are_one() -> AbstractContextManager[object]:
    """A person's keys are taken for each of their agents', before its own."""
    return _holding(lambda seen, agent_id, found: [*seen.get(agent_id.partition("--")[0], ()), *found])


def any_key_will_do() -> AbstractContextManager[object]:
    """Who has none, or whose own fails, uses whatever somebody else had."""
    return _holding(lambda seen, _, found: [*found, *next(iter(seen.values()), ())])


def revocation_at_the_next_turn() -> AbstractContextManager[object]:
    """A turn goes on with the keys it began with."""
    endpoints: Callable[..., Any] = vars(Equipment)["_endpoints"]
    begun: dict[str, Sequence[Endpoint]] = {}

    async def noting(equipment: Equipment, answering: Answering, grants: Any) -> Sequence[Endpoint]:
        turn = answering.leader.turn_id
        if turn not in begun:
            begun[turn] = await endpoints(equipment, answering, grants)
        return begun[turn]

    return patch.object(Equipment, "_endpoints", noting)


def sticky_without_the_agent() -> AbstractContextManager[object]:
    """Which key answered last is remembered by provider alone, with the key."""
    stack = ExitStack()
    last: dict[str, HeldKey] = {}

    def noting(_keyring: Keyring, _agent_id: AgentId, _session_id: str, endpoint: Endpoint) -> None:
        name, key = endpoint.key_name, endpoint.key
        if name is not None and key is not None:
            last[endpoint.provider] = HeldKey(endpoint.provider, name, key, endpoint.key_owner)

    def sticking(_keyring: Keyring, _agent_id: AgentId, _session_id: str, held: list[HeldKey]) -> list[HeldKey]:
        first = last.get(held[0].provider)
        return held if first is None else [first, *held]

    stack.enter_context(patch.object(Keyring, "answered", noting))
    stack.enter_context(patch.object(Keyring, "_sticking", sticking))
    return stack


def revealed_by_name() -> AbstractContextManager[object]:
    """What was opened is remembered by provider and profile, and not by agent."""
    opening: Callable[..., Any] = vars(Keyring)["_open"]
    opened: dict[tuple[str, str], Any] = {}

    async def by_name(keyring: Keyring, agent_id: AgentId, provider: str, name: str, *rest: Any) -> Any:
        if (provider, name) not in opened:
            opened[provider, name] = await opening(keyring, agent_id, provider, name, *rest)
        return opened[provider, name]

    return patch.object(Keyring, "_open", by_name)


MISTAKES: Mapping[str, Callable[[], AbstractContextManager[object]]] = {
    "a key is inherited": key_inherited,
    "a person's keys are all their agents'": keys_of_one_person_are_one,
    "any key will do": any_key_will_do,
    "what is revoked holds until the next turn": revocation_at_the_next_turn,
    "stickiness forgets the agent": sticky_without_the_agent,
    "an opened key is remembered by its name": revealed_by_name,
}
