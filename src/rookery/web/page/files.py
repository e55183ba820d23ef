"""The page's own files, as they go out: read once, named by a hash of them all, and compressed once."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable

_TYPES = {
    "css": "text/css; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "ico": "image/x-icon",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
_INDEX = "index.html"
_PRELOADS = b"<!-- preloads -->"
_ON_DEMAND = ("words/de.js", "words/es.js", "words/zh.js")  # a page loads the one it speaks; English it always has
_BEFORE_ALL = "theme.js"  # no module: it runs before the first paint


@dataclass(frozen=True, slots=True)
class File:
    """One file; `packed` is its gzip, None where that would not be smaller. The ETag is weak: it is the same for
    both."""

    content_type: str
    etag: str
    plain: bytes
    packed: bytes | None


@dataclass(frozen=True, slots=True)
class Files:
    """All files of one version of the page.

    `hash` covers every byte of them. It is part of their addresses, and modules import one another by relative
    addresses: a page that is open keeps to its own version, and whatever was fetched once never changes.
    """

    hash: str
    index: File
    icon: File
    by_name: dict[str, File]

    @classmethod
    def read(cls) -> Files:
        """Read them from the installed package. Takes milliseconds and the disk: not for the event loop."""
        found = dict(sorted(_walk(files("rookery.web.page") / "static")))
        whole = hashlib.sha256()
        for name, data in found.items():
            whole.update(b"%d %b %d " % (len(name), name.encode(), len(data)))
            whole.update(data)
        version = whole.hexdigest()[:16]
        index = _file(_INDEX, _with_preloads(found.pop(_INDEX), version, list(found)))
        by_name = {name: _file(name, data) for name, data in found.items()}
        return cls(version, index, by_name["favicon.ico"], by_name)


def _walk(folder: Traversable, prefix: str = "") -> Iterator[tuple[str, bytes]]:
    for entry in folder.iterdir():
        name = f"{prefix}{entry.name}"
        if entry.is_dir():
            yield from _walk(entry, f"{name}/")
        elif entry.name.rpartition(".")[2] in _TYPES:
            yield name, entry.read_bytes()


def _with_preloads(index: bytes, version: str, names: list[str]) -> bytes:
    """The index with its version's addresses, and with all modules named so that they come in one round trip."""
    modules = [name for name in names if name.endswith(".js") and name not in {*_ON_DEMAND, _BEFORE_ALL}]
    links = [f'<link rel="modulepreload" href="ui/{version}/{name}">' for name in modules]
    return index.replace(_PRELOADS, "\n    ".join(links).encode()).replace(b"{version}", version.encode())


def _file(name: str, data: bytes) -> File:
    packed = gzip.compress(data, 9, mtime=0)
    return File(
        content_type=_TYPES[name.rpartition(".")[2]],
        etag=f'W/"{hashlib.sha256(data).hexdigest()[:16]}"',
        plain=data,
        packed=packed if len(packed) < len(data) else None,
    )
