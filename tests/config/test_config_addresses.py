"""Addresses as people write them."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rookery.config import ACCOUNT_SCOPED, CHANNEL_NAMES, check_address, parse_address
from rookery.errors import InvalidInput

RESERVED = {"dm", "direct", "group", "channel", "room", "main", "thread"}
NAMES = st.from_regex(r"[a-z0-9@._-]{1,12}", fullmatch=True).filter(lambda name: name not in RESERVED)
ACCOUNTS = st.one_of(st.none(), NAMES)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("telegram:12345", ("telegram", None, "12345")),
        ("telegram@work:12345", ("telegram", "work", "12345")),
        ("matrix:@alice:example.org", ("matrix", None, "@alice:example.org")),
        ("email:alice@example.org", ("email", None, "alice@example.org")),
        ("webhook@shop:a:b@c", ("webhook", "shop", "a:b@c")),
    ],
)
def test_an_address_is_channel_account_and_sender(text: str, parts: tuple[str, str | None, str]) -> None:
    """What stands behind the first ':' is the sender, whatever signs it holds."""
    assert parse_address(text) == parts
    assert str(parse_address(text)) == text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is not an address"),
        ("12345", "is not an address"),
        (":12345", "is not a channel"),
        ("Telegram:12345", "did you mean 'telegram'?"),
        ("telegram:", "names no sender"),
        ("telegram@:12345", "cannot be empty"),
        ("telegram@dm:12345", "has a meaning in session keys"),
        ("webhook:12345", "write 'webhook@<account>:…'"),
        ("feishu:ou_1", "needs an account"),
    ],
)
def test_what_is_no_address_is_told_why(text: str, said: str) -> None:
    """A missing part is an error, never a wildcard."""
    with pytest.raises(InvalidInput, match=r".") as caught:
        parse_address(text)
    assert said in caught.value.detail


@given(st.sampled_from(CHANNEL_NAMES), ACCOUNTS, st.text(min_size=1))
def test_addresses_round_trip(channel: str, account: str | None, sender: str) -> None:
    """Two different addresses are never written alike."""
    if account is None and channel in ACCOUNT_SCOPED:
        account = "default"
    address = check_address(channel, account, sender)

    assert parse_address(str(address)) == address


@given(st.text())
def test_any_text_is_an_address_or_invalid_input(text: str) -> None:
    """Nothing else is ever raised."""
    with contextlib.suppress(InvalidInput):
        assert str(parse_address(text)) == text
