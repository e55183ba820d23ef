"""Keys: those of agents' own, the shared ones, and which agents may use these. Nobody is told a key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from sqlalchemy import Connection

from rookery import users
from rookery.errors import Conflict, NotFound
from rookery.gateway.keyring import PROFILE, profile_binding, shared_binding
from rookery.gateway.operations.desk import Desk
from rookery.gateway.operations.key_checks import check_name, check_provider, checked_key, last_four
from rookery.gateway.operations.permission import still
from rookery.gateway.shapes import (
    AgentKey,
    AgentNamed,
    Done,
    KeyCooling,
    KeyGrant,
    KeyList,
    KeyNamed,
    Keys,
    KeySet,
    KeyShare,
    SharedKey,
    SharedKeyNamed,
)
from rookery.ids import AgentId
from rookery.models.cooldown import KeyName, Scope
from rookery.policy import HOUSE, Action, may
from rookery.sessions.profiles import Profile
from rookery.users import shared_keys
from rookery.users.grants import grants_of, ungrant_all

MOST_PROFILES = 50
"""How many keys of its own an agent may have."""


# --- an agent's own ------------------------------------------------------------------------------------------


async def set_key(desk: Desk, ask: KeySet) -> AgentKey:
    """Give an agent a key of its own, sealed, or another in its place; it is used from the next call on.

    Raises `NotFound` for the agent and the provider, `InvalidInput` for the key and the name of the profile,
    `Conflict` when it has too many, and `StorageUnavailable`.
    """
    key = checked_key(ask.key)
    check_name(ask.profile, "the name of a profile")
    agent = await desk.house.database.read(lambda c: desk.agent(c, ask.agent_id, Action.SET_KEY))
    check_provider(desk, ask.provider)
    vault = desk.house.gateway.vault

    async with vault.changing, desk.house.brains.use(agent.id) as brain:
        sealed = await vault.seal(key, profile_binding(agent.id, ask.provider, ask.profile))
        new = Profile(ask.provider, ask.profile, sealed, last_four(key), desk.now())
        await _put_on_record(desk, ask.agent_id, "key.set", f"{ask.provider}/{ask.profile}{_ending(key)}")
        await brain.profiles.change(partial(_with, new, ask.first, agent.id))
    desk.house.gateway.providers.cooldowns.forget_key(new.provider, f"{PROFILE}{new.name}", agent.id)
    return _own(agent.id, new, {})


async def revoke(desk: Desk, ask: KeyNamed) -> Done:
    """Take a key of its own from an agent, or all of one provider, from the next call on; of a turn under way too.

    Raises `NotFound` for an agent that is not theirs to, and where there is no such key.
    """
    agent = await desk.house.database.read(lambda c: desk.agent(c, ask.agent_id, Action.SET_KEY))
    async with desk.house.brains.use(agent.id) as brain:
        known = await brain.profiles.all()
        gone = [one for one in known if _is(one, ask.provider, ask.profile)]
        if not gone:
            raise NotFound(_no_such(agent.id, ask, known))
        named = ", ".join(f"{one.provider}/{one.name}" for one in gone)
        await _put_on_record(desk, agent.id, "key.revoke", named)
        await brain.profiles.change(lambda now: [one for one in now if not _is(one, ask.provider, ask.profile)])
    for one in gone:
        desk.house.gateway.providers.cooldowns.forget_key(one.provider, f"{PROFILE}{one.name}", agent.id)
    return Done(f"{agent.id} has the key {named} no more, from its next call on.")


async def of_agent(desk: Desk, ask: AgentNamed) -> list[AgentKey]:
    """The keys an agent may use, in their order: its own, then the shared ones. Raises `NotFound`."""
    agent = await desk.house.database.read(lambda c: desk.agent(c, ask.agent_id, Action.READ_AGENT_KEYS))
    cooling = await _cooling(desk)
    own = await _profiles(desk, agent.id, cooling)
    shared = {one.name: one for one in await _shared(desk, cooling)}
    granted = await desk.house.database.read(lambda c: grants_of(c, agent.id))
    inside = may(desk.actor, Action.READ_KEYS, HOUSE)
    return [
        *own,
        *(
            AgentKey(
                agent_id=agent.id,
                provider=one.provider,
                profile=None,
                shared_key=one.name,
                last_four=one.last_four if inside else None,
                added_at=one.added_at if inside else None,
                cooling=one.cooling,
            )
            for grant in granted
            if (one := shared.get(grant.name)) is not None  # or it was granted since they were looked at
        ),
    ]


async def listed(desk: Desk, ask: KeyList) -> Keys:
    """Every agent's own keys and every shared one, or those of one agent. Raises `Refused` and `NotFound`."""
    if ask.agent_id is not None:
        keys = await of_agent(desk, AgentNamed(agent_id=ask.agent_id))
        granted = {one.shared_key for one in keys}
        shared = await _shared(desk, await _cooling(desk))
        return Keys(
            agents=tuple(one for one in keys if one.profile is not None),
            shared=tuple(_seen_by(desk, one, AgentId(ask.agent_id)) for one in shared if one.name in granted),
        )
    desk.ask(Action.READ_KEYS, HOUSE)
    cooling = await _cooling(desk)
    agents = await desk.house.database.read(users.list_agents)
    own = [one for agent in agents for one in await _profiles(desk, agent.id, cooling)]
    return Keys(agents=tuple(own), shared=tuple(await _shared(desk, cooling)))


