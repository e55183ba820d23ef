"""The word on an interleaving: nothing of one owner is anywhere that is another's, and nobody went unanswered.

Owners are worked out from what was said and the cast alone. The gateway's own rows are believed in one thing
only: which of two possible owners a message was given while its address was changing hands.
"""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from rookery.channels.contract import Outcome
from rookery.config.words import QueueMode
from rookery.gateway import schema
from rookery.messages import Chat, ChatKind, Route
from rookery.models.words import everything_said
from rookery.storage import metadata
from tests.isolation import canaries
from tests.isolation.cast import NOBODY, Mouth, Owner
from tests.isolation.world import Heard, Said, World
from tests.support.postgres import shared_server

Row = dict[str, Any]
Conversation = tuple[str, ...]


class Oracle:
    """Watches one world; `wrong` is what it found, one line each."""

    def __init__(self, world: World) -> None:
        self.wrong = world.wrong
        self._world = world
        self._cast = world.cast
        self._remembered: dict[Conversation, set[str]] = defaultdict(set)
        self._known_in: dict[str, set[str]] = defaultdict(set)
        self._judged = 0
        self._listened = 0
        self._read = 0

    # --- while it goes on: was everybody answered, and from their own memory? ----------------------------------

    def hears(self) -> None:
        """Judge what was said and heard since the last time; everything is answered now."""
        world = self._world
        said, self._judged = world.said[self._judged :], len(world.said)
        heard, self._listened = world.heard[self._listened :], len(world.heard)
        accepted = [one for one in said if self._decided_rightly(one)]
        answers = _answers(accepted, heard)
        self._misses_answers(accepted, answers)
        self._misses_memories(accepted, answers)
        self._judges_doors()
        world.interrupting = world.rules.queue.mode is QueueMode.INTERRUPT

    def _judges_doors(self) -> None:
        """What was written at a door is answered, in the session it was written for, by who knows that session."""
        doors, world = self._world.doors, self._world
        news: dict[str, set[str]] = defaultdict(set)
        for written in doors.written[self._read :]:
            if written.given_up:
                continue
            what = f"{written.person}'s turn {written.turn}"
            if written.asked_session is not None and written.session not in (None, written.asked_session):
                self.wrong.append(f"LEAK: {what} is in session {written.session}, not {written.asked_session}")
            if written.status in ("cancelled", "interrupted"):
                if written.person not in doors.stopped and not world.interrupting:
                    self.wrong.append(f"unanswered: {what} is {written.status}, and nobody stopped it")
            elif written.status != "done" or (written.command and not written.reply):
                self.wrong.append(f"unanswered: {what} is {written.status}: {written.reply[:100]!r}")
            elif written.session in doors.purged and not written.reply:
                continue  # the reply went with its session; seed 716738 has one
            elif not written.command:
                known = canaries.found_in(written.reply)
                if written.canary not in known:
                    self.wrong.append(f"unanswered: {what} is done, by an answer to something else")
                if written.session is not None:
                    forgotten = self._known_in[written.session] - known
                    if forgotten:
                        self.wrong.append(f"forgot {len(forgotten)} of its own: session {written.session}")
                    news[written.session].add(written.canary)
        for session, learned in news.items():
            self._known_in[session] |= learned
        self._read = len(doors.written)
        doors.stopped.clear()
        doors.began.clear()

    def _decided_rightly(self, said: Said) -> bool:
        """Whether the message was let in; what was decided has to be what the cast says."""
        if said.receipt is None:
            self.wrong.append(f"no receipt: {said.message.route}")
            return False
        possible = {self._outcome(said, user) for user in said.users}
        if said.receipt.outcome not in possible:
            self.wrong.append(f"{said.receipt.outcome} instead of {possible}: {said.message.route}")
            return False
        return said.receipt.outcome is Outcome.ACCEPTED

    def _misses_answers(self, accepted: Sequence[Said], answers: Mapping[int, str]) -> None:
        stopped = self._of_command("/stop", accepted)
        by_hand: dict[object, list[Said]] = defaultdict(list)
        for said in accepted:
            message = said.message
            hand = message.message_id if said.command else said.wish
            by_hand[said.command, said.mouth, message.chat, message.thread_id, hand].append(said)
        for together in by_hand.values():
            if self._world.interrupting and any(id(said) in answers for said in together):
                continue  # the later message ended the answer to the earlier one
            for said in together:
                excused = said.excused or not stopped.isdisjoint(self._conversations(said))
                excused |= not said.users.isdisjoint(self._world.doors.stopped)
                if id(said) not in answers and not excused:
                    self.wrong.append(f"unanswered: {said.command or 'words'} by {said.message.route}")

    def _misses_memories(self, accepted: Sequence[Said], answers: Mapping[int, str]) -> None:
        """An answer comes from a prompt that holds everything said in its conversation before."""
        begun = self._of_command("/new", accepted)
        begun |= {(person, "main") for person in self._world.doors.began}
        learned: dict[Conversation, set[str]] = defaultdict(set)
        for said in accepted:
            answer, conversations = answers.get(id(said)), self._conversations(said)
            certain = len(conversations) == 1 == len(self._takers(said))
            if said.command or answer is None or not certain or not conversations.isdisjoint(begun):
                continue
            [conversation] = conversations
            learned[conversation].add(said.canaries[0])
            forgotten = self._remembered[conversation] - canaries.found_in(answer)
            if forgotten:
                self.wrong.append(f"forgot {len(forgotten)} of its own: {conversation}")
        for conversation, news in learned.items():
            self._remembered[conversation] |= news
        for conversation in begun:
            self._remembered.pop(conversation, None)

    def _of_command(self, command: str, accepted: Sequence[Said]) -> set[Conversation]:
        """The conversations in which somebody gave this command."""
        return {where for said in accepted if said.command == command for where in self._conversations(said)}

    def _conversations(self, said: Said) -> set[Conversation]:
        """The conversations the message can be of: one, unless its address was changing hands; maybe none."""
        message = said.message
        if said.session is not None:
            return set()  # one that they began some time ago
        found = {
            self._cast.conversation(said.mouth, user, message.chat, message.thread_id, said.wish)
            for user in self._takers(said)
        }
        return {where for where in found if where is not None}

    def _takers(self, said: Said) -> set[str | None]:
        """The users the sender can have been taken for when the message was accepted."""
        return {user for user in said.users if self._outcome(said, user) is Outcome.ACCEPTED}

    def _outcome(self, said: Said, user: str | None) -> Outcome:
        return Outcome(self._cast.outcome(said.mouth, user, said.message.chat, spoken_to=said.spoken_to))

    # --- at the end: what is where? ----------------------------------------------------------------------------

    def reads_what_is_left(self) -> None:
        """Go through everything that was asked, sent and kept, as files and rows; the gateway is closed."""
        rows = self._rows()
        turn_owners = {row["turn_id"]: self._owner_of_row(row) for row in (*rows["outbox"], *rows["turns"])}
        owners = self._owners(turn_owners)

        for request in self._world.requests:
            within = {
                owners.get(one, NOBODY) for text in everything_said(request) for one in canaries.found_in(text)
            }
            if len(within) > 1 or NOBODY in within:
                self.wrong.append(f"LEAK: one prompt holds words of {sorted(within)}")
        self._reads_what_was_shown(owners)
        for heard in self._world.heard:
            self._holds_only(heard.owners, heard.message.text, f"a reply by {heard.message.route}", owners)
        self._reads_rows(rows, turn_owners, owners)
        self._reads_bills(rows)
        self._reads_sessions(rows, owners)
        self._reads_friends(rows)
        self._reads_what_was_overheard(rows)
        self._reads_log(owners)

    def _reads_what_was_shown(self, owners: Owners) -> None:
        """Every answer and frame holds words of whom it was for; keepers of groups read theirs, admins names."""
        doors, cast = self._world.doors, self._cast
        groups = {owner for owner in owners.values() if owner.startswith("space:")}
        for shown in doors.shown:
            allowed = {f"user:{shown.person}"}
            found = canaries.found_in(shown.data)
            if shown.person in doors.admins:
                found -= doors.names.keys()
            if shown.person == cast.sponsor or shown.person in doors.admins:
                allowed |= groups
            foreign = {owners.get(canary, NOBODY) for canary in found} - allowed
            if foreign:
                self.wrong.append(f"LEAK: {shown.what}, shown to {shown.person}, holds words of {sorted(foreign)}")

    def _owners(self, turn_owners: Mapping[str, Owner]) -> dict[str, Owner]:
        """Whose each canary is. What was not accepted is nobody's: it may be nowhere."""
        owners = dict(self._world.canaries)
        for said in self._world.said:
            possible = {self._owner(said, user) for user in self._takers(said)}
            receipt = said.receipt
            owner = NOBODY
            if receipt is not None and receipt.outcome is Outcome.ACCEPTED:
                given = turn_owners.get(receipt.turn_id or "", NOBODY)
                owner = given if given in possible else next(iter(sorted(possible)), NOBODY)
                if given not in possible:
                    self.wrong.append(f"LEAK: what {sorted(possible)} said was taken for {given}'s")
            elif self._overheard(said):
                route = said.message.route
                owner = self._cast.space(route.channel, route.account, route.chat, route.thread_id)
            owners |= dict.fromkeys(said.canaries, owner)
        return owners

    def _overheard(self, said: Said) -> bool:
        """Whether it was said in a group that was let in, to nobody: the group's next prompt may tell it."""
        message, receipt = said.message, said.receipt
        if receipt is None or receipt.outcome not in (Outcome.IGNORED, Outcome.REFUSED) or said.command:
            return False
        dm = message.chat.kind is ChatKind.DM
        return not dm and self._cast.rule_in(message.channel, message.account, message.chat) is not None

    def _reads_what_was_overheard(self, rows: Mapping[str, list[Row]]) -> None:
        """It is nowhere but at the end of prompts, and in what a model made of it: not in what people said."""
        heard = {canary for said in self._world.said if self._overheard(said) for canary in said.canaries}
        lines = [row["line"] for row in rows.get("entries", ())]
        for path in (self._world.home / "agents").glob("*/sessions/*.jsonl"):
            lines += path.read_text().splitlines()
        lines = [line for line in lines if json.loads(line).get("role") == "user"]
        lines += [row["body"] for row in rows["turn_bodies"]]
        if any(heard & canaries.found_in(line) for line in lines):
            self.wrong.append("LEAK: what a group said before is written down as said to us")

    def _owner(self, said: Said, user: str | None) -> Owner:
        route = said.message.route
        if route.chat.kind is not ChatKind.DM:
            return self._cast.space(route.channel, route.account, route.chat, route.thread_id)
        return self._cast.owner(said.mouth, user)

    def _owner_of_row(self, row: Row) -> Owner:
        """Whose a turn or delivery is, by its principal and route."""
        if row["chat_kind"] != ChatKind.DM:
            chat = Chat(ChatKind(row["chat_kind"]), row["chat_id"])
            return self._cast.space(row["channel"], row["account"], chat, row["thread_id"])
        kind, _, rest = row["principal"].partition(":")
        if kind == "user":
            return f"user:{rest}"
        channel, _, rest = rest.partition(":")
        length, _, rest = rest.partition(":")
        account, sender = rest[: int(length)], rest[int(length) + 1 :]
        return self._cast.guest(Mouth(channel, account, sender))

    def _reads_rows(self, rows: Mapping[str, list[Row]], turn_owners: Mapping[str, Owner], owners: Owners) -> None:
        turn_of = {row["delivery_id"]: row["turn_id"] for row in rows["outbox"]}
        for name, table in rows.items():
            for row in table:
                text = json.dumps(row, ensure_ascii=False, default=repr)
                what = f"a row of {name}"
                match name:
                    case "users":
                        self._holds_only({f"user:{row['id']}"}, text, what, owners)
                    case "agents":
                        self._holds_only({f"user:{row['owner']}"}, text, what, owners)
                    case "credentials":
                        self._holds_only({f"user:{row['user_id']}"}, text, what, owners)
                    case "turn_bodies":
                        self._holds_only({turn_owners[row["turn_id"]]}, text, what, owners)
                    case "outbox_bodies":
                        self._holds_only({turn_owners[turn_of[row["delivery_id"]]]}, text, what, owners)
                    case "entries" | "sessions":
                        pass  # the sessions' own, below
                    case "workspace_files":
                        self._holds_only({f"user:{row['agent_id'].partition('--')[0]}"}, text, what, owners)
                    case "attachments":
                        self._holds_only(self._sender_of(row["id"]), text, what, owners)
                    case _:
                        self._holds_only((), text, what, owners)

    def _reads_bills(self, rows: Mapping[str, list[Row]]) -> None:
        """Each call is on the bill of whoever pays for the turn it was made for, and nobody else is told of it."""
        turns = {row["turn_id"]: row for row in rows["turns"]}
        called: set[str] = set()
        for row in rows["ledger"]:
            turn = turns[row["turn_id"]]
            called.add(row["turn_id"])
            for name in ("principal", "agent_id", "session_id"):
                if row[name] != turn[name]:
                    self.wrong.append(f"LEAK: a call for {turn[name]} is written down as {row[name]}'s")
            if row["user_id"] != self._payer(turn["agent_id"]):
                self.wrong.append(f"LEAK: {row['user_id']} pays for what {turn['agent_id']} answered")
            if row["status"] == "projected" and turn["finished_at"] is not None:
                self.wrong.append(f"a call of {row['turn_id']} has no end, and its turn has")
        if len(rows["ledger"]) < len(self._world.requests):
            self.wrong.append(f"{len(self._world.requests)} calls, and {len(rows['ledger'])} rows in the ledger")
        agents = {row["session_id"]: row["agent_id"] for row in rows["turns"]}
        for person, bill in self._world.doors.bills:
            for one in bill:
                if self._payer(agents[one["key"]]) != person:
                    self.wrong.append(f"LEAK: {person} is shown what {agents[one['key']]} used")

    def _payer(self, agent: str) -> str:
        """Who pays for an agent: its owner, or whoever sponsors all that are nobody's own."""
        own = agent not in self._cast.shared and not agent.startswith("space--")
        return agent.partition("--")[0] if own else self._cast.sponsor

    def _reads_sessions(self, rows: Mapping[str, list[Row]], owners: Owners) -> None:
        """Each session has one owner, each brain those who talk to it, and a person's own brain that person."""
        session_owners: dict[str, set[Owner]] = defaultdict(set)
        brain_owners: dict[str, set[Owner]] = defaultdict(set)
        for row in rows["turns"]:
            session_owners[row["session_id"]].add(self._owner_of_row(row))
            brain_owners[row["agent_id"]].add(self._owner_of_row(row))
        for session, found in session_owners.items():
            if len(found) > 1:
                self.wrong.append(f"LEAK: session {session} is shared by {sorted(found)}")
        for agent, found in brain_owners.items():
            own = agent not in self._cast.shared and not agent.startswith("space--")
            if own and found != {f"user:{agent.partition('--')[0]}"}:
                self.wrong.append(f"LEAK: {agent}'s own brain answers {sorted(found)}")

        for row in (*rows.get("entries", ()), *rows.get("sessions", ())):
            text = json.dumps(row, ensure_ascii=False, default=repr)
            self._holds_only(session_owners[row["session_id"]], text, f"session {row['session_id']}", owners)
        for brain in (self._world.home / "agents").glob("*"):
            for path in (path for path in brain.rglob("*") if path.is_file()):
                whose = brain_owners[brain.name] | {f"user:{brain.name.partition('--')[0]}"}
                if path.parent.name == "sessions":
                    whose = session_owners[path.stem]
                elif path.parent.name == "attachments":
                    whose = self._sender_of(path.stem)
                self._holds_only(whose, path.read_bytes(), str(path.relative_to(self._world.home)), owners)
            for row in _rows_of(brain / "agent.db").get("sessions", ()):
                text = json.dumps(row, ensure_ascii=False, default=repr)
                self._holds_only(session_owners[row["session_id"]], text, f"{brain.name}/agent.db", owners)

    def _reads_friends(self, rows: Mapping[str, list[Row]]) -> None:
        """What one agent of a person's alone may know is in no row, and no file, of another of theirs."""
        belongs = self._world.belongs

        def judge(agent: str, data: bytes | str, what: str) -> None:
            foreign = {belongs[one] for one in canaries.found_in(data) & belongs.keys()} - {agent}
            if foreign:
                self.wrong.append(f"LEAK: {what} of {agent} holds words of {sorted(foreign)}")

        for name, table in rows.items():
            for row in table if belongs else ():
                agent = row.get("agent_id") or (row["id"] if name == "agents" else "")
                judge(agent, json.dumps(row, ensure_ascii=False, default=repr), f"a row of {name}")
        for brain in (self._world.home / "agents").glob("*") if belongs else ():
            for path in (path for path in brain.rglob("*") if path.is_file()):
                judge(brain.name, path.read_bytes(), path.name)

    def _sender_of(self, attachment: str) -> set[Owner]:
        """Whose a kept file is: of who sent it up, or of whoever's turn fetched it."""
        person = self._world.doors.uploads.get(attachment)
        return set() if person is None else {f"user:{person}"}

    def _reads_log(self, owners: Owners) -> None:
        """No word of anybody is in the operational log, or in what libraries log."""
        home = self._world.home
        for path in home.iterdir():
            if path.is_file() and not path.name.startswith("gateway.db"):
                self._holds_only((), path.read_bytes(), path.name, owners)
        self._holds_only((), "\n".join(self._world.process_log), "what libraries log", owners)

    def _holds_only(self, allowed: Iterable[Owner], data: bytes | str, what: str, owners: Owners) -> None:
        foreign = {owners.get(canary, NOBODY) for canary in canaries.found_in(data)} - set(allowed)
        if foreign:
            self.wrong.append(f"LEAK: {what} of {sorted(allowed)} holds words of {sorted(foreign)}")

    def _rows(self) -> dict[str, list[Row]]:
        """Every row of every table of the gateway's database, seen by somebody who sees everything."""
        database = self._world.postgres
        if database is None:
            return _rows_of(self._world.home / "gateway.db")
        names = {table.name for table in (*metadata.tables.values(), *schema.content_tables())}
        parts = ", ".join(
            f"'{name}', (SELECT coalesce(json_agg(t), '[]') FROM {name} t)" for name in sorted(names)
        )
        return json.loads(shared_server().run(f"SELECT json_build_object({parts})", database=database.name))


