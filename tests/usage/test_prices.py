"""What a call costs: to the nano-dollar, by the operator's numbers, by the published ones, or not at all."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rookery.messages import Usage
from rookery.messages.money import dollars, in_words
from rookery.usage import Prices, Rates, Tariff, settling
from rookery.usage.prices import FREE, UNPRICED, listed_at
from tests.gateway.made import NOW

OPENAI = "https://api.openai.com/v1"

prices = st.decimals(min_value=0, max_value=1000, places=4)
tokens = st.integers(min_value=0, max_value=10**9)


@given(prices, prices, prices, prices, tokens, tokens, tokens, tokens)
def test_a_call_is_rounded_once_half_to_even(
    read: Decimal, written: Decimal, cached: Decimal, stored: Decimal, plain: int, out: int, hits: int, writes: int
) -> None:
    """Whatever the numbers, the cost is that of arithmetic without any rounding, rounded at its end."""
    rates = Rates(read, written, cached, stored)
    exact = (
        plain * Fraction(read) + out * Fraction(written) + hits * Fraction(cached) + writes * Fraction(stored)
    ) * 1000
    usage = Usage(plain + hits + writes, out, hits, cache_write_tokens=writes)
    assert rates.cost(usage, NOW) == round(exact)


def test_what_is_not_said_of_the_prompt_cache_costs_as_what_is_read() -> None:
    """Two numbers are enough; the row says all four that were used."""
    rates = Rates(Decimal("2.5"), Decimal(10))
    assert rates.cost(Usage(1000, 10, 600, cache_write_tokens=100), NOW) == 2_600_000
    assert rates.version == "configured 2.5/10/2.5/2.5"
    assert Rates(Decimal(0), Decimal(0)).cost(Usage(10**6, 10**6), NOW) == 0


@pytest.mark.parametrize(
    ("base_url", "asked"),
    [
        (OPENAI, True),
        ("https://openrouter.ai/api/v1", True),
        ("http://127.0.0.1:11434/v1", False),
        ("https://10.0.0.5/v1", False),
        ("https://models/v1", False),
        ("http://api.openai.com/v1", False),
        (None, False),
    ],
)
def test_the_published_list_is_asked_only_for_what_may_stand_in_it(base_url: str | None, asked: bool) -> None:
    """A server of the operator's own is in no list, so that nobody who has only such reads it."""
    assert listed_at(base_url) == (base_url if asked else None)


async def test_a_price_comes_from_the_operator_then_from_the_list_then_from_nowhere() -> None:
    """A provider is known by the address that is asked: another server that goes by its name has no price."""
    known = Prices(
        {
            "openai": Tariff({"gpt-5": Rates(Decimal(1), Decimal(2))}, OPENAI),
            "mine": Tariff({}, None),
            "offline": Tariff(free=True),
        }
    )
    assert known.known("openai", "gpt-5-mini") is None
    listed = await known.find("openai", "gpt-5-mini")
    assert listed.version.startswith("genai-prices ")
    assert known.known("openai", "gpt-5-mini") is listed
    assert (await known.find("openai", "gpt-5")).version == "configured 1/2/1/1"
    assert await known.find("openai", "no-such-model") is UNPRICED
    assert known.known("mine", "gpt-5") is UNPRICED
    assert known.known("nobody", "gpt-5") is UNPRICED
    assert known.known("offline", "demo") is FREE


async def test_a_published_price_is_what_the_list_says_of_that_hour() -> None:
    """Cached and written tokens have prices of their own there; what is rounded is the sum."""
    known = Prices({"openai": Tariff({}, OPENAI)})
    price = await known.find("openai", "gpt-5")
    at = datetime(2026, 11, 1, tzinfo=UTC)
    assert price.cost(Usage(1000, 100), at) == 2_250_000
    assert price.cost(Usage(1000, 100, 600), at) == 1_575_000


async def test_other_prices_hold_from_the_next_call_on() -> None:
    """A changed file forgets what was looked up."""
    known = Prices({"mine": Tariff({"m": Rates(Decimal(1), Decimal(1))})})
    before = await known.find("mine", "m")
    known.replace({"mine": Tariff({"m": Rates(Decimal(3), Decimal(1))})})
    after = await known.find("mine", "m")
    assert (before.cost(Usage(1000), NOW), after.cost(Usage(1000), NOW)) == (1_000_000, 3_000_000)


@pytest.mark.parametrize(
    ("usage", "within"),
    [
        (Usage(10, 5, 20), Usage(10, 5, 10)),
        (Usage(10, 5, 6, cache_write_tokens=9), Usage(10, 5, 6, cache_write_tokens=4)),
        (Usage(-1, -2, -3, cache_write_tokens=-4), Usage()),
    ],
)
def test_what_cannot_be_counted_is_not_believed(usage: Usage, within: Usage) -> None:
    """More out of the cache than was read at all, or less than nothing, would turn money around."""
    assert settling.sane(usage) == within


@pytest.mark.parametrize(
    ("nano", "words"),
    [
        (0, "$0.00"),
        (1, "$0.000000001"),
        (1_234_567, "$0.0012"),
        (999_999_999, "$1"),
        (1_005_000_000, "$1.00"),
        (1_234_567_890_123, "$1,234.57"),
    ],
)
def test_an_amount_reads_as_people_write_it(nano: int, words: str) -> None:
    """Two figures that count below a dollar, cents above; the number behind it stays exact."""
    assert in_words(nano) == words
    assert dollars(nano) * 10**9 == nano


def test_nothing_of_the_list_is_imported_before_it_is_asked() -> None:
    """It costs 30 MB; a gateway whose prices the operator wrote never has it."""
    said = "import sys, rookery.gateway.house; print('genai_prices' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", said], capture_output=True, text=True, check=True)
    assert run.stdout == "False\n"


def test_names_that_nobody_asks_for_again_are_not_kept_for_ever() -> None:
    """A model's name is whatever somebody set; its price is looked up again when it was forgotten."""
    known = Prices({"mine": Tariff({"m": Rates(Decimal(1), Decimal(2))})})
    before = known.known("mine", "m")
    tracemalloc.start()
    for number in range(20_000):
        assert known.known("mine", f"{number:050}") is UNPRICED
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size < 1_000_000
    assert known.known("mine", "m") == before
