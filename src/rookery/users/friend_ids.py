"""The id of a friend: their name, where that is one; otherwise it is asked for, with one that would do."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection

from rookery.errors import InvalidId
from rookery.ids import RESERVED_USER_IDS, AgentId, UserId, agent_id, fold

_FITS = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")


def friend_agent_id(owner: UserId, id: str) -> AgentId:
    """The agent id of somebody's friend: `alice--sabrina`. Raises `InvalidId` with a suggestion."""
    if not _can_be(id):
        suggestion = suggested_id(id, ())
        raise InvalidId(
            f"{id[:80]!r} cannot be a friend's id: letters, digits, '-' and '_', the first a letter or digit, at "
            f"most 63, no '--', and none of {', '.join(sorted(RESERVED_USER_IDS))}. Try {suggestion!r}.",
            suggestion=suggestion,
        )
    return agent_id(f"{owner}--{id}")


def id_from_name(name: str, taken: Collection[str]) -> str:
    """The id that a friend of this name gets when none was chosen: the name.

    Raises `InvalidId` with a suggestion, which none of the friends `taken` has, for a name that cannot be an id.
    """
    if not _can_be(name):
        suggestion = suggested_id(name, taken)
        raise InvalidId(
            f"{name[:80]!r} cannot be an id, which is written in Latin letters, digits, '-' and '_' and never "
            f"changes. Choose one; {suggestion!r} would do.",
            suggestion=suggestion,
        )
    return name


def _can_be(id: str) -> bool:
    return bool(_FITS.fullmatch(id)) and "--" not in id and fold(id) not in RESERVED_USER_IDS


def suggested_id(name: str, taken: Collection[str]) -> str:
    """An id that fits, is none of those taken, and is as near to the name as can be told from its letters."""
    latin = "".join(map(_latin, unicodedata.normalize("NFC", name)))
    plain = unicodedata.normalize("NFKD", latin).encode("ascii", "ignore").decode()
    parts = "".join(letter if letter.isalnum() or letter == "_" else "-" for letter in plain).split("-")
    base = "-".join(filter(None, parts)).strip("-_")[:50].rstrip("-_") or "friend"
    folded = {fold(one) for one in taken} | RESERVED_USER_IDS
    number, candidate = 1, base
    while fold(candidate) in folded:
        number += 1
        candidate = f"{base}-{number}"
    return candidate


def _latin(letter: str) -> str:
    """A letter in Latin ones, where its script says how it sounds; itself otherwise."""
    small = letter.lower()
    if small in _SOUNDS:
        sound = _SOUNDS[small]
        return sound.capitalize() if small != letter else sound
    name = unicodedata.name(letter, "")
    for script in _NAMED_BY_SOUND:
        if name.startswith(script):
            return name.removeprefix(script).lower()
    return letter


_NAMED_BY_SOUND = ("HANGUL SYLLABLE ", "HIRAGANA LETTER ", "KATAKANA LETTER ")
"""Scripts whose letters Unicode names by how they sound."""

_HEARD = (
    "аa бb вv гg дd еe ёyo жzh зz иi йy кk лl мm нn оo пp рr сs тt уu фf хkh цts чch шsh щshch ъ ыy ь эe "
    "юyu яya іi єye їyi ґg αa βv γg δd εe ζz ηi θth ιi κk λl μm νn ξx οo πp ρr σs ςs τt υy φf χch ψps ωo "
    "άa έe ήi ίi όo ύy ώo ßss øo łl đd æae œoe þth"
)
_SOUNDS = {pair[0]: pair[1:] for pair in _HEARD.split()}
"""How the letters of some scripts sound, and Latin ones that do not come apart into a letter and a mark."""