Owners = Mapping[str, Owner]


def _answers(accepted: Iterable[Said], heard: Iterable[Heard]) -> dict[int, str]:
    """What each message was answered, by `id` of what was said; its reply came back by its own route."""
    whole: dict[str, dict[str, Heard]] = defaultdict(dict)
    for one in heard:
        whole[one.message.delivery_id.rpartition(".")[0]][one.message.delivery_id] = one
    replies: list[tuple[Route, str]] = []
    for parts in whole.values():
        ordered = sorted(parts.values(), key=lambda part: int(part.message.delivery_id.rpartition(".")[2]))
        replies.append((ordered[0].message.route, "\n".join(part.message.text for part in ordered)))

    answers: dict[int, str] = {}
    for said in accepted:
        asked = said.message.route
        for route, text in replies:
            own = route.message_id == asked.message_id if said.command else said.canaries[0] in text
            if own and route.joins(asked):
                answers[id(said)] = text
    return answers


def _rows_of(path: Path) -> dict[str, list[Row]]:
    """Every row of an SQLite database; nothing for one that is not there."""
    if not path.exists():
        return {}
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        connection.row_factory = sqlite3.Row
        names = [row["name"] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {name: [dict(row) for row in connection.execute(f'SELECT * FROM "{name}"')] for name in names}
