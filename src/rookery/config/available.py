"""What a configuration asks for that this version cannot do yet."""

from __future__ import annotations

from collections.abc import Iterator

from rookery.config.models import BUILT_IN_PROVIDERS
from rookery.config.schema import Config

CHANNELS = frozenset({"webchat", "webhook", "terminal", "cron"})
"""The channels this version runs."""

TOOLS = frozenset({"time"})
"""The toolsets this version has."""


def unavailable(config: Config) -> list[str]:
    """One line for each thing that is configured and will not happen; empty when everything will.

    Such a file loads, because it is right; the operator is told at start and by `rookery config check`.
    """
    return [*_channels(config), *_sections(config)]


def keyless(config: Config) -> list[str]:
    """One line for each model that is named and whose provider has no key, though it wants one.

    Such a file is right too: nobody is answered by that model until a key is there.
    """
    models, defaults = config.models, config.agents.defaults
    named = {("agents.defaults.model" if defaults.model else "models.default"): defaults.model or models.default}
    named |= {f"models.fallbacks[{number}]": model for number, model in enumerate(models.fallbacks)}
    named |= {f"agents.list[{n}].model": agent.model for n, agent in enumerate(config.agents.list) if agent.model}
    keys = {key.provider for key in models.shared_keys.values()}
    found: list[str] = []
    for where, model in named.items():
        name = model.partition("/")[0]
        provider = models.provider(name)
        if provider is not None and name not in keys and (name in BUILT_IN_PROVIDERS or provider.kind is not None):
            found.append(
                f"{where} is {model!r}, but models.sharedKeys has no key for {name!r}; "
                "is one in the store? rookery key list"
            )
    return found


def _channels(config: Config) -> Iterator[str]:
    for name in type(config.channels).model_fields:
        channel = config.channels.channel(name)
        if name in CHANNELS or channel is None or not channel.enabled:
            continue
        if config.channels.accounts(name) or "enabled" in channel.model_fields_set:
            yield f"channels.{name}: this version has no such channel; set enabled: false until it comes"


def _sections(config: Config) -> Iterator[str]:
    plain = Config.model_validate({})
    session, models, defaults = config.session, config.models, config.agents.defaults
    later = {
        "agents.defaults.skills": defaults.skills,
        "agents.defaults.tools": defaults.tools != plain.agents.defaults.tools and set(defaults.tools) - TOOLS,
        "budgets": config.budgets != plain.budgets,
        "models.embeddings": models.embeddings.provider,
        "session.resetPrompt": session.reset_prompt,
        "session.reset": session.reset != plain.session.reset,
        "session.resetByType": session.reset_by_type,
        "session.resetByChannel": session.reset_by_channel,
        "session.maintenance": session.maintenance != plain.session.maintenance,
        "session.compaction": session.compaction != plain.session.compaction,
    }
    for key, wanted in later.items():
        if wanted:
            yield f"{key}: is read by a later version; in this one it has no effect"
