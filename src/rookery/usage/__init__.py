"""What was used, and what it cost: one row for each provider call, and the sums over them."""

from rookery.usage.calls import Call, CallEnd, Meter, Purpose
from rookery.usage.ledger import Bill, LedgerRow, Status
from rookery.usage.prices import Prices, Rates, Tariff
from rookery.usage.sums import By, Sum, Total

__all__ = [
    "Bill",
    "By",
    "Call",
    "CallEnd",
    "LedgerRow",
    "Meter",
    "Prices",
    "Purpose",
    "Rates",
    "Status",
    "Sum",
    "Tariff",
    "Total",
]
