"""What a configuration asks for that this version cannot do yet."""

from __future__ import annotations

from collections.abc import Iterator

from rookery.config.schema import Config
from rookery.config.words import Api

CHANNELS = frozenset({"webchat", "webhook", "terminal", "cron"})
"""The channels this version runs."""

TOOLS = frozenset({"time"})
"""The toolsets this version has."""


def unavailable(config: Config) -> list[str]:
    """One line for each thing that is configured and will not happen; empty when everything will.

    Such a file loads, because it is right; the operator is told at start and by `rookery config check`.
    """
    return [*_channels(config), *_models(config), *_sections(config)]


def _channels(config: Config) -> Iterator[str]:
    for name in type(config.channels).model_fields:
        channel = config.channels.channel(name)
        if name in CHANNELS or channel is None or not channel.enabled:
            continue
        if config.channels.accounts(name) or "enabled" in channel.model_fields_set:
            yield f"channels.{name}: this version has no such channel; set enabled: false until it comes"


def _models(config: Config) -> Iterator[str]:
    named = {
        "models.default": config.models.default,
        "agents.defaults.model": config.agents.defaults.model,
        **{f"agents.list[{index}].model": agent.model for index, agent in enumerate(config.agents.list)},
    }
    for key, model in named.items():
        provider = None if model is None else config.models.provider(model.partition("/")[0])
        if provider is not None and provider.api is Api.ANTHROPIC:
            yield f"{key}: {model!r} needs api anthropic, which is not in this version; use an openai provider"


def _sections(config: Config) -> Iterator[str]:
    session, models = config.session, config.models
    defaults, limits = config.agents.defaults, models.limits
    later = {
        "models.limits.perKey": limits.per_key,
        "models.limits.background": limits.background != type(limits)().background,
        "agents.defaults.skills": defaults.skills,
        "agents.defaults.tools": defaults.tools != type(defaults)().tools and set(defaults.tools) - TOOLS,
        **{f"models.providers.{name}.prices": provider.prices for name, provider in models.providers.items()},
        "budgets": config.budgets != type(config.budgets)(),
        "usersFile": config.users_file,
        "models.fallbacks": models.fallbacks,
        "models.embeddings": models.embeddings.provider,
        "session.resetPrompt": session.reset_prompt,
        "session.reset": session.reset != type(session.reset)(),
        "session.resetByType": session.reset_by_type,
        "session.resetByChannel": session.reset_by_channel,
        "session.maintenance": session.maintenance != type(session.maintenance)(),
        "session.compaction": session.compaction != type(session.compaction)(),
    }
    for key, wanted in later.items():
        if wanted:
            yield f"{key}: is read by a later version; in this one it has no effect"
