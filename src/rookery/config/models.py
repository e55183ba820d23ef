"""The part of `rookery.yaml` that says which models answer: providers, keys, limits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import (
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from rookery.config.fields import (
    BareUrl,
    Count,
    JsonFields,
    ListOf,
    ModelName,
    ProviderName,
    Seconds,
    SharedKeySource,
    Text,
    Usd,
    wrong,
)
from rookery.config.section import NullIsEmpty, Section, mapping, section
from rookery.config.words import (
    Api,
    ProviderKind,
    ReplayThinking,
)


class Price(Section):
    """What one model costs, in US dollars for a million tokens."""

    input: Usd = Field(description="US dollars for a million tokens read.")
    output: Usd = Field(description="US dollars for a million tokens written.")
    cached_input: Usd | None = Field(
        default=None, description="US dollars for a million tokens read from the prompt cache; null: as `input`."
    )
    cache_write: Usd | None = Field(
        default=None, description="US dollars for a million tokens written to the prompt cache; null: as `input`."
    )


class Provider(Section):
    """A server that offers models."""

    api: Api = Field(description="The wire format it speaks.")
    kind: ProviderKind | None = Field(
        default=None, description="For api pydantic-ai, which has to be told: whose own format it speaks."
    )
    base_url: BareUrl | None = Field(
        default=None,
        description="Where it answers, such as http://127.0.0.1:11434/v1; openai and anthropic know theirs.",
    )
    prices: Annotated[Mapping[Text, Price], NullIsEmpty] = mapping(
        "Prices by model name, where they are not known or differ."
    )
    timeout_seconds: Seconds | None = Field(
        default=None, description="Seconds for one call; null: what `limits` say."
    )
    first_token_seconds: Seconds | None = Field(
        default=None, description="Seconds until the beginning of an answer; null: what `limits` say."
    )
    max_concurrent: Count | None = Field(
        default=None, description="Calls of it at once, for everybody together; null: what `limits` say."
    )
    cache_salt: bool = Field(
        default=False,
        description="Sends a `cache_salt` with each call, which keeps people apart in the prefix cache of a vLLM "
        "server; others may refuse it.",
    )
    max_output_tokens: Count | None = Field(
        default=None,
        description="Tokens an answer may have, thoughts included; null: no limit for an openai server, and what "
        "fits the model for an anthropic one, which has to be told a limit.",
    )
    replay_thinking: ReplayThinking | None = Field(
        default=None,
        description="Which of its models' thoughts are sent back to it: none, those of the turn under way, or "
        "all; null: never for openai, turn for the others.",
    )
    extra_body: JsonFields = Field(
        default_factory=dict,
        description="Further fields of every request, as its server knows them: a thinking budget, routing.",
    )
    vision: bool | None = Field(
        default=None,
        description="Whether its models are shown pictures; null: yes for openai and anthropic at their own "
        "addresses, no for every other server.",
    )

    @field_validator("extra_body")
    @classmethod
    def _our_fields_are_ours(cls, value: Mapping[str, Any], info: ValidationInfo) -> Mapping[str, Any]:
        taken = value.keys() & _OUR_FIELDS
        if info.data.get("max_output_tokens") is not None:
            taken |= value.keys() & {"max_completion_tokens"}
        if "max_tokens" in taken:
            raise wrong("holds 'max_tokens'; write maxOutputTokens beside it instead")
        if taken:
            raise wrong(f"holds {min(taken)!r}, which Rookery writes itself; leave it out")
        return value

    @model_validator(mode="after")
    def _a_kind_is_for_pydantic_ai(self) -> Provider:
        if (self.kind is None) != (self.api is not Api.PYDANTIC_AI):
            known = ", ".join(kind.value for kind in ProviderKind)
            raise wrong(f"needs `kind` where its api is pydantic-ai, and only there; kind is one of: {known}")
        if self.kind is not None and self.extra_body:
            raise wrong("has api pydantic-ai, which takes no extraBody; leave it out")
        return self

    @property
    def paths_begin(self) -> str | None:
        """What the paths of its API begin with; an Anthropic address may be written with or without its /v1."""
        if self.base_url is None or self.api is not Api.ANTHROPIC:
            return self.base_url
        return f"{self.base_url.rstrip('/').removesuffix('/v1')}/v1"

    @property
    def replays(self) -> ReplayThinking:
        """Which thoughts are sent back to it."""
        if self.replay_thinking is not None:
            return self.replay_thinking
        return ReplayThinking.NEVER if self.api is Api.OPENAI else ReplayThinking.TURN


_KNOWN_ADDRESSES = {
    ProviderKind.GOOGLE: "https://generativelanguage.googleapis.com",
    ProviderKind.MISTRAL: "https://api.mistral.ai",
}

_OUR_FIELDS = frozenset(
    {"model", "messages", "system", "tools", "stream", "stream_options", "max_tokens", "cache_salt"}
)


class SharedKey(Section):
    """A provider key that can be granted to several agents."""

    provider: Text = Field(description="The provider it is for.")
    key_from: SharedKeySource = Field(description='Where the key is read at load: "env:NAME".')


class ModelLimits(Section):
    """How many model calls run at once, and how long one may take."""

    max_concurrent: Count = Field(default=16, description="Model calls at once, for everybody together.")
    per_user: Count = Field(default=3, description="Model calls at once for one person.")
    per_key: Count | None = Field(
        default=None, description="Model calls at once on one provider key; null: no limit."
    )
    background: Count = Field(default=4, description="How many of them work that nobody waits for may hold.")
    timeout_seconds: Seconds = Field(
        default=120.0, description="Seconds after which a question is given up, whoever was asked."
    )
    first_token_seconds: Seconds | None = Field(
        default=None,
        description="Seconds until the beginning of an answer, after which the next of `fallbacks` is asked; "
        "null: half of the time that is left, where there is a next one.",
    )


class Embeddings(Section):
    """What turns text into vectors for search by meaning."""

    provider: Text | None = Field(default=None, description="The provider; null: search by words only.")
    model: Text | None = Field(default=None, description="The provider's name for the embedding model.")


BUILT_IN_PROVIDERS: Mapping[str, tuple[Api, str]] = {
    "openai": (Api.OPENAI, "https://api.openai.com/v1"),
    "anthropic": (Api.ANTHROPIC, "https://api.anthropic.com"),
}
"""Providers that need no configuration: their wire format and address."""


class Models(Section):
    """Which models answer, from which providers, with which keys and limits."""

    default: ModelName = Field(default="offline/demo", description="The model that answers, as provider/model.")
    fallbacks: ListOf[ModelName] = Field(
        default=(), description="Models asked in turn when the first cannot answer."
    )
    allowed: tuple[ModelName, ...] | None = Field(
        default=None, description="The models people may choose; null: whatever the providers offer."
    )
    providers: Annotated[Mapping[ProviderName, Provider], NullIsEmpty] = mapping(
        "Providers by the name that stands before the '/' of a model."
    )
    shared_keys: Annotated[Mapping[Text, SharedKey], NullIsEmpty] = mapping(
        "Keys that can be granted to agents, by name."
    )
    limits: ModelLimits = section("Model calls at once, and their time.")
    embeddings: Embeddings = section("What makes search by meaning possible.")

    def sees(self, name: str) -> bool:
        """Whether the models of the provider of that name are shown pictures."""
        provider = self.provider(name)
        if provider is None:
            return False
        if provider.vision is not None:
            return provider.vision
        built_in = BUILT_IN_PROVIDERS.get(name)
        return built_in is not None and provider.base_url == built_in[1]

    def provider(self, name: str) -> Provider | None:
        """The provider of that name with its address filled in; None for `offline` and for unknown names."""
        built_in = BUILT_IN_PROVIDERS.get(name)
        configured = self.providers.get(name)
        if configured is None:
            return None if built_in is None else Provider(api=built_in[0], base_url=built_in[1])
        if configured.base_url is None and built_in is not None:
            return configured.model_copy(update={"base_url": built_in[1]})
        if configured.base_url is None and configured.kind is not None:
            return configured.model_copy(update={"base_url": _KNOWN_ADDRESSES[configured.kind]})
        return configured
