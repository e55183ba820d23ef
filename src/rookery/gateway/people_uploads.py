"""People files that come in several parts: kept in memory until the last one is there, and not for long."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from rookery.errors import InvalidInput, QuotaReached
from rookery.users.described import DescribedPerson

AT_ONCE = 2
KEPT = timedelta(minutes=10)
MOST_PEOPLE = 10_000
MOST_TEXT = 64 * 1024 * 1024
"""Characters of all the texts of one file."""


@dataclass(slots=True)
class Upload:
    """What has come of one file."""

    since: datetime
    people: list[DescribedPerson] = field(default_factory=list[DescribedPerson])
    texts: dict[str, str] = field(default_factory=dict[str, str])
    size: int = 0


class Uploads:
    """The files that are on their way, each its sender's own."""

    def __init__(self) -> None:
        self._open: dict[tuple[str, str], Upload] = {}

    def part(
        self,
        whose: str,
        name: str | None,
        people: Sequence[DescribedPerson],
        texts: Mapping[str, str],
        now: datetime,
        *,
        more: bool,
    ) -> Upload | None:
        """Take one part in; the whole once it is there, None before.

        Raises `InvalidInput` for a first of several without a name, `QuotaReached` when it is too much.
        """
        if name is None and more:
            raise InvalidInput("A file in several parts needs a name for its upload.")
        self._open = {key: one for key, one in self._open.items() if now - one.since < KEPT}
        key = (whose, name or "")
        upload = Upload(now) if name is None else self._open.get(key)
        if upload is None:
            if len(self._open) >= AT_ONCE:
                raise QuotaReached("Other people files are being sent at the moment; try again in a while.")
            upload = self._open[key] = Upload(now)
        upload.people.extend(people)
        upload.texts.update(texts)
        upload.size += sum(map(len, texts.values()))
        if len(upload.people) > MOST_PEOPLE or upload.size > MOST_TEXT:
            self._open.pop(key, None)
            raise QuotaReached(f"A people file holds at most {MOST_PEOPLE} people and 64 MiB of texts.")
        if more:
            return None
        self._open.pop(key, None)
        return upload
