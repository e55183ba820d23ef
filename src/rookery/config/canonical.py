"""The one way in which each channel writes a sender, so that comparing can be exact."""

from __future__ import annotations

import re

from rookery.config.addresses import WrittenAddress
from rookery.errors import InvalidInput

MAIL = frozenset({"email"})
PHONES = frozenset({"sms", "voice"})
"""The channels on which a sender is a telephone number."""

OURS = frozenset({"webchat", "terminal", "cron"})
"""Channels of our own: there a person is known by their user id, and nothing is linked."""

_NUMBER = re.compile(r"\+[1-9][0-9]{6,14}")
_BETWEEN_DIGITS = re.compile(r"[\s().\-/\u00a0]+")


def canonical(address: WrittenAddress) -> WrittenAddress:
    """The address as its channel writes it: mail in lower case with an ASCII domain, telephone numbers as E.164,
    everything else as it stands.

    Raises `InvalidInput` for a sender that the channel cannot have, and for a channel that links nobody.
    """
    channel, account, sender = address
    if channel in OURS:
        raise InvalidInput(
            f"{channel} needs no linking: there a person is known by their user id; link addresses of "
            "chat networks."
        )
    if not sender.isprintable() or sender != sender.strip():
        raise InvalidInput(f"{sender!r} is no sender id: it holds control characters or spaces around it.")
    if channel in MAIL:
        return WrittenAddress(channel, account, _mail(sender))
    if channel in PHONES:
        return WrittenAddress(channel, account, _number(sender))
    return address


def _mail(text: str) -> str:
    local, at, domain = text.rpartition("@")
    if not at or not local or "." not in domain.strip(".") or any(char.isspace() for char in text):
        raise InvalidInput(f"{text!r} is no mail address, such as 'alice@example.org'.")
    try:
        ascii_domain = domain.encode("idna").decode("ascii")
    except UnicodeError:
        raise InvalidInput(f"{text!r} is no mail address: its domain cannot be one.") from None
    return f"{local}@{ascii_domain}".lower()


def _number(text: str) -> str:
    digits = _BETWEEN_DIGITS.sub("", text)
    if _NUMBER.fullmatch(digits):
        return digits
    hint = f"; did you mean {'+' + digits[2:]!r}?" if re.fullmatch(r"00[1-9][0-9]{6,14}", digits) else ""
    raise InvalidInput(f"{text!r} is no telephone number with its country, such as '+4912345678'{hint}")
