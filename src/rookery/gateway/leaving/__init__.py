"""Leaving: everything of one person out, or everything of one person gone."""

from __future__ import annotations

from rookery.gateway.house import House
from rookery.gateway.leaving import erasing
from rookery.gateway.leaving.erasing import resume
from rookery.ids import AgentId
from rookery.policy import Operator, principal

__all__ = ["erase_agent", "resume"]


async def erase_agent(house: House, agent_id: AgentId) -> None:
    """Erase one friend for good: its brain, its rows and itself. The gate was asked before.

    Once this has begun, the next start goes on with it. Raises `NotFound`, `Conflict` for an agent that is no
    friend, and `StorageUnavailable`.
    """
    gateway = house.gateway
    begun = await gateway.database.write(
        lambda connection: erasing.begin_agent(connection, gateway, agent_id, principal(Operator())),
        then=lambda begun: erasing.tell(gateway, begun),
    )
    await erasing.run(gateway, begun.erasure)