# --- shared ones ---------------------------------------------------------------------------------------------


async def share(desk: Desk, ask: KeyShare) -> SharedKey:
    """Seal a key in the store, to be shared out by grant; one of that name there is replaced, and grants stay.

    Raises `Refused`, `InvalidInput`, `NotFound` for the provider, and `Conflict` when the configuration has a key
    of that name, or the store one of another provider.
    """
    desk.ask(Action.SHARE_KEY, HOUSE)
    key = checked_key(ask.key)
    check_name(ask.name, "the name of a shared key")
    check_provider(desk, ask.provider)
    gateway = desk.house.gateway
    if ask.name in gateway.providers.shared_keys:
        raise Conflict(
            f"rookery.yaml has a shared key {ask.name!r} under models.sharedKeys; choose another name, or take it "
            "out there first."
        )

    def work(sealed: str, connection: Connection) -> None:
        still(connection, desk)
        known = {one.name: one for one in shared_keys.list_shared_keys(connection)}.get(ask.name)
        if known is not None and known.provider != ask.provider:
            raise Conflict(
                f"The shared key {ask.name!r} is one of provider {known.provider!r}; take it away first: "
                f"rookery key unshare {ask.name}"
            )
        shared_keys.put_shared_key(
            connection,
            ask.name,
            provider=ask.provider,
            sealed=sealed,
            last_four=last_four(key),
            added_by=desk.principal,
            now=desk.now(),
        )
        desk.record(connection, "key.share", f"{ask.name} {ask.provider}{_ending(key)}")

    async with gateway.vault.changing:
        sealed = await gateway.vault.seal(key, shared_binding(ask.provider, ask.name))
        await desk.house.database.write(partial(work, sealed))
    gateway.providers.cooldowns.forget_key(ask.provider, ask.name)
    await gateway.know_keys()
    return next(one for one in await _shared(desk, {}) if one.name == ask.name)


async def unshare(desk: Desk, ask: SharedKeyNamed) -> Done:
    """Take a shared key out of the store, and from everybody it was granted to, from the next call on.

    Raises `Refused`, and `NotFound` for one that the store does not have.
    """
    desk.ask(Action.SHARE_KEY, HOUSE)
    gateway = desk.house.gateway
    configured = ask.name in gateway.providers.shared_keys

    def work(connection: Connection) -> tuple[str, ...]:
        still(connection, desk)
        known = {one.name: one for one in shared_keys.list_shared_keys(connection)}
        if ask.name not in known:
            where = "rookery.yaml has it, under models.sharedKeys" if configured else _names(known)
            raise NotFound(f"There is no shared key {ask.name[:80]!r} in the store; {where}.")
        shared_keys.remove_shared_key(connection, ask.name)
        # Of two that had one name, the grants are from now on those of the other.
        had = () if configured else ungrant_all(connection, ask.name)
        desk.record(connection, "key.unshare", ask.name)
        return had

    had = await desk.house.database.write(work)
    for provider in gateway.providers.known:
        gateway.providers.cooldowns.forget_key(provider, ask.name)
    await gateway.know_keys()
    whose = f"; {', '.join(had)} had it" if had else ""
    return Done(f"The shared key {ask.name} is gone, from the next call on{whose}.")


async def grant(desk: Desk, ask: KeyGrant) -> Done:
    """Let an agent use a shared key, from its next call on. Raises `NotFound` for either, and for an agent that is
    not this actor's to give keys to."""

    def work(connection: Connection) -> None:
        still(connection, desk)
        agent = desk.agent(connection, ask.agent_id, Action.GRANT_KEY)
        _check_there_is(connection, desk, ask.shared_key)
        users.grant_key(connection, agent.id, ask.shared_key, now=desk.now())
        desk.record(connection, "key.grant", f"{agent.id} {ask.shared_key}", agent.owner)

    await desk.house.database.write(work)
    return Done(f"{ask.agent_id} may use the shared key {ask.shared_key} from its next call on.")


async def ungrant(desk: Desk, ask: KeyGrant) -> Done:
    """Take a shared key back, from the next call on. Raises `NotFound` when it was not granted."""

    def work(connection: Connection) -> None:
        still(connection, desk)
        agent = desk.agent(connection, ask.agent_id, Action.GRANT_KEY)
        users.ungrant_key(connection, agent.id, ask.shared_key)
        desk.record(connection, "key.ungrant", f"{agent.id} {ask.shared_key}", agent.owner)

    await desk.house.database.write(work)
    return Done(f"{ask.agent_id} may no longer use the shared key {ask.shared_key}.")


# --- what they look like -------------------------------------------------------------------------------------


