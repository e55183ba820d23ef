"""The web page: a client of the REST and WebSocket interfaces, served from files of this package."""
