"""The kinds of value a configuration key can hold, each checked where it is read."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any, TypeVar, cast
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator, ValidationInfo, WithJsonSchema
from pydantic_core import PydanticCustomError

from rookery.config.addresses import CHANNEL_NAMES, WrittenAddress, check_account, check_channel, parse_address
from rookery.config.secret import Secret
from rookery.config.source import FromEnvironment
from rookery.errors import InvalidInput
from rookery.ids import AgentId, UserId, agent_id, user_id
from rookery.messages import ChatKind

_T = TypeVar("_T")


def wrong(text: str) -> PydanticCustomError:
    """The error for a value that does not fit. `text` goes on after the key's name and quotes no secret."""
    return PydanticCustomError("rookery", "{text}", {"text": text})


def _filled_number(value: object) -> object:
    """A number that came as text from the environment; everything else as it is."""
    if isinstance(value, FromEnvironment):
        for kind in (int, float):
            try:
                return kind(value)
            except ValueError:
                continue
    return value


def _filled_flag(value: object) -> object:
    return (
        {"true": True, "false": False}.get(value.lower(), value) if isinstance(value, FromEnvironment) else value
    )


def _null_is_empty_list(value: object) -> object:
    return [] if value is None else value


def null_is_empty_mapping(value: object) -> object:
    return {} if value is None else value


def _checked(check: Any) -> AfterValidator:
    """A check that raises our own `InvalidInput`, as pydantic wants to hear it."""

    def run(value: str) -> str:
        try:
            return check(value)
        except InvalidInput as error:
            raise wrong(f"is wrong: {error.detail}") from None

    return AfterValidator(run)


def _model_name(value: str) -> str:
    provider, slash, model = value.partition("/")
    if not slash or not provider or not model or any(character.isspace() for character in value):
        raise wrong("must be written provider/model, such as offline/demo")
    return value


def _provider_name(value: str) -> str:
    if value == "offline":
        raise wrong("is built in and takes no settings; choose another name")
    if not value or "/" in value or any(character.isspace() for character in value):
        raise wrong("is no name for a provider: it is one word without '/'")
    return value


def _plain_segment(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_.@+=-]+", value):
        raise wrong("must be one plain word of A-Z a-z 0-9 - _ . @ + =")
    return value


def _host(value: str) -> str:
    if not value or "/" in value or any(character.isspace() for character in value):
        raise wrong("must be a host name or an address, without http:// and path")
    return value


def _network(value: str) -> str:
    import ipaddress

    try:
        ipaddress.ip_network(value, strict=False)
    except ValueError:
        raise wrong("must be an IP address or a network, such as 10.0.0.0/8") from None
    return value


def _absolute_path(value: str) -> str:
    if not value.startswith("/") or value.endswith("/") or "\0" in value:
        raise wrong("must be the whole path of a file, such as /mnt/other/rookery-audit.jsonl")
    return value


def _web_url(value: str) -> str:
    # The value is not quoted back: it may hold a password or a token.
    try:
        parts = urlsplit(value)
        fits = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        fits = False
    if not fits or not value.isprintable() or " " in value:
        raise wrong("must be an http:// or https:// address")
    return value


def _bare_url(value: str) -> str:
    parts = urlsplit(_web_url(value))
    if "@" in parts.netloc or "?" in value or "#" in value:
        raise wrong("must be an http:// or https:// address without user, password, '?' and '#'")
    return value.rstrip("/")


def _senders(value: tuple[str, ...]) -> tuple[str, ...]:
    if "*" in value and len(value) > 1:
        raise wrong("must hold '*' alone, or no '*': it means everybody")
    return value


def _as_secret(value: object) -> Secret:
    if isinstance(value, Secret):
        return value
    if not isinstance(value, str):
        raise wrong("must be text; write it in quotes, or ${NAME} for a variable of the environment")
    if not value:
        raise wrong("must not be empty")
    # `str` leaves behind what the text knew of the file it came from.
    return Secret(str(value))


def _as_long_secret(value: object) -> Secret:
    secret = _as_secret(value)
    if len(secret.reveal()) < 16:
        raise wrong("must be at least 16 characters long")
    return secret


def _as_database_url(value: object) -> Secret | None:
    if value is None:
        return None
    secret = _as_secret(value)
    try:
        parts = urlsplit(secret.reveal())
        fits = parts.scheme == "postgresql" and bool(parts.path.strip("/"))
        _ = parts.port
    except ValueError:
        fits = False
    if not fits:
        raise wrong("must be postgresql://user@host/database, or null for SQLite")
    return Secret(secret.reveal(), shown=without_secrets(secret.reveal()))


def _as_shared_key(value: object, info: ValidationInfo) -> Secret:
    """`env:NAME` as the secret in that variable. The value is not quoted back: some write the key itself."""
    if isinstance(value, Secret):
        return value
    match = re.fullmatch(r"env:([A-Za-z_][A-Za-z0-9_]*)", value) if isinstance(value, str) else None
    if match is None:
        raise wrong("must be written env:NAME, with the name of a variable of the environment")
    context: Mapping[str, Mapping[str, str]] = info.context or {}
    key = context.get("environ", {}).get(match[1], "")
    if not key:
        raise wrong(f"needs the environment variable {match[1]!r}, which is not set")
    return Secret(key, shown=match[0])


def _as_usd(value: object) -> Decimal:
    if isinstance(value, Decimal):
        amount = value
    elif isinstance(value, int | float | FromEnvironment) and not isinstance(value, bool):
        try:
            amount = Decimal(str(value))
        except InvalidOperation:
            raise wrong("must be a number of US dollars, without quotes") from None
    else:
        raise wrong("must be a number of US dollars, without quotes")
    if not amount.is_finite() or not 0 <= amount <= 1_000_000_000:
        raise wrong("must be between 0 and 1000000000 US dollars")
    return amount


