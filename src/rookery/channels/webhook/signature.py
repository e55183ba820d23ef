"""How a webhook message proves who sent it: an HMAC over its time and its bytes, the same in both directions."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from enum import StrEnum

TIMESTAMP = "x-rookery-timestamp"
SIGNATURE = "x-rookery-signature"
WINDOW = 300
"""Seconds a signature is good for, to either side of now."""

_LONGEST_TIMESTAMP = 12


class Fault(StrEnum):
    """Why a request is not believed, in words that tell nothing its sender does not know."""

    MISSING = (
        "Send X-Rookery-Timestamp: <unix seconds> and X-Rookery-Signature: sha256=<lower-case hex HMAC-SHA256"
        ' of "<timestamp>." and the raw body, under the account\'s secret>.'
    )
    OLD = (
        "X-Rookery-Timestamp is more than 5 minutes away from this gateway's clock; set the sender's clock"
        " and sign each attempt anew."
    )
    WRONG = (
        "X-Rookery-Signature does not fit the account in the address, the timestamp and the raw body;"
        " check all three, and the secret."
    )


def sign(secret: bytes, timestamp: int, body: bytes) -> dict[str, str]:
    """The two headers for a body sent at `timestamp`, in unix seconds."""
    moment = str(timestamp)
    return {TIMESTAMP: moment, SIGNATURE: _signature(secret, moment, body)}


def fault(secret: bytes, headers: Mapping[str, str], body: bytes, now: float) -> Fault | None:
    """What is wrong with a request's signature, None when it is good; header names are lower-case.

    Only the one spelling `sign` makes is good, so that no changed byte of any of the three gets through.
    """
    moment, given = headers.get(TIMESTAMP), headers.get(SIGNATURE)
    if not moment or not given:
        return Fault.MISSING
    # isdigit alone would let other scripts' digits in, and int would let in spaces and underscores
    if len(moment) > _LONGEST_TIMESTAMP or not (moment.isascii() and moment.isdigit()):
        return Fault.MISSING
    if abs(now - int(moment)) > WINDOW:
        return Fault.OLD
    expected = _signature(secret, moment, body)
    # as bytes: compare_digest refuses strings that are not ASCII, and a header may hold anything
    same = hmac.compare_digest(expected.encode(), given.encode("utf-8", "surrogatepass"))
    return None if same else Fault.WRONG


def _signature(secret: bytes, moment: str, body: bytes) -> str:
    return "sha256=" + hmac.digest(secret, moment.encode() + b"." + body, "sha256").hex()
