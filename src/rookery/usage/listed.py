"""Published prices, from the list that comes with `genai-prices`; nothing is fetched.

Importing this costs 30 MB and a tenth of a second, so only `prices` does, in a thread, when such a price is asked
for the first time.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import genai_prices
from genai_prices.data_snapshot import DataSnapshot, get_snapshot
from genai_prices.types import ModelInfo, Provider

from rookery.messages import Usage
from rookery.usage.prices import rounded

VERSION = f"genai-prices {genai_prices.__version__}"


@dataclass(frozen=True, slots=True)
class Listed:
    """A model as the list has it: prices may have steps, and hours."""

    provider: Provider
    model: ModelInfo

    @property
    def version(self) -> str:
        """Which list it stands in."""
        return VERSION

    def cost(self, usage: Usage, at: datetime) -> int | None:
        """The nano-dollars of a call; None when the list has the model, and no price for it."""
        if not _said(self.model, at):
            return None
        used = genai_prices.Usage(
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            cache_read_tokens=usage.cached_tokens,
            cache_write_tokens=usage.cache_write_tokens,
        )
        price = self.model.calc_price(used, self.provider, genai_request_timestamp=at)
        return rounded(price.total_price.scaleb(9))


def find(listed: str, model: str) -> Listed | None:
    """The model as it is called by the provider at that address, or of that name; None when it is not listed."""
    snapshot = get_snapshot()
    try:
        return Listed(*_find(snapshot, listed, model))
    except LookupError:
        return None


def _find(snapshot: DataSnapshot, listed: str, model: str) -> tuple[Provider, ModelInfo]:
    if "://" in listed:
        return snapshot.find_provider_model(model, None, None, listed)
    return snapshot.find_provider_model(model, None, listed, None)


def _said(model: ModelInfo, at: datetime) -> bool:
    """Whether the list says anything of what it costs, if only that it is free."""
    prices = vars(model.get_prices(at))
    return any(value is not None for name, value in prices.items() if not name.startswith("_"))
