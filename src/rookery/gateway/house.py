"""Opens everything a gateway stands on, in order, from a home and its configuration, and closes it again."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext, suppress
from datetime import datetime
from functools import partial
from typing import assert_never

from msgspec import Struct
from sqlalchemy import Connection

from rookery import users
from rookery.channels import registry
from rookery.channels.contract import AccountSettings, Channel, HttpPost, Needs
from rookery.channels.terminal import ACCOUNT as TERMINAL_ACCOUNT
from rookery.channels.terminal import CHANNEL as TERMINAL
from rookery.channels.terminal import TerminalChannel
from rookery.channels.webchat import CHANNEL as WEBCHAT
from rookery.config import CHANNEL_NAMES, Config, Secret
from rookery.config.words import MasterKeyPlace
from rookery.errors import ConfigError, Conflict, InvalidInput, NotFound
from rookery.gateway import schema, sealed
from rookery.gateway.anchors import Anchors
from rookery.gateway.gateway import Gateway
from rookery.gateway.home import Home
from rookery.gateway.log import Logger
from rookery.gateway.master_key import EnvironmentKey, FileKey, KeyringKey, MasterKeySource
from rookery.gateway.pricing import tariffs
from rookery.gateway.providers import Providers
from rookery.gateway.settings import (
    check_models,
    configured_agents,
    default_model,
    providers_from,
    settings_from,
)
from rookery.gateway.vault import Vault
from rookery.ids import AgentId
from rookery.messages import ChatKind
from rookery.outbound.lazy import LazyOutbound
from rookery.sessions import Brains, FileBrains, RowBrains
from rookery.storage import Database
from rookery.storage.threads import WriterThreads
from rookery.usage import Prices
from rookery.users.grants import stored_keys
from rookery.users.hashing import Cost, Hasher


class House(Struct, frozen=True):
    """An open gateway with what it stands on."""

    home: Home
    gateway: Gateway
    outbound: LazyOutbound

    @property
    def database(self) -> Database:
        return self.gateway.database

    @property
    def brains(self) -> Brains:
        return self.gateway.brains


@asynccontextmanager
async def open_house(
    home: Home,
    config: Config,
    *,
    now: Callable[[], datetime],
    log: Logger,
    grace: float,
    answering: bool = True,
    hashing: Cost | None = None,
    environment_key: EnvironmentKey | None = None,
) -> AsyncGenerator[House]:
    """Open the state under `home` and make a gateway over it, not started. The home's lock is the caller's.

    `environment_key` is the master key this process was started with, for who keeps it there.
    `hashing` is what a password's hash costs, when not the usual.

    With `answering` False nobody will be answered: then the configuration may still name people who are to be
    added, and is brought together with the state only if they fit already.

    Raises `ConfigError` when the configuration and the state do not fit together, `StorageUnavailable` when
    the state cannot be opened. At the end of the block running turns get `grace` seconds.
    """
    settings = settings_from(config)
    async with AsyncExitStack() as stack:
        database = await _open_database(home, config, stack)
        brains = _open_brains(home, config, database, stack)
        hasher = Hasher(hashing)
        if answering and config.users_file is not None:
            await _take_up_people(home, config, database, brains, hasher, now, log)
        with nullcontext() if answering else suppress(ConfigError):
            await database.write(lambda connection: fit(connection, config, now()))
        outbound = LazyOutbound()
        stack.push_async_callback(outbound.close)
        providers, shared_keys = providers_from(config, outbound, now)
        check_models(config, providers)
        for shared_key in shared_keys.values():
            log.hide(shared_key.key.secret)
        gateway = Gateway(
            database=database,
            brains=brains,
            providers=Providers(providers, shared_keys, default_model(config), config.models.fallbacks),
            channels=_channels(config, Needs(_poster(outbound), now)),
            settings=settings,
            now=now,
            log=log,
            hasher=hasher,
            anchors=Anchors(home.audit_heads, *([config.audit.file] if config.audit.file else [])),
            web=outbound,
            prices=Prices(tariffs(config)),
            vault=Vault(
                _master_key(home, config, environment_key),
                hide=log.hide,
                anything_sealed=partial(sealed.anything, database, brains),
            ),
        )
        stack.push_async_callback(gateway.close, grace)
        terminal = gateway.channels.get(TERMINAL)
        if isinstance(terminal, TerminalChannel):
            terminal.on_attach = partial(gateway.outbox.wake, TERMINAL, TERMINAL_ACCOUNT)
        yield House(home, gateway, outbound)


async def _take_up_people(
    home: Home,
    config: Config,
    database: Database,
    brains: Brains,
    hasher: Hasher,
    now: Callable[[], datetime],
    log: Logger,
) -> None:
    """Apply the people file, before anything else asks who there is."""
    from rookery.gateway.people_file import Parts
    from rookery.gateway.users_file import path_of, take_up
    from rookery.policy import Operator, principal

    assert config.users_file is not None, "only asked when the configuration names one"
    path = path_of(home, config.users_file)
    try:
        await take_up(path, os.environ, Parts(database, brains, hasher, now, config, principal(Operator())), log)
    except BaseException:
        await hasher.close()
        await brains.close()
        raise


def _master_key(home: Home, config: Config, environment_key: EnvironmentKey | None) -> MasterKeySource:
    match config.secrets.master_key:
        case MasterKeyPlace.FILE:
            return FileKey(home.path)
        case MasterKeyPlace.ENVIRONMENT:
            return environment_key or EnvironmentKey(None)
        case MasterKeyPlace.KEYRING:
            return KeyringKey(home.path)
        case _:
            assert_never(config.secrets.master_key)


async def _open_database(home: Home, config: Config, stack: AsyncExitStack) -> Database:
    if config.database.url is None:
        from rookery.storage.sqlite import SqliteDatabase

        database = SqliteDatabase(home.database)
        stack.push_async_callback(database.close)
        await database.write(schema.prepare)
        return database
    from rookery.storage.postgres import PostgresDatabase, role_of

    url, owner_url = config.database.url.reveal(), config.database.owner_url
    if owner_url is not None:
        owner = PostgresDatabase(owner_url.reveal(), connections=1)
        try:
            await owner.write(schema.prepare)
            await owner.write(lambda connection: schema.grant(connection, role_of(url)))
        finally:
            await owner.close()
    served = PostgresDatabase(url)
    stack.push_async_callback(served.close)
    await served.read(schema.check_role)
    await served.read(schema.require_current)
    await stack.enter_async_context(served.held())
    return served


def _open_brains(home: Home, config: Config, database: Database, stack: AsyncExitStack) -> Brains:
    open_brains = config.storage.open_brains
    if database.dialect == "postgresql":
        return RowBrains(database, open_brains)
    threads = WriterThreads()
    stack.push_async_callback(threads.close)
    return FileBrains(home.agents, threads, open_brains)


def fit(connection: Connection, config: Config, now: datetime) -> None:
    """Bring the store and the configuration together. Raises `ConfigError` where they contradict each other."""
    try:
        users.sync_configured_agents(connection, configured_agents(config), now=now)
    except NotFound as error:
        raise ConfigError(
            f"agents.list names a sponsor that is no user: {error.detail} Add them: rookery user add ID."
        ) from error
    except (Conflict, InvalidInput) as error:
        raise ConfigError(f"agents.list names an agent that cannot be: {error.detail}") from error
    for name in sorted(config.models.shared_keys.keys() & stored_keys(connection).keys()):
        raise ConfigError(
            f"models.sharedKeys names {name!r}, which is also sealed in the store; choose another name, or take "
            f"that one away: rookery key unshare {name}"
        )
    for number, binding in enumerate(config.bindings):
        where = f"bindings[{number}]"
        try:
            agent = users.get_agent(connection, AgentId(binding.agent_id))
        except NotFound:
            raise ConfigError(
                f"{where} names the agent {binding.agent_id!r}, which does not exist; add it under agents.list."
            ) from None
        if agent.of_a_group:
            raise ConfigError(f"{where} binds {binding.agent_id!r}, which answers its own group and nobody else.")
        peer = binding.match.peer
        group = peer is not None and peer.kind not in ("dm", "direct", ChatKind.DM)
        if not agent.shared and (peer is None or group):
            raise ConfigError(
                f"{where} binds {binding.agent_id!r}, {agent.owner!r}'s own agent, to "
                f"{'a group' if group else 'a whole account'}; only a shared agent can answer there."
            )
    for name in config.session.identity_links:
        if users.is_taken(connection, name):
            raise ConfigError(
                f"session.identityLinks names {name!r}, which is also a user's id; choose another name, or link "
                f"the addresses to the user: rookery identity link {name} …"
            )


_OWN = frozenset({TERMINAL, WEBCHAT})
"""Channels of our own, which are there unless they are switched off, and have no accounts to configure."""


def _channels(config: Config, needs: Needs) -> list[Channel]:
    """The channels that are configured and that this version has, each imported now and not before."""
    created: list[Channel] = []
    for name in CHANNEL_NAMES:
        accounts = config.channels.accounts(name)
        wanted = name in _OWN or accounts
        channel = config.channels.channel(name)
        if not wanted or channel is None or not channel.enabled or name not in registry.BUILT_IN:
            continue
        created.append(registry.find(name)(account_settings(config, name), needs))
    return created


def account_settings(config: Config, channel: str) -> AccountSettings:
    """A channel's accounts as the channel reads them, secrets revealed."""
    return {
        name: _plain(account.model_dump(by_alias=True))
        for name, account in config.channels.accounts(channel).items()
    }


def _plain(settings: Mapping[str, object]) -> dict[str, object]:
    return {key: value.reveal() if isinstance(value, Secret) else value for key, value in settings.items()}


def _poster(outbound: LazyOutbound) -> HttpPost:
    async def post(
        url: str, headers: Mapping[str, str], body: bytes, timeout: float, /
    ) -> tuple[int, Mapping[str, str], bytes]:
        async with outbound.operator("POST", url, headers=headers, body=body, total_seconds=timeout) as answer:
            try:
                content = await answer.read_whole()
            except ValueError:
                content = b""  # it answered, at length; what counts is the status
            retry_after = answer.header("Retry-After")
            return answer.status, {} if retry_after is None else {"retry-after": retry_after}, content

    return post
