"""`KEY=VALUE` arguments, as `rookery user set` and `rookery agent set` take them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rookery.errors import InvalidInput


def read_settings(settings: Sequence[str], keys: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Each key with its value, which may be empty. A key that ends in a dot stands for all that begin so.

    Raises `InvalidInput` for what is no setting, and for a key that is none of these.
    """
    for setting in settings:
        key, is_set, value = setting.partition("=")
        if not is_set or not any(key.startswith(one) if one.endswith(".") else key == one for one in keys):
            known = ", ".join(f"{one}WORD" if one.endswith(".") else one for one in keys)
            raise InvalidInput(f"{setting!r} is not understood; write KEY=VALUE, KEY one of {known}.")
        yield key, value.strip()
