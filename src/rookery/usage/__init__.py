"""What was used, and what it cost: one row for each provider call, and the sums over them."""

from rookery.usage.calls import Call, CallEnd, Meter, Purpose

__all__ = ["Call", "CallEnd", "Meter", "Purpose"]
