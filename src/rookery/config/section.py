"""What every section of `rookery.yaml` shares."""

from __future__ import annotations

from typing import Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    model_validator,
)
from pydantic.alias_generators import to_camel

from rookery.config.fields import (
    null_is_empty_mapping,
)


def section(description: str) -> Any:
    """A section that may be left out. Its default is validated with the rest, so only one validator is built."""
    return Field(default_factory=dict, validate_default=True, description=description)


def mapping(description: str) -> Any:
    """Things by name, none by default."""
    return Field(default_factory=dict, description=description)


class Section(BaseModel):
    """What every section shares: frozen, no unknown keys, and nothing written means the defaults."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=to_camel,
        validate_by_alias=True,
        validate_by_name=True,
        defer_build=True,
        hide_input_in_errors=True,
    )

    @model_validator(mode="before")
    @classmethod
    def _null_is_empty(cls, value: object) -> object:
        return {} if value is None else value


NullIsEmpty = BeforeValidator(null_is_empty_mapping)
