"""Words that belong to one owner and to nobody else, and finding them again however they were written down."""

from __future__ import annotations

import base64
import re
import zlib
from random import Random

MARK = "Kanarie"
_DIGITS = 16


def fresh(rng: Random) -> str:
    """A canary: letters and digits alone, so that JSON, URLs and SQL leave it as it is."""
    return f"{MARK}{rng.getrandbits(4 * _DIGITS):0{_DIGITS}x}"


def found_in(data: bytes | str) -> set[str]:
    """Every canary in the data, whatever the case: as it is, in hex, in base64, as UTF-16, or in a gzip member."""
    raw = data.encode(errors="surrogatepass") if isinstance(data, str) else data
    canaries: set[str] = set()
    _look(raw, canaries)
    return canaries


def _look(data: bytes, canaries: set[str], depth: int = 2) -> None:
    for match in _PLAIN.finditer(data):
        canaries.add(MARK + match[1].decode().lower())
    for match in _HEX.finditer(data):
        _look(bytes.fromhex(match[0].decode()), canaries, 0)
    for match in _BASE64.finditer(data):
        _look_into_base64(data, match.start(), canaries)
    for match in _WIDE.finditer(data):
        _look(match[0].replace(b"\0", b""), canaries, 0)
    if depth:
        at = data.find(_GZIP)
        while at >= 0:
            _look_into_gzip(data[at:], canaries, depth - 1)
            at = data.find(_GZIP, at + 1)


def _look_into_base64(data: bytes, at: int, canaries: set[str]) -> None:
    """Decode what stands around a place where the mark begins; its alignment there is not known."""
    window = data[max(at - 4, 0) : at + 2 * len(MARK) + 4 * _DIGITS].translate(_URLSAFE)
    run = max(re.findall(rb"[A-Za-z0-9+/]+", window), key=len)
    for skip in range(4):
        rest = run[skip:]
        rest = rest[: len(rest) - (len(rest) % 4 == 1)]  # a single character over stands for no byte
        _look(base64.b64decode(rest + b"=" * (-len(rest) % 4)), canaries, 0)


def _look_into_gzip(data: bytes, canaries: set[str], depth: int) -> None:
    try:
        _look(zlib.decompressobj(wbits=31).decompress(data, 1 << 20), canaries, depth)
    except zlib.error:
        return  # these bytes only happened to look like the beginning of one


def _base64_of_the_mark() -> bytes:
    """The middle of the mark's base64, the same whatever stands around it, for each of the three alignments."""
    cores: list[bytes] = []
    for before in range(3):
        written = base64.b64encode(b"\0" * before + MARK.encode())
        first = -(-before * 8 // 6)  # the first character that holds only bits of the mark
        last = (before + len(MARK)) * 8 // 6
        cores.append(written[first:last])
    return b"|".join(map(re.escape, cores))


_PLAIN = re.compile(rb"(?i)%s([0-9a-f]{%d})" % (MARK.encode(), _DIGITS))
_HEX = re.compile(rb"(?i)%s[0-9a-f]{%d}" % (MARK.encode().hex().encode(), 2 * _DIGITS))
_BASE64 = re.compile(_base64_of_the_mark())
_WIDE_MARK = b"".join(bytes((letter, 0)) for letter in MARK.encode())
_WIDE = re.compile(rb"(?i)%s(?:[0-9a-f]\0?){%d}" % (_WIDE_MARK, _DIGITS))
_GZIP = b"\x1f\x8b\x08"
_URLSAFE = bytes.maketrans(b"-_", b"+/")
