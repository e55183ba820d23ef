"""Leaving: what is kept of somebody, and having it erased."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from rookery.gateway.shapes.common import Secret


class UserErase(Struct, frozen=True, rename="camel", kw_only=True, forbid_unknown_fields=True):
    """Who is to be erased; `hand_over_to` takes over the groups and agents they sponsor.

    `dry_run`: only say what would go.
    """

    user_id: str
    hand_over_to: str | None = None
    dry_run: bool = False


class MeErase(Struct, frozen=True, rename="camel", kw_only=True, forbid_unknown_fields=True):
    """The password of whoever is to be erased: that it is really they who ask."""

    password: Secret


class Erased(Struct, frozen=True, rename="camel", kw_only=True):
    """What went, or would go: the agents, and how many rows of each table.

    `described`: the people file still names them, and adds them again when it is applied.
    """

    user_id: str
    agents: tuple[str, ...]
    rows: Mapping[str, int]
    described: bool
    done: bool
