"""From `rookery.yaml` to what the path of a message asks: rules, limits, providers, shared agents."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from rookery.channels import terminal, webchat
from rookery.config import CommonAccount, Config
from rookery.config.models import BUILT_IN_PROVIDERS
from rookery.config.models import Provider as ConfiguredProvider
from rookery.config.words import Api
from rookery.errors import ConfigError
from rookery.gateway.bind import Binding, Bindings
from rookery.gateway.capacity import Limits
from rookery.gateway.equipment import RunLimits
from rookery.gateway.gateway import Settings
from rookery.gateway.providers import OFFLINE, Provider, SharedKey
from rookery.gateway.rules import AccountRules, QueueRules, Rules
from rookery.ids import AgentId, UserId
from rookery.messages import ChatKind
from rookery.models import Key, Model
from rookery.sessions.scope import IdentityLinks
from rookery.users import ConfiguredAgent

if TYPE_CHECKING:
    from collections.abc import Callable

    from rookery.outbound.lazy import LazyOutbound

_CHAT_KINDS = {
    "dm": ChatKind.DM,
    "direct": ChatKind.DM,
    "group": ChatKind.GROUP,
    "channel": ChatKind.CHANNEL,
    "room": ChatKind.CHANNEL,
}


def settings_from(config: Config) -> Settings:
    """What the gateway runs by. Raises `ConfigError` for bindings or links that cannot stand together."""
    limits = config.models.limits
    defaults = config.agents.defaults
    return Settings(
        rules=_rules(config),
        run=RunLimits(
            tools=frozenset(defaults.tools),
            max_steps=defaults.max_steps,
            timeout_seconds=limits.timeout_seconds,
            persona=defaults.persona or "",
            max_seconds=defaults.max_seconds,
            tool_seconds=defaults.tool_seconds,
            max_result_chars=defaults.max_result_chars,
            approval_minutes=defaults.approval_minutes,
        ),
        capacity=Limits(
            total=limits.max_concurrent,
            per_person=limits.per_user,
            per_key=limits.per_key,
            background=limits.background,
            per_provider={
                name: provider.max_concurrent
                for name, provider in config.models.providers.items()
                if provider.max_concurrent is not None
            },
        ),
    )


def default_model(config: Config) -> str:
    """The model of an agent that has none of its own, as `provider/model`."""
    return config.agents.defaults.model or config.models.default


def configured_agents(config: Config) -> list[ConfiguredAgent]:
    """The shared agents the file lists."""
    return [
        ConfiguredAgent(
            id=AgentId(agent.id),
            name=agent.name,
            sponsor=UserId(agent.sponsor),
            persona=agent.persona or "",
            model=agent.model,
        )
        for agent in config.agents.list
    ]


def providers_from(
    config: Config, outbound: LazyOutbound, now: Callable[[], datetime]
) -> tuple[dict[str, Provider], dict[str, SharedKey]]:
    """The providers and shared keys the file describes; clients are imported at their first use."""
    check_extras(config)
    shared = {
        name: SharedKey(key.provider, Key(key.key_from.reveal()))
        for name, key in config.models.shared_keys.items()
    }
    providers = {OFFLINE: Provider(OFFLINE, _open_demo, keyless=True)}
    for name in {*BUILT_IN_PROVIDERS, *config.models.providers}:
        provider = config.models.provider(name)
        if provider is None or (address := provider.paths_begin) is None:
            continue
        # A server of the operator's own that no key was ever set up for is asked without one.
        keyless = name not in BUILT_IN_PROVIDERS and not any(key.provider == name for key in shared.values())
        if provider.kind is not None:
            keyless = False
        providers[name] = Provider(
            name,
            _opener(name, provider, address, outbound, now),
            keyless,
            provider.timeout_seconds,
            config.models.sees(name),
            provider.first_token_seconds or config.models.limits.first_token_seconds,
            provider.cache_salt,
            made_from=provider.model_copy(update={"prices": {}, "max_concurrent": None}),
        )
    return providers, shared


def check_extras(config: Config) -> None:
    """Raises `ConfigError` when a provider needs more than is installed."""
    for name, provider in config.models.providers.items():
        if provider.kind is not None:
            from rookery.models.pydantic_ai import check_installed

            check_installed(name, provider.kind)


def check_models(config: Config, providers: Mapping[str, Provider]) -> None:
    """Raises `ConfigError` when a model is named whose provider this gateway cannot ask."""
    named = {"models.default": default_model(config)}
    named |= {f"models.fallbacks[{n}]": model for n, model in enumerate(config.models.fallbacks)}
    named |= {f"agents.list {agent.id}": agent.model for agent in config.agents.list if agent.model is not None}
    for where, model in named.items():
        if model.partition("/")[0] not in providers:
            known = ", ".join(sorted(providers))
            raise ConfigError(f"{where} is {model!r}, but there is no such provider here; there are: {known}.")


def _open_demo() -> Model:
    from rookery.models.demo import DemoModel

    return DemoModel()


def _opener(
    name: str, provider: ConfiguredProvider, address: str, outbound: LazyOutbound, now: Callable[[], datetime]
) -> Callable[[], Model]:
    def open_model() -> Model:
        from rookery.models.server import ServerOptions

        options = ServerOptions(provider.max_output_tokens, provider.replays, provider.extra_body)
        match provider.api:
            case Api.OPENAI:
                from rookery.models.openai import OpenAIModel

                return OpenAIModel(outbound, address, name=name, now=now, options=options)
            case Api.ANTHROPIC:
                from rookery.models.anthropic import AnthropicModel

                return AnthropicModel(outbound, address, name=name, now=now, options=options)
            case Api.PYDANTIC_AI:
                from rookery.models.pydantic_ai import PydanticAIModel

                assert provider.kind is not None, "the schema wants a kind for this api"
                return PydanticAIModel(provider.kind, address, name=name, now=now, options=options)

    return open_model


def _rules(config: Config) -> Rules:
    session, queue = config.session, config.messages.queue
    accounts = {
        (channel, name): _account(account, config.channels.session_binding(channel, name))
        for channel in type(config.channels).model_fields
        for name, account in config.channels.accounts(channel).items()
    }
    # The terminal and the page have one account, which nobody configures; only its sessionBinding means something.
    for own in (terminal, webchat):
        binding = config.channels.session_binding(own.CHANNEL, own.ACCOUNT)
        accounts[own.CHANNEL, own.ACCOUNT] = AccountRules(session_binding=binding)
    return Rules(
        accounts=accounts,
        bindings=Bindings(
            Binding(
                agent_id=AgentId(binding.agent_id),
                channel=binding.match.channel,
                account=binding.match.account,
                peer_kind=None if binding.match.peer is None else _CHAT_KINDS[binding.match.peer.kind],
                peer_id=None if binding.match.peer is None else binding.match.peer.id,
                session=binding.session,
            )
            for binding in config.bindings
        ),
        links=IdentityLinks({str(name): addresses for name, addresses in session.identity_links.items()}),
        main_key=session.main_key,
        dm_scope=session.dm_scope,
        isolation_scope=session.isolation.default_scope if session.isolation.enabled else None,
        queue=QueueRules(mode=queue.mode, debounce=queue.debounce_ms / 1000, cap=queue.cap),
        guest_limits={agent.id: agent.guest_messages_per_day for agent in config.agents.list},
    )


def _account(account: CommonAccount, session_binding: str | None) -> AccountRules:
    return AccountRules(
        dm_policy=account.dm_policy,
        allow_from=frozenset(account.allow_from),
        group_policy=account.group_policy,
        group_allow_from=frozenset(account.group_allow_from),
        require_mention=account.require_mention,
        group_history=account.group_history,
        session_binding=session_binding,
    )
