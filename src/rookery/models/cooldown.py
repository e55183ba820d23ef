"""Which endpoints are left alone for a while, because they failed, and for how long.

What a failure says of an endpoint differs: a rate limit is the key's, an overload the provider's, an unknown model
that model's alone. Nothing here reads a clock, and nothing is kept over a restart.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

from msgspec import Struct

from rookery.errors import ModelError, ModelErrorKind
from rookery.models.port import Key, Model

Kind = ModelErrorKind


class Place(Protocol):
    """Where a model can be asked. What cools is told apart by all of these.

    So a key that was changed, a provider that moved, and somebody else's key of the same name start afresh.
    """

    @property
    def provider(self) -> str: ...
    @property
    def model(self) -> Model | None: ...
    @property
    def model_name(self) -> str: ...
    @property
    def key(self) -> Key | None: ...
    @property
    def key_name(self) -> str | None: ...


class Scope(StrEnum):
    """What of an endpoint cools."""

    KEY = "key"
    """Whatever would be asked with this key; other people's keys go on."""

    PROVIDER = "provider"
    """Whatever this provider offers, to everybody."""

    MODEL = "model"
    """This one model of the provider."""


class Cooling(Struct, frozen=True):
    """One thing that cools. `name` is that of the key or the model, where it is one; no secret is in here.

    `hinted`: the provider said itself how long. `times`: how often it failed before without a success between.
    """

    provider: str
    scope: Scope
    name: str | None
    kind: ModelErrorKind
    since: datetime
    until: datetime
    hinted: bool = False
    times: int = 0

    def left(self, now: datetime) -> float:
        """The seconds that are left of it; 0 when it is over, also when the clock was set back before it."""
        return (self.until - now).total_seconds() if self.since <= now < self.until else 0.0

    def error(self, now: datetime) -> ModelError:
        """What whoever would have asked is told instead: the failure it cools for, with the seconds left."""
        left = self.left(now)
        return ModelError(
            self.kind,
            f"{self.provider} is left alone for another {math.ceil(left)} s after {self.kind.value}.",
            retry_after=left if self.hinted else None,
        )


class _Slot(Struct, frozen=True):
    scope: Scope
    provider: str
    client: Model | None
    name: str | None = None
    key: Key | None = None


@dataclass(slots=True)
class Cooldowns:
    """What cools now, of everything one gateway can ask."""

    _known: dict[_Slot, Cooling] = field(default_factory=dict[_Slot, Cooling])

    def cooling(self, place: Place, now: datetime) -> Cooling | None:
        """Why this endpoint had better not be asked now: of several reasons the one that lasts longest."""
        if not self._known:
            return None
        found = [known for slot in _slots(place) if (known := self._known.get(slot)) and known.left(now)]
        return max(found, key=_until, default=None)

    def failed(self, place: Place, error: ModelError, *, begun: datetime, now: datetime, heard: bool) -> None:
        """A call of this endpoint failed, begun at that time; `heard`: after something of an answer had come."""
        rule = _RULES.get(error.kind)
        if rule is None or (heard and not rule.said):
            return
        slot = next(one for one in _slots(place) if one.scope is rule.scope)
        before = self._known.get(slot)
        if before is not None and now - before.until > _FORGOTTEN_AFTER:
            before = None
        # What was under way when another call found out is one failure with it, not a second one.
        witness = before is not None and begun < before.since <= now
        times = 0
        if before is not None and (witness or _RULES[before.kind].seconds == rule.seconds):
            times = before.times + (not witness)
        hint = error.retry_after if rule.longest_hint else None
        seconds = rule.seconds[min(times, len(rule.seconds) - 1)] if hint is None else min(hint, rule.longest_hint)
        cooling = Cooling(
            provider=place.provider,
            scope=rule.scope,
            name=slot.name,
            kind=error.kind,
            since=before.since if before is not None and witness else now,
            until=now + timedelta(seconds=seconds),
            hinted=hint is not None,
            times=times,
        )
        if before is None or not witness or cooling.until > before.until:
            self._known[slot] = cooling
        if len(self._known) > _MANY:
            self._keep(lambda slot: now - self._known[slot].until <= _FORGOTTEN_AFTER)

    def succeeded(self, place: Place, *, begun: datetime) -> None:
        """A call of this endpoint, begun at that time, was answered: whatever was known before that is over."""
        if not self._known:
            return
        for slot in _slots(place):
            known = self._known.get(slot)
            # A call that was let in before the failure says nothing about it.
            if known is not None and begun >= known.since:
                del self._known[slot]

    def active(self, now: datetime) -> list[Cooling]:
        """Everything that cools now, what lasts longest first."""
        return sorted((known for known in self._known.values() if known.left(now)), key=_until, reverse=True)

    def forget_provider(self, provider: str) -> None:
        """Its configuration changed: it may well answer now."""
        self._keep(lambda slot: slot.provider != provider)

    def forget_key(self, provider: str, name: str) -> None:
        """The key of that name was changed or taken away."""
        self._keep(lambda slot: (slot.scope, slot.provider, slot.name) != (Scope.KEY, provider, name))

    def _keep(self, wanted: Callable[[_Slot], bool]) -> None:
        self._known = {slot: known for slot, known in self._known.items() if wanted(slot)}


class _Rule(Struct, frozen=True):
    """What cools after a failure, and for how many seconds, failure after failure.

    `longest_hint`: up to how many seconds the provider's own word is taken instead, 0 for not at all. `said`: the
    provider said it in words, which counts in the middle of an answer as well.
    """

    scope: Scope
    seconds: tuple[float, ...]
    longest_hint: float = 0
    said: bool = False


_SOON = (5.0, 15.0, 45.0, 135.0, 300.0)
_LATER = (60.0, 300.0, 1500.0, 3600.0)

_RULES: dict[ModelErrorKind, _Rule] = {
    Kind.RATE_LIMITED: _Rule(Scope.KEY, _SOON, longest_hint=3600, said=True),
    Kind.WRONG_KEY: _Rule(Scope.KEY, _LATER, said=True),
    Kind.NO_CREDIT: _Rule(Scope.KEY, _LATER, said=True),
    Kind.OVERLOADED: _Rule(Scope.PROVIDER, _SOON, longest_hint=300, said=True),
    Kind.UNREACHABLE: _Rule(Scope.PROVIDER, _SOON),
    Kind.TIMED_OUT: _Rule(Scope.PROVIDER, _SOON),
    Kind.GARBAGE: _Rule(Scope.PROVIDER, _SOON),
    Kind.BROKEN_OFF: _Rule(Scope.PROVIDER, _SOON),
    Kind.UNKNOWN_MODEL: _Rule(Scope.MODEL, (300.0,)),
    # No other kind says anything of the endpoint: it is this question, or this configuration, that does not do.
}

_FORGOTTEN_AFTER = timedelta(hours=1)
"""How long after its end a cooldown makes the next one longer."""

_MANY = 100


def _slots(place: Place) -> tuple[_Slot, _Slot, _Slot]:
    return (
        _Slot(Scope.KEY, place.provider, place.model, place.key_name, place.key),
        _Slot(Scope.PROVIDER, place.provider, place.model),
        _Slot(Scope.MODEL, place.provider, place.model, place.model_name),
    )


def _until(cooling: Cooling) -> datetime:
    return cooling.until
