"""Which endpoints are left alone for a while, because they failed, and for how long.

What a failure says of an endpoint differs: a rate limit is the key's, an overload the provider's, an unknown model
that model's with that key. Nothing here reads a clock. What cools of a key is told to whoever keeps it over a
restart; what cools of a provider or a model is forgotten with the process.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable
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
    `key_owner` is the agent whose own the key is, '' for a shared one.
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
    @property
    def key_owner(self) -> str: ...


class Scope(StrEnum):
    """What of an endpoint cools."""

    KEY = "key"
    """Whatever would be asked with this key; other people's keys go on."""

    PROVIDER = "provider"
    """Whatever this provider offers, to everybody."""

    MODEL = "model"
    """This one model of the provider, asked with this key: another account may well have it."""


class Cooling(Struct, frozen=True):
    """One thing that cools. `name` is that of the key or the model, where it is one; no secret is in here.

    `hinted`: the provider said itself how long. `times`: how often it failed before without a success between.
    `owner` is the agent whose own the key is, '' for a shared key and for what is no key.
    """

    provider: str
    scope: Scope
    name: str | None
    kind: ModelErrorKind
    since: datetime
    until: datetime
    hinted: bool = False
    times: int = 0
    owner: str = ""

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


class KeyCooling(Struct, frozen=True):
    """What is kept of a key that failed. `mark` tells it from another key of the same name, and is none itself."""

    cooling: Cooling
    mark: str


KeyName = tuple[str, str, str]
"""What a key is kept under: its owner, its provider, and what it is called."""

KeepKey = Callable[[KeyName, KeyCooling | None], None]
"""Keeps what cools of a key; None when it does no more. Never waits, never raises."""


class _Slot(Struct, frozen=True):
    scope: Scope
    provider: str
    client: Model | None
    name: str | None = None
    key: Key | None = None
    owner: str = ""


@dataclass(slots=True)
class Cooldowns:
    """What cools now, of everything one gateway can ask. `keep` is told of every change at a key."""

    keep: KeepKey | None = None
    _known: dict[_Slot, Cooling] = field(default_factory=dict[_Slot, Cooling])
    _restored: dict[KeyName, KeyCooling] = field(default_factory=dict[KeyName, KeyCooling])

    def restore(self, kept: Iterable[KeyCooling]) -> None:
        """Take up what was kept of keys by a process before this one. It holds for the same key and no other."""
        for one in kept:
            assert one.cooling.name is not None, "only keys that have a name are kept"
            self._restored[one.cooling.owner, one.cooling.provider, one.cooling.name] = one

    def cooling(self, place: Place, now: datetime) -> Cooling | None:
        """Why this endpoint had better not be asked now: of several reasons the one that lasts longest."""
        if self._restored:
            self._take_up(place)
        if not self._known:
            return None
        found = [known for slot in _slots(place) if (known := self._known.get(slot)) and known.left(now)]
        return max(found, key=_until, default=None)

    def failed(self, place: Place, error: ModelError, *, begun: datetime, now: datetime, heard: bool) -> None:
        """A call of this endpoint failed, begun at that time; `heard`: after something of an answer had come."""
        rule = _RULES.get(error.kind)
        if rule is None or (heard and not rule.said):
            return
        self._take_up(place)
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
            owner=slot.owner,
        )
        if before is None or not witness or cooling.until > before.until:
            self._known[slot] = cooling
            self._tell(slot, cooling)
        if len(self._known) > _MANY:
            self._keep(lambda slot: now - self._known[slot].until <= _FORGOTTEN_AFTER)

    def succeeded(self, place: Place, *, begun: datetime) -> None:
        """A call of this endpoint, begun at that time, was answered: whatever was known before that is over."""
        if self._restored:
            self._take_up(place)
        if not self._known:
            return
        for slot in _slots(place):
            known = self._known.get(slot)
            # A call that was let in before the failure says nothing about it.
            if known is not None and begun >= known.since:
                del self._known[slot]
                self._tell(slot, None)

    def active(self, now: datetime) -> list[Cooling]:
        """Everything that cools now, what lasts longest first."""
        known = (*self._known.values(), *(one.cooling for one in self._restored.values()))
        return sorted((one for one in known if one.left(now)), key=_until, reverse=True)

    def forget_provider(self, provider: str) -> None:
        """Its configuration changed: it may well answer now."""
        self._keep(lambda slot: slot.provider != provider)
        self._drop_restored(lambda key: key[1] == provider)

    def forget_key(self, provider: str, name: str, owner: str = "") -> None:
        """The key of that name was changed or taken away."""
        its = (Scope.KEY, provider, name, owner)
        self._keep(lambda slot: (slot.scope, slot.provider, slot.name, slot.owner) != its)
        self._drop_restored(lambda key: key == (owner, provider, name))

    def forget_owner(self, owner: str) -> None:
        """The agent whose own keys these were is gone."""
        self._keep(lambda slot: slot.owner != owner)
        self._drop_restored(lambda key: key[0] == owner)

    def _keep(self, wanted: Callable[[_Slot], bool]) -> None:
        gone = [slot for slot in self._known if not wanted(slot)]
        for slot in gone:
            del self._known[slot]
            self._tell(slot, None)

    def _drop_restored(self, unwanted: Callable[[KeyName], bool]) -> None:
        for key in [key for key in self._restored if unwanted(key)]:
            del self._restored[key]
            if self.keep is not None:
                self.keep(key, None)

    def _take_up(self, place: Place) -> None:
        """What an earlier process kept of this key holds from now on, unless it is another key by now."""
        if place.key is None or place.key_name is None:
            return
        name = (place.key_owner, place.provider, place.key_name)
        kept = self._restored.pop(name, None)
        if kept is None:
            return
        if kept.mark == _mark(place.key):
            self._known[_slots(place)[0]] = kept.cooling
        elif self.keep is not None:
            self.keep(name, None)

    def _tell(self, slot: _Slot, cooling: Cooling | None) -> None:
        if self.keep is None or slot.scope is not Scope.KEY or slot.key is None or slot.name is None:
            return
        kept = None if cooling is None else KeyCooling(cooling, _mark(slot.key))
        self.keep((slot.owner, slot.provider, slot.name), kept)


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
    # Whoever names a model that a shared key is not for must not take the key from everybody else.
    Kind.NOT_PERMITTED: _Rule(Scope.MODEL, (300.0,)),
    # No other kind says anything of the endpoint: it is this question, or this configuration, that does not do.
}

_FORGOTTEN_AFTER = timedelta(hours=1)
"""How long after its end a cooldown makes the next one longer."""

_MANY = 100


def _slots(place: Place) -> tuple[_Slot, _Slot, _Slot]:
    return (
        _Slot(Scope.KEY, place.provider, place.model, place.key_name, place.key, place.key_owner),
        _Slot(Scope.PROVIDER, place.provider, place.model),
        _Slot(Scope.MODEL, place.provider, place.model, place.model_name, place.key, place.key_owner),
    )


def _until(cooling: Cooling) -> datetime:
    return cooling.until


def _mark(key: Key) -> str:
    """Sixteen bits: enough to notice that a key is another one, and far too few to guess it by."""
    return hashlib.sha256(f"rookery key mark\n{key.secret}".encode()).hexdigest()[:4]
