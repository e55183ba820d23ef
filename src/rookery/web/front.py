"""What every door of the web face stands on."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from msgspec import Struct

from rookery.gateway.gateway import Gateway
from rookery.gateway.log import Logger
from rookery.gateway.operations import Desk
from rookery.web.entry import Entry
from rookery.web.origin import Origins


class Front(Struct, frozen=True):
    """The open house, as the web face sees it. `desk` is the operator's: a request works with `desk.of(actor)`."""

    desk: Desk
    entry: Entry

    @classmethod
    def of(cls, desk: Desk) -> Front:
        """The front of an open house, with what its configuration says of hosts and proxies."""
        web = desk.config.gateway
        origins = Origins(
            public_url=web.public_url,
            allowed_hosts=web.allowed_hosts,
            trusted_proxies=[str(network) for network in web.trusted_proxies],
        )
        gateway = desk.house.gateway
        return cls(desk, Entry(gateway.database, origins, gateway.now, gateway.log))

    @property
    def gateway(self) -> Gateway:
        return self.desk.house.gateway

    @property
    def now(self) -> Callable[[], datetime]:
        return self.gateway.now

    @property
    def log(self) -> Logger:
        return self.gateway.log
