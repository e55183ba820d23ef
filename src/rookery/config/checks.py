"""What must hold between the sections of a configuration."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from msgspec import Struct

from rookery.config.models import BUILT_IN_PROVIDERS
from rookery.config.schema import Binding, Config
from rookery.config.source import Problem, Where
from rookery.config.words import DmPolicy
from rookery.ids import fold
from rookery.messages import ChatKind


class Check(Struct, frozen=True):
    """One rule, and the parts of the file it looks at: where one of them is wrong already, it is not asked."""

    reads: tuple[Where, ...]
    find: Callable[[Config], Iterator[Problem]]


def _models_come_from_known_providers(config: Config) -> Iterator[Problem]:
    models = config.models
    yield from _unknown_provider(config, ("models", "default"), models.default)
    for index, model in enumerate(models.fallbacks):
        yield from _unknown_provider(config, ("models", "fallbacks", index), model)
    for index, model in enumerate(models.allowed or ()):
        yield from _unknown_provider(config, ("models", "allowed", index), model)


def _agents_models_come_from_known_providers(config: Config) -> Iterator[Problem]:
    yield from _unknown_provider(config, ("agents", "defaults", "model"), config.agents.defaults.model)
    for index, agent in enumerate(config.agents.list):
        yield from _unknown_provider(config, ("agents", "list", index, "model"), agent.model)


def _keys_are_for_known_providers(config: Config) -> Iterator[Problem]:
    known = {*BUILT_IN_PROVIDERS, *config.models.providers}
    for name, key in config.models.shared_keys.items():
        if key.provider not in known:
            yield Problem(("models", "sharedKeys", name, "provider"), _no_provider(key.provider, known))
    embedder = config.models.embeddings.provider
    if embedder is not None and embedder not in known:
        yield Problem(("models", "embeddings", "provider"), _no_provider(embedder, known))


def _providers_have_an_address(config: Config) -> Iterator[Problem]:
    for name, provider in config.models.providers.items():
        if provider.base_url is None and provider.kind is None and name not in BUILT_IN_PROVIDERS:
            text = f"is missing; only {' and '.join(BUILT_IN_PROVIDERS)} have an address of their own"
            yield Problem(("models", "providers", name, "baseUrl"), text)


def _agents_are_unique(config: Config) -> Iterator[Problem]:
    seen: dict[str, int] = {}
    for index, agent in enumerate(config.agents.list):
        first = seen.setdefault(fold(agent.id), index)
        if first != index:
            text = f"is {agent.id!r}, which agents.list[{first}] is called already; case makes no difference"
            yield Problem(("agents", "list", index, "id"), text)


def _bindings_are_unique(config: Config) -> Iterator[Problem]:
    seen: dict[object, int] = {}
    for index, binding in enumerate(config.bindings):
        first = seen.setdefault((binding.match.channel, _matched(binding)), index)
        if first != index:
            text = f"matches the same messages as bindings[{first}]; remove one of the two"
            yield Problem(("bindings", index, "match"), text)


def _guests_have_a_shared_agent(config: Config) -> Iterator[Problem]:
    for channel in type(config.channels).model_fields:
        for name, account in config.channels.accounts(channel).items():
            here = ("channels", channel, "accounts", name)
            remedy = f"bind channel {channel}, account {name!r} to an agent of agents.list"
            if account.dm_policy is DmPolicy.OPEN and not _guest_is_bound(config, channel, name, None):
                yield Problem(
                    (*here, "dmPolicy"), f"is 'open', which needs a shared agent for strangers: {remedy}"
                )
            for index, sender in enumerate(account.allow_from):
                if not _guest_is_bound(config, channel, name, None if sender == "*" else sender):
                    text = f"lets in {sender!r}, who needs a shared agent: {remedy}"
                    yield Problem((*here, "allowFrom", index), text)


def _linked_addresses_are_unique(config: Config) -> Iterator[Problem]:
    seen: dict[tuple[str, str], list[tuple[str | None, str]]] = {}
    folded: dict[str, str] = {}
    for name, addresses in config.session.identity_links.items():
        twin = folded.setdefault(fold(name), name)
        if twin != name:
            text = f"is the same name as {twin!r}; case makes no difference"
            yield Problem(("session", "identityLinks", name), text)
        for index, address in enumerate(addresses):
            others = seen.setdefault((address.channel, address.sender), [])
            # An address for every account leaves the same sender on one account to nobody else.
            overlap = (
                owner
                for account, owner in others
                if None in (account, address.account) or account == address.account
            )
            taken = next((owner for owner in overlap if owner != name), None)
            if taken is not None:
                text = f"is {str(address)!r}, which belongs to {taken!r} already; give it to one of them"
                yield Problem(("session", "identityLinks", name, index), text)
            others.append((address.account, name))


def _an_owner_needs_a_database(config: Config) -> Iterator[Problem]:
    if config.database.owner_url is not None and config.database.url is None:
        yield Problem(
            ("database", "ownerUrl"), "is of no use without database.url; write that too, or leave it out"
        )


def _unknown_provider(config: Config, where: Where, model: str | None) -> Iterator[Problem]:
    known = {"offline", *BUILT_IN_PROVIDERS, *config.models.providers}
    if model is not None and model.partition("/")[0] not in known:
        yield Problem(where, _no_provider(model.partition("/")[0], known))


def _no_provider(name: str, known: set[str]) -> str:
    return f"names the provider {name!r}, which is not under models.providers; known: {', '.join(sorted(known))}"


def _guest_is_bound(config: Config, channel: str, account: str, sender: str | None) -> bool:
    """Whether a guest's direct message, None for any stranger's, comes to a shared agent.

    The most specific rule decides, as it does for a message: a shared agent on the whole channel is of no
    help where the account is bound to somebody's own agent.
    """
    rules = {_matched(binding): binding for binding in config.bindings if binding.match.channel == channel}
    peers = (None,) if sender is None else ((ChatKind.DM, sender), None)
    for peer in peers:
        for login in (account, None):
            binding = rules.get((login, peer))
            if binding is not None:
                return config.agents.shared(binding.agent_id) is not None
    return False


def _matched(binding: Binding) -> tuple[str | None, tuple[ChatKind, str] | None]:
    peer = binding.match.peer
    return binding.match.account, None if peer is None else (peer.kind, peer.id)


_PROVIDERS: Where = ("models", "providers")
_AGENTS: Where = ("agents", "list")

CHECKS = (
    Check(
        (_PROVIDERS, ("models", "default"), ("models", "fallbacks"), ("models", "allowed")),
        _models_come_from_known_providers,
    ),
    Check((_PROVIDERS, ("agents", "defaults"), _AGENTS), _agents_models_come_from_known_providers),
    Check((_PROVIDERS, ("models", "sharedKeys"), ("models", "embeddings")), _keys_are_for_known_providers),
    Check((_PROVIDERS,), _providers_have_an_address),
    Check((_AGENTS,), _agents_are_unique),
    Check((("bindings",),), _bindings_are_unique),
    Check((_AGENTS, ("bindings",), ("channels",)), _guests_have_a_shared_agent),
    Check((("session", "identityLinks"),), _linked_addresses_are_unique),
    Check((("database",),), _an_owner_needs_a_database),
)
