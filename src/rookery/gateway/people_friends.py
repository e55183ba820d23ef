"""What a people file would change of one person's friends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rookery.gateway.people_changes import Copy, Part, listed
from rookery.ids import AgentId, fold
from rookery.users import Agent, described, friends, people
from rookery.users.described import DescribedFriend, DescribedPerson, Where
from rookery.users.stored import Says, Stored
from rookery.users.who import who_as_text, who_from_text


@dataclass(slots=True)
class FriendsPlan:
    """What the friends' part of a person's plan is made from."""

    part: Part
    stored: Stored
    said: DescribedPerson

    def look(self, says: Says) -> tuple[str, ...]:
        """Plan the friends; those whose text was copied, or will have been, are returned."""
        own = {agent.id: agent for agent in self.stored.own.get(self.part.user_id, ())}
        names = {AgentId(self.part.user_id): people.MAIN_NAME} | {id: agent.name for id, agent in own.items()}
        copied = [one for one in says.copied if AgentId(f"{self.part.user_id}--{one}") in own]
        ids = described.friend_ids(self.said)
        for number, (id, friend) in enumerate(zip(ids, self.said.friends, strict=True)):
            place: Where = (*self.part.here, "friends", number)
            self.part.check_model(place, friend.model)
            known = self.stored.agent_ids.get(fold(id))
            before = own.get(AgentId(known)) if known is not None else None
            if known is not None and (before is None or known != id):
                self.part.wrong(
                    "id", f"is {id!r}, but there is an agent {known!r}; write that, or another", at=place
                )
                continue
            names[id] = friend.name
            if before is None:
                self._added(id, friend)
            else:
                self._changed(before, friend)
            part = friends.friend_part(id)
            if friend.identity is not None and part not in copied:
                self.part.plan.copies.append(Copy(id, friend.identity, before is None))
                self.part.change(f"friends.{part}.identity", None, "(copied)")
                copied.append(part)
        self._tell_apart(names, dict(zip(ids, range(len(ids)), strict=True)))
        if len(names) - 1 > friends.MOST_FRIENDS:
            self.part.wrong("friends", f"would be {len(names) - 1}; there is room for {friends.MOST_FRIENDS}")
        return tuple(sorted(copied))

    def _added(self, id: AgentId, friend: DescribedFriend) -> None:
        self.part.add_agent(
            id,
            friend.name,
            from_file=True,
            persona=friend.persona or "",
            relation=friends.relation_as_text(friend.relation),
            who=who_as_text(friend.who),
            skills=friends.skills_as_text(friend.skills),
            model=friend.model,
        )
        self.part.change("friend", None, id)
        self.part.deed("agent.add", id)

    def _changed(self, before: Agent, friend: DescribedFriend) -> None:
        part = friends.friend_part(before.id)
        values: dict[str, Any] = {}

        def differs(key: str, was: str | None, wanted: str | None, kept: object) -> None:
            values[key] = kept
            self.part.change(f"friends.{part}.{key}", was, wanted)

        relation = friends.relation_as_text(friend.relation)
        if friend.name != before.name:
            differs("name", before.name, friend.name, friend.name)
        if friend.relation is not None and relation != before.relation:
            differs("relation", before.relation, relation, relation)
        who = who_as_text(friend.who)
        if friend.who is not None and who_from_text(who) != before.who:
            differs("who", *_changed_text(before.who_text, who), who)
        if friend.persona is not None and friend.persona != before.persona:
            differs("persona", *_changed_text(before.persona or None, friend.persona or None), friend.persona)
        if friend.model is not None and friend.model != before.model:
            differs("model", before.model, friend.model, friend.model)
        if friend.skills is not None and friend.skills != before.skills:
            kept = friends.skills_as_text(friend.skills)
            differs("skills", listed(before.skills), listed(friend.skills), kept)
        if not before.from_file:
            differs("inFile", "no", "yes", None)
            values.pop("inFile")
            values["from_file"] = True
        if values:
            self.part.plan.agents[before.id] = values
            self.part.deed("agent.change", before.id)

    def _tell_apart(self, names: Mapping[AgentId, str], numbers: Mapping[AgentId, int]) -> None:
        heard: dict[str, AgentId] = {}
        for id in sorted(names, key=lambda one: (numbers.get(one, -1), one)):
            sounds = friends.handles(id, names[id])
            twin = next((heard[sound] for sound in sorted(sounds) if sound in heard), None)
            if twin is not None and id in numbers:
                text = f"is {names[id]!r}, which cannot be told from {names[twin]!r} ({twin}) by /talk"
                self.part.wrong("name", text, at=(*self.part.here, "friends", numbers[id]))
            heard |= {sound: id for sound in sounds if sound not in heard}


def _changed_text(before: str | None, after: str | None) -> tuple[str | None, str | None]:
    """What is long, or not for a list: only whether there is something."""
    return None if before is None else "(other)", None if after is None else "(new)"
