"""The effective configuration as plain values, with nothing secret in it."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from enum import Enum
from typing import Any, cast

from pydantic import BaseModel

from rookery.config.addresses import WrittenAddress
from rookery.config.available import CHANNELS
from rookery.config.fields import without_secrets
from rookery.config.schema import Channels, Config
from rookery.config.secret import Secret


def show(config: Config) -> dict[str, Any]:
    """Every key with the value in force, camelCase, of types that YAML and JSON know.

    A secret shows as `(hidden)` or by the variable it came from, a URL without its password and query.
    Channels that neither run in this version nor stand in the file are left out.
    """
    return _section(config)


def _section(model: BaseModel) -> dict[str, Any]:
    return {
        field.alias or name: _plain(getattr(model, name))
        for name, field in type(model).model_fields.items()
        if not (isinstance(model, Channels) and name not in model.model_fields_set | CHANNELS)
    }


def _plain(value: object) -> Any:
    match value:
        case BaseModel():
            return _section(value)
        case Secret():
            return value.shown
        case WrittenAddress():
            return str(value)
        case Enum():
            return value.value
        case Decimal():
            return int(value) if value == value.to_integral_value() else float(value)
        case Mapping():
            values = cast("Mapping[str, object]", value)
            return {str(key): _plain(item) for key, item in values.items()}
        case tuple():
            return [_plain(item) for item in cast("tuple[object, ...]", value)]
        case str() if "://" in value:
            return without_secrets(value)
        case _:
            return value
