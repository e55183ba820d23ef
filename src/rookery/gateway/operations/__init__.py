"""The operator's operations: one table of names, the same whoever calls them and however they come in.

They are called through the control socket of a running gateway, or on a state that a command opened itself
under the home's lock. Each takes one of the requests in `gateway.shapes` and returns a fact from there.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable
from typing import Any

import msgspec
from msgspec import Struct

from rookery.config import Config
from rookery.errors import InvalidInput, NotFound
from rookery.gateway.house import House
from rookery.gateway.operations.desk import Desk
from rookery.gateway.reload import Reloader

__all__ = ["Desk", "Operations", "read_params"]


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
        from rookery.gateway.operations.table import OPERATIONS

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
