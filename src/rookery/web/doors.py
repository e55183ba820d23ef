"""The doors for people and their programs. Imported after the start, for they bring a good deal with them."""

from __future__ import annotations

from rookery.web.api.door import ApiDoor
from rookery.web.asgi import Door
from rookery.web.front import Front
from rookery.web.live.door import LiveDoor
from rookery.web.page.door import PageDoor
from rookery.web.v1.door import V1Door


class Doors:
    """Each way in, opened once. Made on the event loop."""

    def __init__(self, front: Front) -> None:
        self.live = LiveDoor(front)
        self.api = ApiDoor(front, self.live)
        self._v1 = V1Door(front)
        self._page = PageDoor(front)

    def to(self, path: str) -> Door | None:
        """Where a path leads; None for nowhere."""
        if path.startswith("/v1/"):
            return self._v1
        if path.startswith("/api/") or path in ("/openapi.json", "/metrics"):
            return self.api
        if path in ("/", "/setup", "/favicon.ico") or path.startswith("/ui/"):
            return self._page
        return None