def _as_address(value: object) -> WrittenAddress:
    if isinstance(value, WrittenAddress):
        return value
    if not isinstance(value, str):
        raise wrong('must be text; write it in quotes: "channel:sender"')
    try:
        return parse_address(value)
    except InvalidInput as error:
        raise wrong(f"is wrong: {error.detail}") from None


def _as_json_fields(value: object) -> dict[str, Any]:
    """Fields of a JSON object, as plain values that have forgotten the file they came from."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise wrong("must be fields by name, as the server knows them")
    return {str(key): _as_json(item) for key, item in cast("Mapping[object, object]", value).items()}


def _as_json(value: object) -> Any:
    match value:
        case str():
            return str(value)
        case Mapping():
            return _as_json_fields(cast("Mapping[object, object]", value))
        case list() | tuple():
            return [_as_json(item) for item in cast("Sequence[object]", value)]
        case float() if not math.isfinite(value):
            raise wrong("holds a number that JSON does not know")
        case None | bool() | int() | float():
            return value
        case _:
            raise wrong("holds something that is neither text, number, true, false, null, list nor mapping")


def _as_peer_kind(value: object) -> object:
    return {"direct": "dm", "room": "channel"}.get(value, value) if isinstance(value, str) else value


def without_secrets(url: str) -> str:
    """A URL that may be shown: its password and what its query says are hidden."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "(hidden)"
    user, at, place = parts.netloc.rpartition("@")
    name, colon, _ = user.partition(":")
    netloc = f"{name}{':***' if colon else ''}{at}{place}"
    query = "***" if parts.query else ""
    return parts._replace(netloc=netloc, query=query, fragment="").geturl()


Text = Annotated[str, Field(min_length=1)]
AbsolutePath = Annotated[str, AfterValidator(_absolute_path), Field(json_schema_extra={"pattern": "^/.*[^/]$"})]
Flag = Annotated[bool, Field(strict=True), BeforeValidator(_filled_flag)]
Count = Annotated[int, Field(strict=True, ge=1), BeforeValidator(_filled_number)]
CountFromZero = Annotated[int, Field(strict=True, ge=0), BeforeValidator(_filled_number)]
Port = Annotated[int, Field(strict=True, ge=0, le=65535), BeforeValidator(_filled_number)]
Hour = Annotated[int, Field(strict=True, ge=0, le=23), BeforeValidator(_filled_number)]
Seconds = Annotated[float, Field(strict=True, gt=0, allow_inf_nan=False), BeforeValidator(_filled_number)]
Usd = Annotated[Decimal, PlainValidator(_as_usd), WithJsonSchema({"type": "number", "minimum": 0})]

UserName = Annotated[UserId, _checked(user_id)]
AgentName = Annotated[AgentId, _checked(agent_id)]
ChannelName = Annotated[
    str, _checked(check_channel), WithJsonSchema({"type": "string", "enum": list(CHANNEL_NAMES)})
]
AccountName = Annotated[str, _checked(check_account)]
ProviderName = Annotated[str, AfterValidator(_provider_name)]
ModelName = Annotated[str, AfterValidator(_model_name), Field(json_schema_extra={"pattern": "^[^/\\s]+/\\S+$"})]
PeerKind = Annotated[
    ChatKind,
    BeforeValidator(_as_peer_kind),
    WithJsonSchema({"type": "string", "enum": ["dm", "direct", "group", "channel", "room"]}),
]
PlainSegment = Annotated[
    str, AfterValidator(_plain_segment), Field(json_schema_extra={"pattern": "^[A-Za-z0-9_.@+=-]+$"})
]
Host = Annotated[str, AfterValidator(_host)]
Network = Annotated[str, AfterValidator(_network)]
WebUrl = Annotated[str, AfterValidator(_web_url), Field(json_schema_extra={"format": "uri"})]
BareUrl = Annotated[str, AfterValidator(_bare_url), Field(json_schema_extra={"format": "uri"})]

Address = Annotated[
    WrittenAddress,
    PlainValidator(_as_address),
    WithJsonSchema({"type": "string", "pattern": "^[a-z]+(@[^:]+)?:.+$"}),
]
SecretText = Annotated[Secret, PlainValidator(_as_secret), WithJsonSchema({"type": "string", "minLength": 1})]
LongSecret = Annotated[
    Secret, PlainValidator(_as_long_secret), WithJsonSchema({"type": "string", "minLength": 16})
]
JsonFields = Annotated[Mapping[str, Any], PlainValidator(_as_json_fields), WithJsonSchema({"type": "object"})]
DatabaseUrl = Annotated[
    Secret | None,
    PlainValidator(_as_database_url),
    WithJsonSchema({"anyOf": [{"type": "string", "pattern": "^postgresql://"}, {"type": "null"}]}),
]
SharedKeySource = Annotated[
    Secret,
    PlainValidator(_as_shared_key),
    WithJsonSchema({"type": "string", "pattern": "^env:[A-Za-z_][A-Za-z0-9_]*$"}),
]

ListOf = Annotated[tuple[_T, ...], BeforeValidator(_null_is_empty_list)]
"""A list; nothing written after the key is the empty list."""

Senders = Annotated[ListOf[Text], AfterValidator(_senders)]
"""Sender ids as their network knows them, or `*` alone for everybody. The empty list is nobody."""
