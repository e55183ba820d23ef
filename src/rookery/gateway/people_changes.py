"""What a people file would change, as it is found: the plan that is made, and each person's part of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from msgspec import Struct

from rookery.config import Config, WrittenAddress
from rookery.config.models import BUILT_IN_PROVIDERS
from rookery.gateway.providers import OFFLINE
from rookery.ids import AgentId, UserId, fold
from rookery.users.described import DescribedBudget, Where, Wrong
from rookery.users.stored import Says


class Change(Struct, frozen=True, rename="camel", kw_only=True):
    """One difference: `key` of the person, or of the friend it names, is `before` and becomes `after`.

    None is nothing; what is secret or long is not said.
    """

    user_id: str
    key: str
    before: str | None = None
    after: str | None = None


class Configured(Struct, frozen=True):
    """What of the configuration people have to fit: providers, allowed models, and names that are taken there."""

    providers: frozenset[str]
    allowed: frozenset[str] | None
    guests: Mapping[str, str]
    shared: Mapping[str, str]

    @classmethod
    def of(cls, config: Config) -> Configured:
        models = config.models
        return cls(
            frozenset({OFFLINE, *BUILT_IN_PROVIDERS, *models.providers}),
            None if models.allowed is None else frozenset(models.allowed),
            {fold(name): str(name) for name in config.session.identity_links},
            {fold(agent.id): str(agent.id) for agent in config.agents.list},
        )


class Copy(Struct, frozen=True):
    """A text to be copied into a friend's workspace; `anew`: nothing of anybody's can be there yet."""

    agent_id: AgentId
    digest: str
    anew: bool


@dataclass(slots=True)
class Plan:
    """What is to be done, in the order in which it is done; with `problems` nothing is.

    `passwords` are hashes to keep, and for a first password None until it is hashed. `deeds` go on record. `notes`
    are for whoever applies the file.
    """

    changes: list[Change] = field(default_factory=list[Change])
    problems: list[Wrong] = field(default_factory=list[Wrong])
    notes: list[str] = field(default_factory=list[str])
    left: list[str] = field(default_factory=list[str])
    unlinked: list[tuple[UserId, WrittenAddress]] = field(default_factory=list[tuple[UserId, WrittenAddress]])
    new_users: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    new_agents: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    users: dict[UserId, dict[str, Any]] = field(default_factory=dict[UserId, dict[str, Any]])
    agents: dict[AgentId, dict[str, Any]] = field(default_factory=dict[AgentId, dict[str, Any]])
    linked: list[tuple[UserId, WrittenAddress]] = field(default_factory=list[tuple[UserId, WrittenAddress]])
    budgets: dict[UserId, DescribedBudget] = field(default_factory=dict[UserId, DescribedBudget])
    passwords: dict[UserId, str | None] = field(default_factory=dict[UserId, str | None])
    copies: list[Copy] = field(default_factory=list[Copy])
    says: dict[UserId, Says] = field(default_factory=dict[UserId, Says])
    deeds: list[tuple[UserId, str, str]] = field(default_factory=list[tuple[UserId, str, str]])

    @property
    def does_nothing(self) -> bool:
        """Whether the store holds already whatever the file says."""
        return not self.changes and not self.says


@dataclass(frozen=True, slots=True)
class Part:
    """One person's part of a plan, where what is found of them is written; `here` is their place in the file."""

    plan: Plan
    configured: Configured
    user_id: UserId
    here: Where

    def change(self, key: str, before: str | None, after: str | None) -> None:
        """Something of theirs will be otherwise; the arguments are a `Change`'s."""
        self.plan.changes.append(Change(user_id=self.user_id, key=key, before=before, after=after))

    def deed(self, action: str, object: str) -> None:
        """This goes on record, on their behalf."""
        self.plan.deeds.append((self.user_id, action, object))

    def wrong(self, key: str, text: str, *, at: Where | None = None, number: int | None = None) -> None:
        """What the file says under this key cannot be; `at` is another place than the person's own."""
        where: Where = (*(self.here if at is None else at), key)
        self.plan.problems.append(Wrong(where if number is None else (*where, number), text))

    def check_model(self, where: Where, model: str | None) -> None:
        """A model that is named here has to be one of the configuration's."""
        if model is None:
            return
        provider = model.partition("/")[0]
        if provider not in self.configured.providers:
            known = ", ".join(sorted(self.configured.providers))
            self.wrong(
                "model", f"names the provider {provider!r}, which is not in rookery.yaml; known: {known}", at=where
            )
        elif self.configured.allowed is not None and model not in self.configured.allowed:
            self.wrong("model", f"is {model!r}, which models.allowed in rookery.yaml does not hold", at=where)

    def add_agent(self, id: AgentId, name: str, *, from_file: bool, **said: object) -> None:
        """An agent of theirs is to be made, of which `said` is known already."""
        row: dict[str, Any] = {
            "id": id,
            "id_folded": fold(id),
            "name": name,
            "owner": self.user_id,
            "sponsor": None,
            "persona": "",
            "relation": None,
            "who": None,
            "skills": None,
            "model": None,
            "configured": False,
            "from_file": from_file,
            "enabled": True,
        }
        self.plan.new_agents.append(row | said)


def listed(words: Sequence[str] | None) -> str:
    """Words as a change says them."""
    return "all" if words is None else ", ".join(words) or "none"
