"""A people file on its way to the gateway, in parts, and what came of it."""

from __future__ import annotations

from msgspec import Struct

from rookery.users.described import DescribedPerson


class PeopleApply(Struct, frozen=True, rename="camel", kw_only=True, forbid_unknown_fields=True):
    """People of a file, in the file's order, and the texts their friends name, by their SHA-256.

    What is too large for one request comes in several under one `upload`; all but the last say that there is
    `more`. A `rehearsal` says what would change and changes nothing.
    """

    people: tuple[DescribedPerson, ...] = ()
    texts: dict[str, str] = {}
    upload: str | None = None
    more: bool = False
    rehearsal: bool = False
