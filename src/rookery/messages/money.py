"""Amounts of money, which we count in whole nano-dollars: 10^-9 of a US dollar."""

from __future__ import annotations

from decimal import Decimal


def dollars(nano_dollars: int) -> Decimal:
    """An amount in US dollars, exactly."""
    return Decimal(nano_dollars).scaleb(-9)


def in_words(nano_dollars: int) -> str:
    """An amount for people: to the cent from a dollar on, and below that to the first two figures that count."""
    amount = dollars(nano_dollars)
    if not amount or amount >= 1:
        return f"${amount:,.2f}"
    return f"${amount.quantize(Decimal(1).scaleb(amount.adjusted() - 1)).normalize():f}"
