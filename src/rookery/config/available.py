"""What a configuration asks for that this version cannot do yet."""

from __future__ import annotations

from collections.abc import Iterator

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


def _channels(config: Config) -> Iterator[str]:
    for name in type(config.channels).model_fields:
        channel = config.channels.channel(name)
        if name in CHANNELS or channel is None or not channel.enabled:
            continue
        if config.channels.accounts(name) or "enabled" in channel.model_fields_set:
            yield f"channels.{name}: this version has no such channel; set enabled: false until it comes"


def _sections(config: Config) -> Iterator[str]:
    session, models, defaults = config.session, config.models, config.agents.defaults
    later = {
        "agents.defaults.skills": defaults.skills,
        "agents.defaults.tools": defaults.tools != type(defaults)().tools and set(defaults.tools) - TOOLS,
        "budgets": config.budgets != type(config.budgets)(),
        "usersFile": config.users_file,
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
