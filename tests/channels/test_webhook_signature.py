"""Nobody without the secret can make the webhook believe a single byte."""

from __future__ import annotations

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rookery.channels.webhook.signature import SIGNATURE, TIMESTAMP, WINDOW, Fault, fault, sign

NOW = 1_767_225_600
SECRET = b"a secret"


def test_it_is_the_plain_hmac_that_the_contract_names():
    """Any language can make it with its standard library."""
    expected = hmac.new(SECRET, b'1767225600.{"a": 1}', hashlib.sha256).hexdigest()

    assert sign(SECRET, NOW, b'{"a": 1}') == {TIMESTAMP: "1767225600", SIGNATURE: f"sha256={expected}"}


@given(body=st.binary(max_size=200), secret=st.binary(min_size=1, max_size=80))
def test_what_is_signed_is_believed(body: bytes, secret: bytes):
    """Whatever the bytes and the secret."""
    assert fault(secret, sign(secret, NOW, body), body, NOW) is None


@given(body=st.binary(min_size=1, max_size=80), data=st.data())
def test_any_changed_bit_of_the_body_is_refused(body: bytes, data: st.DataObject):
    """Not one bit can be turned on the way."""
    headers = sign(SECRET, NOW, body)

    assert fault(SECRET, headers, _turned(body, data), NOW) is Fault.WRONG


@given(data=st.data())
def test_any_changed_bit_of_a_header_is_refused(data: st.DataObject):
    """The letter case of the signature counts too, so that there is one spelling."""
    headers = sign(SECRET, NOW, b"{}")
    name = data.draw(st.sampled_from([TIMESTAMP, SIGNATURE]))
    headers[name] = _turned(headers[name].encode(), data).decode("latin-1")

    assert fault(SECRET, headers, b"{}", NOW) is not None


@given(data=st.data())
def test_any_changed_bit_of_the_secret_is_refused(data: st.DataObject):
    """A secret that is nearly right is wrong."""
    assert fault(_turned(SECRET, data), sign(SECRET, NOW, b"{}"), b"{}", NOW) is Fault.WRONG


@given(moment=st.text(max_size=30), given_signature=st.text(max_size=90))
def test_no_header_whatsoever_is_an_exception(moment: str, given_signature: str):
    """Other scripts' digits, lone surrogates and the like are refused as well."""
    odd = {TIMESTAMP: moment, SIGNATURE: given_signature}

    assert fault(SECRET, odd, b"{}", NOW) is not None
    assert fault(SECRET, odd | {TIMESTAMP: str(NOW)}, b"{}", NOW) in {Fault.WRONG, Fault.MISSING}


@pytest.mark.parametrize(
    "moment", ["\ud800", "１７６７２２５６００", "1_767_225_600", " 1767225600", "+1767225600", "1767225600.0"]
)
def test_a_timestamp_has_one_spelling(moment: str):
    """What Python would read as a number is not therefore one."""
    headers = {TIMESTAMP: moment, SIGNATURE: "sha256=" + "0" * 64}

    assert fault(SECRET, headers, b"{}", NOW) is Fault.MISSING


@pytest.mark.parametrize(
    ("age", "expected"), [(WINDOW, None), (-WINDOW, None), (WINDOW + 1, Fault.OLD), (-WINDOW - 1, Fault.OLD)]
)
def test_a_signature_is_good_for_five_minutes_to_either_side(age: int, expected: Fault | None):
    """A recorded request cannot be kept for later, nor made in advance."""
    assert fault(SECRET, sign(SECRET, NOW - age, b"{}"), b"{}", NOW) is expected


@pytest.mark.parametrize("missing", [TIMESTAMP, SIGNATURE])
def test_a_missing_header_says_what_to_send(missing: str):
    """The one thing told without any proof is what the README says anyway."""
    headers = sign(SECRET, NOW, b"{}")
    del headers[missing]

    assert fault(SECRET, headers, b"{}", NOW) is Fault.MISSING


def _turned(value: bytes, data: st.DataObject) -> bytes:
    place = data.draw(st.integers(0, len(value) * 8 - 1))
    changed = bytearray(value)
    changed[place // 8] ^= 1 << (place % 8)
    return bytes(changed)
