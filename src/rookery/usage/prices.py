"""What a model costs: what the operator wrote, what is known of its provider, or nothing, and then it is unpriced.

Money is whole nano-dollars, 10^-9 of a US dollar. A call is priced by decimal numbers and rounded once, half to
even; there is no floating point on the way.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal
from ipaddress import ip_address
from typing import Protocol
from urllib.parse import urlsplit

from msgspec import Struct

from rookery.messages import Usage


class Price(Protocol):
    """What one model costs."""

    @property
    def version(self) -> str:
        """Where the price comes from, to be kept with what was priced by it."""
        ...

    def cost(self, usage: Usage, at: datetime) -> int | None:
        """The nano-dollars of a call that began at that moment; None when nobody knows."""
        ...


class Rates(Struct, frozen=True):
    """A price of four numbers, each in US dollars for a million tokens.

    What is read from the prompt cache, or written to it, costs what is read otherwise unless it is said.
    """

    input: Decimal
    output: Decimal
    cached_input: Decimal | None = None
    cache_write: Decimal | None = None

    @property
    def version(self) -> str:
        """The four numbers, so that a row can be checked long after the file was changed."""
        cached = self.input if self.cached_input is None else self.cached_input
        written = self.input if self.cache_write is None else self.cache_write
        return f"configured {'/'.join(map(_plain, (self.input, self.output, cached, written)))}"

    def cost(self, usage: Usage, at: datetime) -> int:
        """The nano-dollars of a call; the hour does not matter."""
        del at
        cached, written = usage.cached_tokens, usage.cache_write_tokens
        plain = usage.input_tokens - cached - written
        dollars = plain * self.input + usage.output_tokens * self.output
        dollars += cached * (self.input if self.cached_input is None else self.cached_input)
        dollars += written * (self.input if self.cache_write is None else self.cache_write)
        return rounded(dollars * 1000)


class _Fixed(Struct, frozen=True):
    """The same for every call: nothing, or nobody knows."""

    version: str
    each: int | None

    def cost(self, usage: Usage, at: datetime) -> int | None:
        del usage, at
        return self.each


FREE: Price = _Fixed("free", 0)
"""What runs in this process."""

UNPRICED: Price = _Fixed("none", None)
"""What a model costs of which nobody said."""


@dataclass(frozen=True, slots=True)
class Tariff:
    """How the models of one provider are priced.

    `rates` are the operator's, by model. `listed` is where a published price is looked up: the address at which
    the provider is asked, or its name in the list where it has no address of its own; None where none can be.
    """

    rates: Mapping[str, Rates] = field(default_factory=dict[str, Rates])
    listed: str | None = None
    free: bool = False


class Prices:
    """The prices of one gateway."""

    def __init__(self, tariffs: Mapping[str, Tariff] | None = None) -> None:
        """`tariffs` by provider; one that is not among them has no prices."""
        self._tariffs = dict(tariffs or {})
        self._known: dict[tuple[str, str], Price] = {}

    def replace(self, tariffs: Mapping[str, Tariff]) -> None:
        """Take other prices; a call that has begun is priced by what held then."""
        self._tariffs, self._known = dict(tariffs), {}

    def known(self, provider: str, model: str) -> Price | None:
        """The price of a model as far as it can be told at once; None when it has to be looked up."""
        found = self._known.get((provider, model))
        if found is not None:
            return found
        tariff = self._tariffs.get(provider, _NONE)
        rates = tariff.rates.get(model)
        if rates is None and not tariff.free and tariff.listed is not None:
            return None
        price = rates or (FREE if tariff.free else UNPRICED)
        self._keep(provider, model, price)
        return price

    async def find(self, provider: str, model: str) -> Price:
        """The price of a model, looked up beside the event loop: the list of published prices is large, and read
        when the first of them is asked for."""
        known = self.known(provider, model)
        if known is not None:
            return known
        tariff = self._tariffs[provider]
        assert tariff.listed is not None, "otherwise it was known"
        found = await asyncio.to_thread(_look_up, tariff.listed, model)
        if self._tariffs.get(provider) is tariff:
            self._keep(provider, model, found)
        return found

    def _keep(self, provider: str, model: str, price: Price) -> None:
        if len(self._known) >= _MANY:
            self._known.clear()  # somebody tries one name after another; who asks again is looked up again
        self._known[provider, model] = price


_NONE = Tariff()
_MANY = 1000


def listed_at(base_url: str | None) -> str | None:
    """The address under which published prices may be found; None for one that can be nobody's but the operator's,
    for which the list need not be read."""
    parts = urlsplit(base_url or "")
    host = parts.hostname or ""
    if parts.scheme != "https" or "." not in host:
        return None
    try:
        ip_address(host)
    except ValueError:
        return base_url
    return None


def rounded(nano_dollars: Decimal) -> int:
    """Whole nano-dollars, at most `MOST_COST`: the one rounding of a call."""
    return int(min(nano_dollars.to_integral_value(ROUND_HALF_EVEN), MOST_COST))


MOST_COST = Decimal(10**17)
"""A hundred million dollars a call: beyond that a price was mistyped, and a database cannot sum it up."""


def _look_up(listed: str, model: str) -> Price:
    from rookery.usage import listed as published

    return published.find(listed, model) or UNPRICED


def _plain(number: Decimal) -> str:
    return f"{number.normalize():f}"
