"""From `rookery.yaml` to what model calls cost."""

from __future__ import annotations

from rookery.config import Config
from rookery.config.models import BUILT_IN_PROVIDERS, Price, Provider
from rookery.gateway.providers import OFFLINE
from rookery.usage import Rates, Tariff
from rookery.usage.prices import listed_at


def tariffs(config: Config) -> dict[str, Tariff]:
    """How the models of each provider are priced: by what the operator wrote, then by what is published.

    What is published is looked up by the address that is asked: a server of somebody's own that goes by a
    provider's name does not cost what the provider does.
    """
    found = {OFFLINE: Tariff(free=True)}
    for name in {*BUILT_IN_PROVIDERS, *config.models.providers}:
        provider = config.models.provider(name)
        if provider is not None:
            rates = {model: _rates(price) for model, price in provider.prices.items()}
            found[name] = Tariff(rates, _listed(provider))
    return found


def _listed(provider: Provider) -> str | None:
    return listed_at(provider.base_url)


def _rates(price: Price) -> Rates:
    return Rates(price.input, price.output, price.cached_input, price.cache_write)
