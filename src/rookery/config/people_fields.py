"""The kinds of value that only the people file holds."""

from __future__ import annotations

import re
from base64 import b64decode
from binascii import Error as NotBase64
from decimal import Decimal
from typing import Annotated

from pydantic import AfterValidator, Field, PlainValidator, WithJsonSchema

from rookery.config.addresses import WrittenAddress, parse_address
from rookery.config.canonical import MAIL, PHONES, canonical
from rookery.config.fields import Usd, wrong
from rookery.config.secret import Secret
from rookery.errors import InvalidInput

LONGEST_LINE = 200
MOST_ADDRESSES = 100
MOST_TOKENS = 2**53 - 1
NANO = 9
"""Amounts are kept in 10^-9 of a US dollar."""

_PHC = re.compile(
    r"\$argon2id\$v=19\$m=(\d{1,9}),t=(\d{1,4}),p=(\d{1,4})\$([A-Za-z0-9+/]{11,86})\$([A-Za-z0-9+/]{22,171})"
)
_MOST_MEMORY = 256 * 1024
_MOST_PASSES = 16
_MOST_THREADS = 8


def _line(value: str) -> str:
    if not value.strip() or len(value) > LONGEST_LINE or not value.isprintable():
        raise wrong(f"must be some words on one line, at most {LONGEST_LINE} characters")
    return str(value)


def _exact(amount: Decimal) -> Decimal:
    if amount != amount.quantize(Decimal(1).scaleb(-NANO)):
        raise wrong("has more than nine digits behind the point, which is less than can be counted")
    return amount


def why_no_hash(text: str) -> str | None:
    """Why this cannot be kept of a password, None when it can: it is no Argon2id hash, costs too little to guess
    at, or more than a login should. The text is not quoted back."""
    match = _PHC.fullmatch(text)
    if match is None or not _is_base64(match[4]) or not _is_base64(match[5]):
        return "must be an Argon2id hash, such as $argon2id$v=19$m=65536,t=3,p=1$…$…, in quotes"
    memory, passes, threads = (int(number) for number in match.group(1, 2, 3))
    if not (memory >= 19_456 and passes >= 2) and not (memory >= 47_104 and passes >= 1):
        return "is too cheap to guess: it needs at least m=19456 with t=2, or m=47104 with t=1"
    if memory > _MOST_MEMORY or passes > _MOST_PASSES or not 1 <= threads <= _MOST_THREADS:
        return f"costs too much for each login: at most m={_MOST_MEMORY}, t={_MOST_PASSES} and p={_MOST_THREADS}"
    return None


def _as_hash(value: object) -> Secret:
    if isinstance(value, Secret):
        return value
    reason = why_no_hash(value) if isinstance(value, str) else why_no_hash("")
    if reason is not None:
        raise wrong(reason)
    return Secret(str(value))


def _is_base64(text: str) -> bool:
    try:
        b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (NotBase64, ValueError):
        return False
    return True


def _as_password(value: object) -> Secret:
    if isinstance(value, Secret):
        return value
    if not isinstance(value, str):
        raise wrong("must be text; write it in quotes")
    if not value or len(value.encode(errors="replace")) > 1024:
        raise wrong("must not be empty, and have at most 1024 bytes")
    return Secret(str(value))


def _address(kinds: str) -> PlainValidator:
    """An address of one of the three lists, in its channel's own form."""

    def run(value: object) -> WrittenAddress:
        if isinstance(value, WrittenAddress):
            return value
        if not isinstance(value, str):
            raise wrong('must be text; write it in quotes: "channel:sender"')
        text = str(value)
        if kinds == "email" and not text.startswith(("email:", "email@")):
            text = f"email:{text}"
        if kinds == "phone" and re.fullmatch(r"[+0-9][0-9 ().\-/]*", text):
            raise wrong(f"names no channel; write {f'sms:{text}'!r} or {f'voice:{text}'!r}, or both")
        try:
            address = canonical(parse_address(text))
        except InvalidInput as error:
            raise wrong(f"is wrong: {error.detail}") from None
        belongs = "email" if address.channel in MAIL else "phone" if address.channel in PHONES else "im"
        if belongs != kinds:
            raise wrong(f"is an address of {address.channel}, which belongs under {belongs!r}")
        return address

    return PlainValidator(run)


_SCHEMA = {"type": "string", "pattern": "^[a-z]+(@[^:]+)?:.+$"}

Words = Annotated[str, AfterValidator(_line)]
"""Some words on one line."""

ExactUsd = Annotated[Usd, AfterValidator(_exact)]
Tokens = Annotated[int, Field(strict=True, ge=0, le=MOST_TOKENS)]
PasswordHash = Annotated[
    Secret, PlainValidator(_as_hash), WithJsonSchema({"type": "string", "pattern": r"^\$argon2id\$"})
]
Password = Annotated[Secret, PlainValidator(_as_password), WithJsonSchema({"type": "string", "minLength": 1})]

MailAddress = Annotated[WrittenAddress, _address("email"), WithJsonSchema({"type": "string"})]
ChatAddress = Annotated[WrittenAddress, _address("im"), WithJsonSchema(_SCHEMA)]
PhoneAddress = Annotated[WrittenAddress, _address("phone"), WithJsonSchema(_SCHEMA)]
