"""What many operations are asked with or answer."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

Secret = Annotated[str, Meta(extra={"secret": True})]
"""What only its owner may know: it is kept in no form but one that cannot be guessed back, and never compared with
what another request said."""

Line = Annotated[str, Meta(min_length=1, max_length=200)]
"""A few words on one line."""


class Nothing(Struct, frozen=True, forbid_unknown_fields=True):
    """No parameters, or no result."""


class Done(Struct, frozen=True, rename="camel"):
    """What was done, in one line for a person."""

    detail: str
