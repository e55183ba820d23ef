"""Server-sent events out of bytes that arrive in any pieces."""

from __future__ import annotations


class EventStream:
    """Takes pieces, gives the `data` of whole events. Lines end with LF or CRLF; comments are passed over."""

    __slots__ = ("_data", "_line")

    def __init__(self) -> None:
        self._line = bytearray()
        self._data: bytes | None = None

    def feed(self, piece: bytes) -> list[bytes]:
        """The events that this piece completes, in order."""
        if b"\n" not in piece:
            # Appending in place keeps a line that comes byte by byte from being copied for every byte.
            self._line += piece
            return []
        *lines, rest = piece.split(b"\n")
        if self._line:
            lines[0] = bytes(self._line) + lines[0]
            self._line.clear()
        if rest:
            self._line += rest
        data = self._data
        events: list[bytes] = []
        for line in lines:
            if line[:6] == b"data: ":
                value = line[6:]
            elif not line or line == b"\r":
                if data is not None:
                    events.append(data)
                    data = None
                continue
            elif line[:5] == b"data:":
                value = line[5:]
            elif line[:6] == b"error:":
                # llama.cpp gives its errors a field of their own.
                value = b'{"error":' + line[6:] + b"}"
            else:
                continue
            if value[-1:] == b"\r":
                value = value[:-1]
            data = value if data is None else data + b"\n" + value
        self._data = data
        return events

    def end(self) -> list[bytes]:
        """At the end of the bytes: the last event, when its closing blank line was left out."""
        return self.feed(b"\n\n")
