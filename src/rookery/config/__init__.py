"""`rookery.yaml`: what it can say, how it is read, and how it is shown."""

from rookery.config.addresses import (
    ACCOUNT_SCOPED,
    CHANNEL_NAMES,
    WrittenAddress,
    check_account,
    check_address,
    check_channel,
    parse_address,
)
from rookery.config.available import keyless, unavailable
from rookery.config.canonical import canonical
from rookery.config.jsonschema import schema
from rookery.config.load import load
from rookery.config.models import Provider
from rookery.config.schema import (
    Binding,
    CommonAccount,
    Config,
    SharedAgent,
    TelegramAccount,
    WebhookAccount,
)
from rookery.config.secret import Secret
from rookery.config.show import show
from rookery.config.words import (
    Api,
    BindingSession,
    DmPolicy,
    DmScope,
    GroupPolicy,
    IsolationScope,
    QueueMode,
    ResetMode,
    ResetType,
    SessionBinding,
)

__all__ = [
    "ACCOUNT_SCOPED",
    "CHANNEL_NAMES",
    "Api",
    "Binding",
    "BindingSession",
    "CommonAccount",
    "Config",
    "DmPolicy",
    "DmScope",
    "GroupPolicy",
    "IsolationScope",
    "Provider",
    "QueueMode",
    "ResetMode",
    "ResetType",
    "Secret",
    "SessionBinding",
    "SharedAgent",
    "TelegramAccount",
    "WebhookAccount",
    "WrittenAddress",
    "canonical",
    "check_account",
    "check_address",
    "check_channel",
    "keyless",
    "load",
    "parse_address",
    "schema",
    "show",
    "unavailable",
]