async def _put_on_record(desk: Desk, agent_id: str, action: str, what: str) -> None:
    """Write down what is about to be done to an agent's own keys, in a transaction that asks the gate once more.

    The brain is another store: what is on record and then could not be written is told to who asked.
    """

    def work(connection: Connection) -> None:
        still(connection, desk)
        agent = desk.agent(connection, agent_id, Action.SET_KEY)
        desk.record(connection, action, f"{agent.id} {what}", agent.owner or agent.sponsor)

    await desk.house.database.write(work)


def _with(new: Profile, first: bool, agent_id: AgentId, known: Sequence[Profile]) -> Sequence[Profile]:
    """The profiles with a new one: in the place of the one of its name, first, or last."""
    at = next((number for number, one in enumerate(known) if _is(one, new.provider, new.name)), None)
    rest = [one for one in known if not _is(one, new.provider, new.name)]
    if len(rest) >= MOST_PROFILES:
        raise Conflict(f"{agent_id} has {len(rest)} keys of its own, which is as many as one may have.")
    rest.insert(0 if first else len(rest) if at is None else at, new)
    return rest


def _ending(key: str) -> str:
    ending = last_four(key)
    return f" …{ending}" if ending else ""


async def _profiles(desk: Desk, agent_id: AgentId, cooling: Mapping[KeyName, KeyCooling]) -> list[AgentKey]:
    async with desk.house.brains.use(agent_id) as brain:
        return [_own(agent_id, one, cooling) for one in await brain.profiles.all()]


def _own(agent_id: AgentId, profile: Profile, cooling: Mapping[KeyName, KeyCooling]) -> AgentKey:
    return AgentKey(
        agent_id=agent_id,
        provider=profile.provider,
        profile=profile.name,
        shared_key=None,
        last_four=profile.last_four,
        added_at=profile.added_at,
        cooling=cooling.get((agent_id, profile.provider, f"{PROFILE}{profile.name}")),
    )


async def _shared(desk: Desk, cooling: Mapping[KeyName, KeyCooling]) -> list[SharedKey]:
    """The shared keys by name, of both kinds; those that are granted but gone come last."""
    configured = desk.house.gateway.providers.shared_keys

    def look(connection: Connection) -> list[SharedKey]:
        granted: dict[str, list[AgentId]] = {}
        for agent in users.list_agents(connection):
            for name in users.granted_keys(connection, agent.id):
                granted.setdefault(name, []).append(agent.id)
        stored = {one.name: one for one in shared_keys.list_shared_keys(connection)}
        known = {name: one.provider for name, one in stored.items()}
        known |= {name: one.provider for name, one in configured.items()}
        return [
            SharedKey(
                name=name,
                provider=(provider := known.get(name)),
                source="config" if name in configured else "store" if name in stored else None,
                agents=tuple(granted.get(name, ())),
                last_four=last_four(configured[name].key.secret)
                if name in configured
                else stored[name].last_four
                if name in stored
                else None,
                added_at=stored[name].added_at if name in stored and name not in configured else None,
                cooling=None if provider is None else cooling.get(("", provider, name)),
            )
            for name in [*sorted(known), *sorted(set(granted) - set(known))]
        ]

    return await desk.house.database.read(look)


def _seen_by(desk: Desk, key: SharedKey, agent_id: AgentId) -> SharedKey:
    """A shared key as whoever is at the desk may see it: who else uses it is the house's to know."""
    if may(desk.actor, Action.READ_KEYS, HOUSE):
        return key
    return SharedKey(
        name=key.name,
        provider=key.provider,
        source=key.source,
        agents=(agent_id,),
        last_four=None,
        added_at=None,
        cooling=key.cooling,
    )


async def _cooling(desk: Desk) -> dict[KeyName, KeyCooling]:
    """What cools of keys now, by what they are called."""
    gateway = desk.house.gateway
    await gateway.know_keys()
    return {
        (one.owner, one.provider, one.name): KeyCooling(
            reason=one.kind.value, since=one.since, until=one.until, times=one.times
        )
        for one in gateway.providers.cooldowns.active(desk.now())
        if one.scope is Scope.KEY and one.name is not None
    }


def _is(profile: Profile, provider: str, name: str | None) -> bool:
    return profile.provider == provider and name in (None, profile.name)


def _no_such(agent_id: AgentId, ask: KeyNamed, known: Sequence[Profile]) -> str:
    wanted = ask.provider if ask.profile is None else f"{ask.provider}/{ask.profile}"
    there = ", ".join(f"{one.provider}/{one.name}" for one in known)
    return f"{agent_id} has no key {wanted[:160]!r} of its own; {f'it has {there}' if there else 'it has none'}."


def _check_there_is(connection: Connection, desk: Desk, name: str) -> None:
    known = {one.name for one in shared_keys.list_shared_keys(connection)}
    known |= desk.house.gateway.providers.shared_keys.keys()
    if name not in known:
        raise NotFound(f"There is no shared key {name[:80]!r}; {_names(known)}.")


def _names(known: Mapping[str, object] | set[str]) -> str:
    if known:
        return f"there is {', '.join(sorted(known))}"
    return "none is shared: rookery key share NAME PROVIDER, or models.sharedKeys in rookery.yaml"
