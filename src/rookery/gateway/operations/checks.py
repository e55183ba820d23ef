"""What `rookery doctor` asks the open state: each thing looked at, what was seen, and the remedy."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import Connection, text

from rookery import users
from rookery.errors import ConfigError, ModelErrorKind, RookeryError
from rookery.gateway import deliveries, schema
from rookery.gateway.anchors import Anchors
from rookery.gateway.house import fit
from rookery.gateway.operations.desk import Desk
from rookery.gateway.operations.log import look_through
from rookery.gateway.providers import OFFLINE
from rookery.gateway.settings import default_model
from rookery.gateway.shapes import AgentNamed, Done, Finding, Nothing
from rookery.ids import SessionId
from rookery.models.cooldown import Cooling, Scope
from rookery.policy import HOUSE, Action
from rookery.users.grants import Grant, grants_of, stored_keys

_REACH_SECONDS = 5.0
_SERVER_BROKE = 500


async def database(desk: Desk, _: Nothing) -> list[Finding]:
    """Whether the database is whole, its schema the right one, and its role one that is held to its rows."""
    desk.ask(Action.READ_HOUSE, HOUSE)
    database = desk.house.database

    def look(connection: Connection) -> list[Finding]:
        found = [_schema(connection)]
        if connection.dialect.name == "sqlite":
            found.append(_integrity(connection))
        else:
            found.append(_role(connection))
        dead = deliveries.count(connection, deliveries.Status.DEAD)
        if dead:
            found.append(
                Finding("outbox", "warn", f"{dead} replies could not be delivered and are not tried again.")
            )
        return found

    return await database.read(look)


async def configuration(desk: Desk, _: Nothing) -> list[Finding]:
    """Whether bindings, sponsors, links and shared keys fit the people and agents there are."""
    desk.ask(Action.READ_HOUSE, HOUSE)
    return [await _fits(desk), *await _keys(desk)]


async def models(desk: Desk, _: Nothing) -> list[Finding]:
    """Whether the servers of the models in use answer; asked without a key, and only those in `rookery.yaml`.

    Then what is left alone for a while because it failed.
    """
    desk.ask(Action.READ_HOUSE, HOUSE)
    agents = await desk.house.database.read(users.list_agents)
    named = [default_model(desk.config), *desk.config.models.fallbacks]
    named += [agent.model for agent in agents if agent.model and agent.enabled]
    in_use = {model.partition("/")[0] for model in named} | set(desk.config.models.providers)
    providers = [
        (name, provider.paths_begin)
        for name in sorted(in_use - {OFFLINE})
        if (provider := desk.config.models.provider(name)) is not None and provider.paths_begin is not None
    ]
    if not providers:
        return [Finding("models", "ok", "Every agent uses the offline demo model, which needs nothing.")]
    found = await asyncio.gather(*(_reachable(desk, name, url) for name, url in providers))
    now = desk.now()
    return [*found, *(_cools(cooling, now) for cooling in desk.house.gateway.providers.cooldowns.active(now))]


async def audit_trail(desk: Desk, _: Nothing) -> list[Finding]:
    """Whether the audit trail is as it was written, and its heads are written down where they should be."""
    desk.ask(Action.READ_LOG, HOUSE)
    anchors = desk.house.gateway.anchors
    found: list[Finding] = []
    if anchors is not None:
        lines, one_disk = await asyncio.to_thread(lambda: (anchors.unwritable(), _on_one_disk(anchors)))
        found += [Finding("audit heads", "fail", f"{line} Without it a cut trail goes unseen.") for line in lines]
        if one_disk and len(anchors.places) > 1:
            said = "audit.anchorFile is on the disk of the home; whoever can write there can cut both."
            found.append(Finding("audit heads", "warn", said))
    checked = await look_through(desk)
    if checked.problem is not None:
        return [*found, Finding("audit trail", "fail", checked.problem)]
    if checked.spoiled:
        said = f"{checked.spoiled} lines of the heads written down cannot be read; a power cut leaves such lines."
        found.append(Finding("audit heads", "warn", said))
    whole = f"All {checked.rows} rows follow from one another and agree with {checked.anchors} heads written down."
    return [*found, Finding("audit trail", "ok", whole)]


def _on_one_disk(anchors: Anchors) -> bool:
    try:
        return anchors.on_one_disk()
    except OSError:
        return False


async def brain(desk: Desk, ask: AgentNamed) -> list[Finding]:
    """What is wrong with one brain's storage; nothing is changed. Raises `NotFound`."""
    agent = await _kept(desk, ask.agent_id)
    async with desk.house.brains.use(agent.id) as opened:
        problems = await opened.check()
    if not problems:
        return [Finding(f"brain {agent.id}", "ok", "Every transcript can be read.")]
    return [Finding(f"brain {agent.id}", "fail", f"{problem.where}: {problem.detail}") for problem in problems]


async def reindex(desk: Desk, ask: AgentNamed) -> Done:
    """Make one brain's index anew from its transcripts. Raises `NotFound`, `StorageUnavailable`."""
    agent = await _kept(desk, ask.agent_id)
    async with desk.house.brains.use(agent.id) as opened:
        await opened.reindex()
    return Done(f"The index of {agent.id} was made anew.")


async def _kept(desk: Desk, agent_id: str) -> users.Agent:
    return await desk.house.database.read(lambda connection: desk.agent(connection, agent_id, Action.CHECK_AGENT))


