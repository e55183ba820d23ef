"""Taking up a changed `rookery.yaml` while the gateway runs; one that does not load leaves everything as it is."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

from rookery.config import Config, load
from rookery.errors import ConfigError, StorageUnavailable
from rookery.gateway.gateway import Wait
from rookery.gateway.house import House, account_settings, fit
from rookery.gateway.pricing import tariffs
from rookery.gateway.settings import check_models, default_model, providers_from, settings_from
from rookery.policy import Operator, principal

LOOK_EVERY = 2.0
"""Seconds between looks at the file."""

_AT_START = "gateway, database, storage.openBrains, audit, secrets, and which channels run"


class Reloader:
    """Watches one configuration file for one running house."""

    def __init__(self, house: House, config: Config, environ: Mapping[str, str]) -> None:
        self._house = house
        self._config = config
        self._environ = environ
        self._path: Path = house.home.config
        self._seen = self._stamps()

    @property
    def config(self) -> Config:
        """The configuration in force."""
        return self._config

    async def reload(self) -> str:
        """Load the file and take it up. Returns one line on what holds now.

        Raises `ConfigError` with everything that is wrong, and then the old configuration goes on.
        """
        house, gateway = self._house, self._house.gateway
        config = await asyncio.to_thread(load, self._path, self._environ)  # which takes a while to check it all
        settings = settings_from(config)
        providers, shared_keys = providers_from(config, house.outbound, gateway.now)
        check_models(config, providers)
        await self._people(config)
        await gateway.database.write(lambda connection: fit(connection, config, gateway.now()))
        for name, channel in gateway.channels.items():
            channel.configure(account_settings(config, name))
        gateway.prices.replace(tariffs(config))
        gateway.configure(settings)
        fixed = _fixed(self._config) != _fixed(config)
        self._config = config
        for shared_key in shared_keys.values():
            gateway.log.hide(shared_key.key.secret)
        await gateway.providers.replace(providers, shared_keys, default_model(config), config.models.fallbacks)
        return f"The configuration is in force{f'; {_AT_START} change with the next start' if fixed else ''}."

    async def watch(self, wait: Wait = asyncio.sleep) -> None:
        """Reload whenever the file changes; what is wrong with it goes to the log."""
        while True:
            await wait(LOOK_EVERY)
            stamps = await asyncio.to_thread(self._stamps)
            # A file that is gone is about to be written anew; read as empty it would shut everybody out.
            if None in stamps or stamps == self._seen:
                continue
            try:
                self._house.gateway.log.info("config.reloaded", outcome=await self.reload())
            except ConfigError as error:
                self._house.gateway.log.error("config.kept", error=error.detail)
            except StorageUnavailable as error:
                self._house.gateway.log.warning("config.waits", error=error.detail)
                continue
            self._seen = stamps

    async def _people(self, config: Config) -> None:
        """Apply the people file, where there is one and it has changed."""
        house, gateway = self._house, self._house.gateway
        if config.users_file is not None:
            from rookery.gateway.people_file import Parts, teller
            from rookery.gateway.users_file import path_of, take_up

            actor = principal(Operator())
            parts = Parts(
                database=gateway.database,
                brains=gateway.brains,
                hasher=gateway.hasher,
                now=gateway.now,
                config=config,
                actor=actor,
                tell=teller(gateway),
            )
            with gateway.catching_up():
                await take_up(path_of(house.home, config.users_file), self._environ, parts, gateway.log)

    def _stamps(self) -> tuple[tuple[int, int] | None, ...]:
        """When the file, and the people file it names, were written last."""
        people = self._config.users_file
        paths = [self._path] if people is None else [self._path, self._path.parent / str(people)]
        return tuple(map(_stamp, paths))


def _fixed(config: Config) -> tuple[object, ...]:
    channels = tuple(
        bool(channel and channel.enabled and config.channels.accounts(name))
        for name in type(config.channels).model_fields
        if (channel := config.channels.channel(name)) is not None
    )
    return config.gateway, config.database, config.storage, config.audit, config.secrets, channels


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size
