"""One person's part of what a people file would change."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any

from rookery.config import WrittenAddress
from rookery.gateway.people_changes import Part, listed
from rookery.gateway.people_friends import FriendsPlan
from rookery.ids import AgentId, UserId, fold
from rookery.messages.money import in_words
from rookery.policy import read_permissions
from rookery.users import User, described, friends, people
from rookery.users.described import DescribedBudget, DescribedPerson
from rookery.users.stored import Says, Stored


@dataclass(slots=True)
class PersonPlan:
    """What one person's part of the plan is made from; `unlinked`: what the people of the file lose."""

    part: Part
    stored: Stored
    said: DescribedPerson
    unlinked: AbstractSet[tuple[str, WrittenAddress]]

    @property
    def id(self) -> UserId:
        return self.part.user_id

    @property
    def before(self) -> User | None:
        return self.stored.users.get(self.said.id)

    def look(self) -> None:
        """Write the person's part of the plan."""
        if not self._may_be_called_so():
            return
        says = self.stored.says.get(self.id, Says())
        if self.before is None:
            self._added()
        else:
            self._changed(self.before, says)
        self._main_agent()
        self._addresses()
        self._password(says)
        self._budget()
        copied = FriendsPlan(self.part, self.stored, self.said).look(says)
        now = Says(
            tuple(name for name in ("role", "permissions") if getattr(self.said, name) is not None),
            _digest(self.said.password_hash) if self.said.password_hash is not None else says.password,
            copied,
        )
        if now != says or self.id not in self.stored.says:
            self.part.plan.says[self.id] = now

    def _may_be_called_so(self) -> bool:
        taken: str | None = None
        if self.before is None:
            folded = fold(self.said.id)
            for what, ids in (
                ("a user", self.stored.user_ids),
                ("an agent", self.stored.agent_ids),
                ("a guest of session.identityLinks", self.part.configured.guests),
                ("a shared agent of rookery.yaml", self.part.configured.shared),
            ):
                if folded in ids:
                    taken = f"is {self.said.id!r}, but there is {what} {ids[folded]!r}; choose another id"
                    break
        if taken is not None:
            self.part.wrong("id", taken)
        return taken is None

    def _added(self) -> None:
        said = self.said
        self.part.plan.new_users.append(
            {
                "id": self.id,
                "id_folded": fold(self.id),
                "name": said.name or self.id,
                "role": said.role or "member",
                "enabled": True,
                "timezone": said.timezone or "UTC",
                "language": said.language or "en",
                "permissions": _words(said.permissions),
                "from_file": True,
            }
        )
        self.part.add_agent(AgentId(self.id), people.MAIN_NAME, from_file=False)
        self.part.change("user", None, said.role or "member")
        if said.permissions is not None:
            self.part.change("permissions", None, listed(read_permissions(said.permissions)))
        self.part.deed("user.add", f"{self.id} {said.role or 'member'}")

    def _changed(self, before: User, says: Says) -> None:
        said = self.said
        values: dict[str, Any] = {}
        role = said.role if said.role is not None else ("member" if "role" in says.rights else None)
        for key, wanted in (
            ("name", said.name),
            ("role", role),
            ("timezone", said.timezone),
            ("language", said.language),
        ):
            was = getattr(before, key)
            if wanted is not None and wanted != was:
                values[key] = wanted
                self.part.change(key, was, wanted)
        if said.permissions is not None or "permissions" in says.rights:
            wanted_words = None if said.permissions is None else read_permissions(said.permissions)
            if wanted_words != before.permissions:
                values["permissions"] = _words(said.permissions)
                self.part.change("permissions", listed(before.permissions), listed(wanted_words))
                self.part.deed("user.permissions", f"{self.id} {listed(wanted_words)}")
        if "role" in values:
            self.part.deed("user.role", f"{self.id} {values['role']}")
        if values.keys() & {"name", "timezone", "language"}:
            self.part.deed("user.change", self.id)
        if not before.from_file:
            values["from_file"] = True
            self.part.change("inFile", "no", "yes")
        if values:
            self.part.plan.users[self.id] = values

    def _main_agent(self) -> None:
        """What is said of the person and holds for their main agent."""
        agent_id = AgentId(self.id)
        before = self.stored.agents.get(agent_id)
        model = None if before is None else before.model
        skills = None if before is None else before.skills
        self.part.check_model(self.part.here, self.said.model)
        values: dict[str, Any] = {}
        if self.said.model is not None and self.said.model != model:
            values["model"] = self.said.model
            self.part.change("model", model, self.said.model)
        if self.said.skills is not None and self.said.skills != skills:
            values["skills"] = friends.skills_as_text(self.said.skills)
            self.part.change("skills", listed(skills), listed(self.said.skills))
        if values:
            self.part.plan.agents[agent_id] = values
            if before is not None:
                self.part.deed("agent.change", agent_id)

    def _addresses(self) -> None:
        mine = self.stored.addresses.get(self.id, ())
        for one in mine:
            if (self.id, one.address) in self.unlinked:
                self.part.plan.unlinked.append((self.id, one.address))
                self.part.change("address", str(one.address), None)
                self.part.deed("identity.unlink", str(one.address))
        said: set[WrittenAddress] = set()
        now = [one.address for one in mine if (self.id, one.address) not in self.unlinked]
        for key, number, address in described.addresses(self.said):
            said.add(address)
            other = self._owner(address)
            if other is not None:
                self.part.wrong(key, *self._taken(address, other), number=number)
            elif not any(_covers(held, address) for held in now):
                now.append(address)
                self.part.plan.linked.append((self.id, address))
                self.part.change("address", None, str(address))
                self.part.deed("identity.link", str(address))
        for one in mine:
            if one.address not in said and not one.from_file:
                self.part.plan.notes.append(
                    f"{self.id}: {one.address} stays theirs: it is not in the file, and was not linked by it"
                )

    def _owner(self, address: WrittenAddress) -> str | None:
        """Whose the address is in the store, on this account or all, and stays; None for nobody else's."""
        for one in self.stored.linked.get((address.channel, address.sender), ()):
            overlaps = None in (one.address.account, address.account) or one.address.account == address.account
            if overlaps and one.user_id != self.id and (one.user_id, one.address) not in self.unlinked:
                return one.user_id
        return None

    def _taken(self, address: WrittenAddress, other: str) -> tuple[str]:
        account = "" if address.account is None else f" --account {address.account}"
        remedy = f"rookery identity unlink {other} {address.channel} {address.sender}{account}"
        return (f"is {str(address)!r}, which belongs to {other!r}; to give it to {self.id!r}, first: {remedy}",)

    def _password(self, says: Says) -> None:
        said = self.said
        has_one = self.id in self.stored.with_password
        if said.password_hash is not None and _digest(said.password_hash) != says.password:
            self.part.plan.passwords[self.id] = said.password_hash
        elif said.password is not None and not has_one:
            self.part.plan.passwords[self.id] = None
        elif said.password is not None:
            self.part.plan.notes.append(
                f"{self.id}: has a password already; the one in the file is not read again"
            )
        if self.id in self.part.plan.passwords:
            self.part.change("password", "(set)" if has_one else None, "(set)")
            self.part.deed("password.set", self.id)

    def _budget(self) -> None:
        before, wanted = self.stored.budgets.get(self.id), self.said.budget
        if wanted is not None and wanted != (before or DescribedBudget()):
            self.part.plan.budgets[self.id] = wanted
            self.part.change("budget", None if before is None else _money(before), _money(wanted))
            self.part.deed("budget.set", self.id)


def _covers(held: WrittenAddress, wanted: WrittenAddress) -> bool:
    """Whether an address one has makes another one of no further use."""
    return held[0] == wanted[0] and held[2] == wanted[2] and held.account in (None, wanted.account)


def _digest(password_hash: str) -> str:
    return hashlib.sha256(password_hash.encode()).hexdigest()


def _words(permissions: Sequence[str] | None) -> str | None:
    return None if permissions is None else json.dumps(read_permissions(permissions))


def _money(budget: DescribedBudget) -> str:
    parts = [
        f"{in_words(amount)} a {per}"
        for amount, per in ((budget.per_day_nano_usd, "day"), (budget.per_month_nano_usd, "month"))
        if amount is not None
    ]
    tokens = budget.per_day_tokens
    return ", ".join([*parts, *([] if tokens is None else [f"{tokens} tokens a day"])]) or "no limit"