def _schema(connection: Connection) -> Finding:
    try:
        schema.require_current(connection)
    except ConfigError as error:
        return Finding("schema", "fail", error.detail)
    return Finding("schema", "ok", f"The database ({connection.dialect.name}) has schema {schema.HEAD}.")


def _integrity(connection: Connection) -> Finding:
    said = list(connection.execute(text("PRAGMA integrity_check(5)")).scalars())
    if said == ["ok"]:
        return Finding("database", "ok", "gateway.db is whole.")
    return Finding("database", "fail", f"gateway.db is damaged ({'; '.join(said)}); restore it from a backup.")


def _role(connection: Connection) -> Finding:
    try:
        schema.check_role(connection)
    except ConfigError as error:
        return Finding("database role", "fail", error.detail)
    return Finding("database role", "ok", "Row-level security binds the application's role.")


class _Undo(Exception):
    """Ends a transaction that was only tried."""


async def _fits(desk: Desk) -> Finding:
    def attempt(connection: Connection) -> None:
        fit(connection, desk.config, desk.now())
        raise _Undo

    try:
        await desk.house.database.write(attempt)
    except _Undo:
        pass
    except RookeryError as error:
        return Finding("agents and bindings", "fail", error.detail)
    return Finding("agents and bindings", "ok", "Bindings, sponsors and links name people and agents there are.")


async def _keys(desk: Desk) -> list[Finding]:
    gateway = desk.house.gateway
    await gateway.know_keys()

    def look(connection: Connection) -> tuple[dict[str, str], list[tuple[users.Agent, tuple[Grant, ...]]]]:
        agents = users.list_agents(connection)
        return stored_keys(connection), [(agent, grants_of(connection, agent.id)) for agent in agents]

    stored, granted = await desk.house.database.read(look)
    known = stored | {name: key.provider for name, key in gateway.providers.shared_keys.items()}
    used = {grant.name for _, grants in granted for grant in grants}
    found = [
        Finding(
            f"key {name}",
            "warn",
            f"No agent may use the shared key {name!r} yet: rookery key grant AGENT {name}",
        )
        for name in sorted(known.keys() - used)
    ]
    for agent, grants in granted:
        found += [
            Finding(
                f"key {grant.name}",
                "warn",
                f"{agent.id} was granted the shared key {grant.name!r}, which is neither in rookery.yaml nor in "
                f"the store any more: share it again, or: rookery key ungrant {agent.id} {grant.name}",
            )
            for grant in grants
            if grant.name not in known
        ]
        if agent.enabled:
            found += await _usable(desk, agent, grants, known)
    return found or [Finding("keys", "ok", "Every agent has the key its model needs.")]


async def _usable(
    desk: Desk, agent: users.Agent, grants: tuple[Grant, ...], known: Mapping[str, str]
) -> list[Finding]:
    gateway = desk.house.gateway
    try:
        gateway.providers.check(agent.model or default_model(desk.config))
    except ConfigError as error:
        return [
            Finding(f"agent {agent.id}", "fail", f"{error.detail} Change it: rookery agent set {agent.id} model=…")
        ]
    async with desk.house.brains.use(agent.id) as brain:
        endpoints = await gateway.keyring.endpoints(agent, SessionId(""), agent.id, brain.profiles, grants)
    chosen = [one for one in endpoints if one.name == endpoints[0].name]
    if any(one.problem is None for one in chosen):
        return []
    provider, problem = chosen[0].provider, chosen[0].problem
    if problem is not None and problem.kind is ModelErrorKind.LOCKED_KEY:
        said = f"Its key for its model ({provider}) cannot be opened; the log says why (key.locked)."
        return [Finding(f"agent {agent.id}", "fail", said)]
    able = sorted(name for name, of in known.items() if of == provider)
    remedy = f"rookery key grant {agent.id} {able[0]}" if able else f"rookery key set {agent.id} {provider}"
    return [Finding(f"agent {agent.id}", "warn", f"It has no key for its model ({provider}): {remedy}")]


def _cools(cooling: Cooling, now: datetime) -> Finding:
    whose = f" of {cooling.owner}" if cooling.owner else ""
    what = {
        Scope.KEY: "without a key" if cooling.name is None else f"with the key {cooling.name!r}{whose}",
        Scope.MODEL: f"for {cooling.name!r}",
        Scope.PROVIDER: "for anything",
    }[cooling.scope]
    why = cooling.kind.value.replace("_", " ")
    left = math.ceil(cooling.left(now))
    said = f"It is not asked {what} for another {left} s, unless nothing else is left: {why}."
    return Finding(f"model server {cooling.provider}", "warn", said)


async def _reachable(desk: Desk, name: str, base_url: str) -> Finding:
    check = f"model server {name}"
    try:
        async with desk.house.outbound.operator(
            "GET", f"{base_url.rstrip('/')}/models", headers={}, total_seconds=_REACH_SECONDS
        ) as answer:
            status = answer.status
    except (OSError, ValueError) as error:
        why = "took too long" if isinstance(error, TimeoutError) else "cannot be reached"
        return Finding(
            check, "warn", f"{base_url} {why}; is it running, and is models.providers.{name}.baseUrl right?"
        )
    if status >= _SERVER_BROKE:
        return Finding(check, "warn", f"{base_url} answers with status {status}; look at its own log.")
    return Finding(check, "ok", f"{base_url} answers.")
