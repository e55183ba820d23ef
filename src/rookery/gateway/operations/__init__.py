"""The operator's operations: one table of names, the same whoever calls them and however they come in.

They are called through the control socket of a running gateway, or on a state that a command opened itself
under the home's lock. Each takes one of the requests in `gateway.shapes` and returns a fact from there.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from msgspec import Struct

from rookery.config import Config
from rookery.errors import InvalidInput, NotFound
from rookery.gateway.house import House
from rookery.gateway.operations import agents, checks, people, sessions, state
from rookery.gateway.operations.desk import Desk
from rookery.gateway.reload import Reloader
from rookery.gateway.shapes import (
    AgentAdd,
    AgentNamed,
    AgentSet,
    IdentityChange,
    IdentityList,
    KeyGrant,
    Nothing,
    SessionList,
    SessionNamed,
    SessionNew,
    UserAdd,
)

__all__ = ["OPERATIONS", "Desk", "Operation", "Operations"]


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation. `run` gives its result, or is a generator of events when the result is too large for one."""

    params: type[Struct]
    run: Callable[[Desk, Any], Awaitable[object] | AsyncGenerator[Struct]]


OPERATIONS: Mapping[str, Operation] = {
    "status": Operation(Nothing, state.status),
    "config.reload": Operation(Nothing, state.reload),
    "user.add": Operation(UserAdd, people.add),
    "user.list": Operation(Nothing, people.listed),
    "identity.link": Operation(IdentityChange, people.link),
    "identity.unlink": Operation(IdentityChange, people.unlink),
    "identity.list": Operation(IdentityList, people.identities),
    "agent.list": Operation(Nothing, agents.listed),
    "agent.add": Operation(AgentAdd, agents.add),
    "agent.set": Operation(AgentSet, agents.change),
    "key.grant": Operation(KeyGrant, agents.grant),
    "key.ungrant": Operation(KeyGrant, agents.ungrant),
    "key.list": Operation(Nothing, agents.keys),
    "session.list": Operation(SessionList, sessions.listed),
    "session.show": Operation(SessionNamed, sessions.show),
    "session.export": Operation(SessionNamed, sessions.export),
    "session.new": Operation(SessionNew, sessions.new),
    "check.database": Operation(Nothing, checks.database),
    "check.configuration": Operation(Nothing, checks.configuration),
    "check.models": Operation(Nothing, checks.models),
    "check.brain": Operation(AgentNamed, checks.brain),
    "brain.reindex": Operation(AgentNamed, checks.reindex),
}


class Operations:
    """The operations on one open house."""

    def __init__(
        self, house: House, config: Config, reloader: Reloader | None = None, *, address: str | None = None
    ) -> None:
        """`address`: where the gateway answers; None when the state was opened by a command and nothing runs."""
        self.desk = Desk(house, config, reloader, address, house.gateway.now())

    def call(self, method: str, params: bytes | msgspec.Raw) -> Awaitable[object] | AsyncGenerator[Struct]:
        """Begin an operation with JSON parameters. Raises `NotFound` for no method, `InvalidInput` for others'
        parameters; what the operation itself raises comes when it is awaited."""
        operation = OPERATIONS.get(method)
        if operation is None:
            raise NotFound(f"There is no operation {method[:80]!r} in this version.")
        return operation.run(self.desk, read_params(operation.params, params))


def read_params(shape: type[Struct], params: bytes | msgspec.Raw) -> Any:
    """Decode parameters. Raises `InvalidInput` that names what does not fit."""
    try:
        return msgspec.json.decode(params, type=shape)
    except msgspec.DecodeError as error:
        raise InvalidInput(f"The parameters do not fit: {error}") from None
