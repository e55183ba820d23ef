"""The oracle: the promise of the design, asked of what is stored and of what was heard.

It reads tables and transcripts by itself, so that a mistake in the product's own reading cannot hide another.
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Row, select

from rookery.agents.words import DENIED as NOT_ALLOWED
from rookery.channels.contract import Outcome, Receipt
from rookery.gateway import tables
from rookery.ids import AgentId, SessionId
from rookery.storage import as_agent
from rookery.usage.ledger import ledger
from tests.durability.lives import Blow
from tests.usage.reading import look_at_the_ledger

if TYPE_CHECKING:
    from tests.durability.play import Play

Line = dict[str, Any]
"""One line of a transcript, as JSON has it."""


@dataclass(frozen=True, slots=True)
class Said:
    """One message somebody sent, and what the network was told of it."""

    channel: str
    account: str
    message_id: str
    person: str
    text: str
    receipt: Receipt | None = None

    def by(self, message_id: str) -> Said:
        """The same, with the id its network gave it."""
        return replace(self, message_id=message_id)

    def receipted(self, receipt: Receipt) -> Said:
        """The same, with the gateway's word on it."""
        return replace(self, receipt=receipt)

    @property
    def key(self) -> tuple[str, str, str]:
        return self.channel, self.account, self.message_id

    @property
    def is_command(self) -> bool:
        return self.text.startswith("/")


@dataclass(frozen=True, slots=True)
class State:
    """What is stored in the end."""

    turns: list[Row[Any]]
    outbox: list[Row[Any]]
    texts: dict[str, str]
    transcripts: dict[tuple[str, str], list[Line]]
    """The lines behind the header, by agent and session."""
    calls: list[dict[Any, Any]]
    words: set[str]
    """The turns of which it is still kept what was said, beside the transcripts."""


async def examine(play: Play) -> list[str]:
    """Everything that is wrong; nothing, when the promise was kept."""
    wrong: list[str] = []
    state = await _read(play, wrong)
    _check_accepted(play, state, wrong)
    _check_transcripts(play, state, wrong)
    _check_turns(play, state, wrong)
    _check_outbox(play, state, wrong)
    _check_tools(play, state, wrong)
    _check_asked(play, state, wrong)
    _check_purged(play, state, wrong)
    _check_ledger(play, state, wrong)
    return wrong


async def _read(play: Play, wrong: list[str]) -> State:
    def rows(connection: Connection) -> tuple[list[Row[Any]], list[Row[Any]], dict[str, str], set[str]]:
        turns = list(connection.execute(select(tables.turns).order_by(tables.turns.c.seq)))
        outbox = list(connection.execute(select(tables.outbox).order_by(tables.outbox.c.seq)))
        texts: dict[str, str] = {}
        bodies = tables.outbox_bodies.c
        for agent_id in {row.agent_id for row in outbox}:
            as_agent(connection, AgentId(agent_id))
            query = select(bodies.delivery_id, bodies.text).where(bodies.agent_id == agent_id)
            texts |= {row.delivery_id: row.text for row in connection.execute(query)}
        words: set[str] = set()
        said = tables.turn_bodies.c
        for agent_id in {row.agent_id for row in turns}:
            as_agent(connection, AgentId(agent_id))
            words.update(connection.execute(select(said.turn_id).where(said.agent_id == agent_id)).scalars())
        return turns, outbox, texts, words

    turns, outbox, texts, words = await play.house.database.read(rows)
    transcripts: dict[tuple[str, str], list[Line]] = {}
    for agent_id, session_id in {(row.agent_id, row.session_id) for row in turns}:
        async with play.house.gateway.brains.use(AgentId(agent_id)) as brain:
            wrong += [f"doctor: {one.detail}" for one in await brain.check() if ".torn-" not in one.where]
            written = session_id in await brain._transcripts.list_ids()  # pyright: ignore[reportPrivateUsage]
            data = await brain.export(SessionId(session_id)) if written else b""
        lines = [json.loads(line) for line in data.splitlines()]
        if lines and lines[0]["type"] != "session":
            wrong.append(f"transcript {session_id}: the first line is no header")
        transcripts[agent_id, session_id] = lines[1:]
    calls = await play.house.database.read(
        lambda connection: [dict(row) for row in connection.execute(select(ledger)).mappings()]
    )
    return State(turns, outbox, texts, transcripts, calls, words)


# --- every call of a model is in the ledger -----------------------------------------------------------------


def _check_ledger(play: Play, state: State, wrong: list[str]) -> None:
    lines = [line for lines in state.transcripts.values() for line in lines]
    wrong += look_at_the_ledger(state.calls, lines, asked=len(play.model.requests))


# --- accepted: once, and in exactly one turn ----------------------------------------------------------------


def _check_accepted(play: Play, state: State, wrong: list[str]) -> None:
    rows = [row for row in state.turns if row.kind == "message"]
    by_message = Counter((row.channel, row.account, row.message_id) for row in rows)
    for said in play.said:
        if said.receipt is None or said.receipt.outcome not in (Outcome.ACCEPTED, Outcome.DUPLICATE):
            wrong.append(f"{said.text!r}: no receipt, or a wrong one: {said.receipt}")
        elif by_message[said.key] != (0 if said.is_command else 1):
            wrong.append(f"{said.text!r} was receipted and is {by_message[said.key]} turns")
    answered: dict[tuple[str, str, str], set[str]] = defaultdict(set)
    for row in state.outbox:
        answered[row.channel, row.account, row.message_id].add(row.turn_id)
    wrong += [f"{key}: answered by {len(ids)} turns" for key, ids in answered.items() if len(ids) > 1]
    seq = {(row.channel, row.account, row.message_id): row.seq for row in rows}
    for person in {said.person for said in play.said}:
        order = [seq[said.key] for said in play.said if said.person == person and said.key in seq]
        if order != sorted(order):
            wrong.append(f"{person}'s messages were accepted in another order than they were said")


# --- transcripts: one user entry for each batch, and a grammar ----------------------------------------------


def _check_transcripts(play: Play, state: State, wrong: list[str]) -> None:
    ids = Counter(line["id"] for lines in state.transcripts.values() for line in lines)
    wrong += [f"entry {entry_id} is there {count} times" for entry_id, count in ids.items() if count > 1]
    for (_, session_id), lines in state.transcripts.items():
        before: str | None = None
        for line in lines:
            if line.get("parentId") != before:
                wrong.append(f"{session_id}: {line['id']} follows {before}, and says {line.get('parentId')}")
            before = line["id"]
        wrong += [f"{session_id}: {problem}" for problem in _grammar(lines)]


def _grammar(lines: list[Line]) -> list[str]:
    """user → (calls → a result for each → user*)* → reply, turn after turn, ids counted up in each."""
    problems: list[str] = []
    turn, number, owed, open_turn = "", 0, list[str](), False
    for line in lines:
        if line["type"] != "message":
            if open_turn:
                problems.append(f"{line['id']} stands inside turn {turn}")
            continue
        role = line["role"]
        if role == "user" and open_turn and line["turnId"] == turn:
            if owed or number < 3:
                problems.append(f"{line['id']} joins where no step begins")
        elif role == "user":
            if open_turn:
                problems.append(f"turn {turn} has no end, and {line['turnId']} begins")
            turn, number, owed, open_turn = line["turnId"], 0, [], True
        elif not open_turn:
            problems.append(f"{line['id']} ({role}) belongs to no turn")
        elif role == "assistant":
            if owed:
                problems.append(f"calls {owed} have no result before {line['id']}")
            owed = [part["id"] for part in line["content"] if part["type"] == "toolCall"]
            open_turn = line["stopReason"] == "toolCalls"
            if bool(owed) and not open_turn:
                problems.append(f"{line['id']} calls tools and ends the turn")
        elif not owed or owed.pop(0) != line["toolCallId"]:
            problems.append(f"{line['id']} is the result of no call")
        if (line["turnId"], line["id"]) != (turn, f"{turn}.{number}"):
            problems.append(f"{line['id']} stands where {turn}.{number} belongs")
        number += 1
    if open_turn:
        problems.append(f"turn {turn} has no end")
    return problems


# --- turns: each ended, each message said to the model once, in order ---------------------------------------


def _check_turns(play: Play, state: State, wrong: list[str]) -> None:
    words = {said.key: said.text for said in play.said}
    rows = {row.turn_id: row for row in state.turns}
    told: Counter[str] = Counter()
    for (_, session_id), lines in state.transcripts.items():
        batches = [line for line in lines if line.get("role") == "user"]
        for line in batches:
            told.update(line["accepted"])
            if line["id"].endswith(".0") and line["accepted"][0] != line["turnId"]:
                wrong.append(f"{line['id']} is not the first of its batch")
            messages = [rows[turn_id] for turn_id in line["accepted"] if turn_id in rows]
            wrong += _with_their_leader(line, rows.get(line["turnId"]), messages)
            expected = [words.get((row.channel, row.account, row.message_id)) for row in messages]
            if [part["text"] for part in line["content"]] != expected:
                wrong.append(f"{line['id']} says {line['content']}, and {expected} was said")
        order = [rows[turn_id].seq for line in batches for turn_id in line["accepted"] if turn_id in rows]
        if order != sorted(order):
            wrong.append(f"{session_id}: accepted in one order, answered in another: {order}")
    for row in state.turns:
        if row.finished_at is None:
            wrong.append(f"turn {row.turn_id} has no end")
        if row.kind != "message" or row.session_id in play.purged:
            continue
        unheard = row.stopped and row.status == "cancelled"
        if told[row.turn_id] != 1 and not (unheard and told[row.turn_id] == 0):
            wrong.append(f"turn {row.turn_id} was told to the model {told[row.turn_id]} times")


def _with_their_leader(line: Line, leader: Row[Any] | None, messages: list[Row[Any]]) -> list[str]:
    """Those that are answered together are of one hand, and ended together."""
    problems: list[str] = []
    if leader is None:
        return problems
    for row in messages:
        if (row.answered_by or row.turn_id, row.status) != (leader.turn_id, leader.status):
            problems.append(f"{line['id']} answers {row.turn_id}, which ended apart from {leader.turn_id}")
        hands = {(one.principal, one.channel, one.account, one.chat_id, one.sender_id) for one in (row, leader)}
        if len(hands) > 1:
            problems.append(f"{line['id']} answers several hands: {hands}")
    return problems


# --- outbox: what was answered is heard, as written, at most once more for each kill ------------------------


def _check_outbox(play: Play, state: State, wrong: list[str]) -> None:
    heard = [message for network in play.house.networks for message in network.heard]
    copies = Counter[str](message.delivery_id for message in heard)
    kept: dict[str, Row[Any]] = {row.delivery_id: row for row in state.outbox}
    for message in heard:
        if message.delivery_id not in kept:
            wrong.append(f"{message.delivery_id} was heard and is not in the outbox")
        elif message.text != state.texts.get(message.delivery_id, message.text if play.purged else None):
            wrong.append(f"{message.delivery_id} was heard otherwise than it was written")
    for delivery_id, row in kept.items():
        if row.status != "sent":
            wrong.append(f"{delivery_id} is {row.status}")
        if not 1 <= copies[delivery_id] <= 1 + play.lives.kills:
            wrong.append(f"{delivery_id} was heard {copies[delivery_id]} times, {play.lives.kills} kills")
        if row.channel == "webhook" and copies[delivery_id] > 1:
            wrong.append(f"{delivery_id} was heard twice on a network that takes an idempotency key")
    sessions = {row.turn_id: row.session_id for row in state.turns}
    by_chat: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for message in heard:
        if message.delivery_id in kept:
            chat = (message.route.channel, message.route.account, message.route.chat.id)
            if message.delivery_id not in by_chat[chat]:
                by_chat[chat].append(message.delivery_id)
    for chat, ids in by_chat.items():
        extra = sum(copies[delivery_id] - 1 for delivery_id in ids)
        if extra > play.lives.kills:
            wrong.append(f"{chat}: {extra} extra sends, {play.lives.kills} kills")
        orders: dict[str, list[int]] = defaultdict(list)
        for delivery_id in ids:
            row = kept[delivery_id]
            # Where a disk said no, only the replies of one conversation wait for each other.
            apart = Blow.REFUSED in play.lives.met or Blow.UNKNOWN in play.lives.met
            orders[sessions.get(row.turn_id, row.turn_id) if apart else ""].append(row.seq)
        if any(order != sorted(order) for order in orders.values()):
            wrong.append(f"{chat}: replies were heard in another order than they were made")
    _check_replies(play, state, wrong)


def _check_replies(play: Play, state: State, wrong: list[str]) -> None:
    """Each reply entry went out, whole; each command was answered; nothing else went out."""
    owed: set[str] = {said.receipt.turn_id or "" for said in play.said if said.is_command and said.receipt}
    rows = {row.turn_id: row for row in state.turns}
    for lines in state.transcripts.values():
        last = {line["turnId"]: line["accepted"][-1] for line in lines if line.get("role") == "user"}
        for line in lines:
            if line.get("role") != "assistant" or line["stopReason"] in ("toolCalls", "stopped", "interrupted"):
                continue
            owed.add(line["turnId"])
            parts = [part["text"] for part in line["content"] if part["type"] == "text"]
            whole = "".join([*parts, line.get("error", "")])
            sent = [row for row in state.outbox if row.delivery_id.startswith(f"{line['id']}.")]
            if any(row.message_id != rows[last[line["turnId"]]].message_id for row in sent):
                wrong.append(f"the reply {line['id']} is to another message than the last it answers")
            if _dense("".join(state.texts[row.delivery_id] for row in sent)) != _dense(whole):
                wrong.append(f"the reply {line['id']} went out otherwise than it stands in the transcript")
    purged = {row.turn_id for row in state.turns if row.session_id in play.purged}
    made = {row.turn_id for row in state.outbox} - purged
    wrong += [f"turn {turn_id} was not answered" for turn_id in owed - made]
    wrong += [f"turn {turn_id} was answered, and ended unheard" for turn_id in made - owed]


def _dense(text: str) -> str:
    """Without white space, which chunks begin and end without."""
    return re.sub(r"\s+", "", text)


# --- purged: nothing is left of it --------------------------------------------------------------------------


def _check_purged(play: Play, state: State, wrong: list[str]) -> None:
    for (_, session_id), lines in state.transcripts.items():
        if session_id in play.purged and lines:
            wrong.append(f"{session_id} was purged, and {len(lines)} lines are there")
    gone = {row.turn_id for row in state.turns if row.session_id in play.purged}
    wrong += [f"turn {turn_id} was purged, and its words are there" for turn_id in gone & state.words]


# --- tools: effects once, and what became of them shown -----------------------------------------------------


def _check_tools(play: Play, state: State, wrong: list[str]) -> None:
    shown = {message.entry.id for request in play.model.requests for message in request.history}
    wrong += [f"{token} was done {count} times" for token, count in play.deed.calls.items() if count > 1]
    for lines in state.transcripts.values():
        stopped = {line["turnId"] for line in lines if line.get("stopReason") in ("stopped", "interrupted")}
        calls = {
            (line["turnId"], part["id"]): part
            for line in lines
            for part in line.get("content", ())
            if part["type"] == "toolCall"
        }
        for line in lines:
            if line.get("role") != "toolResult":
                continue
            if line["id"] not in shown and line["turnId"] not in stopped:
                wrong.append(f"the model was never shown the result {line['id']}")
            call = calls[line["turnId"], line["toolCallId"]]
            done = play.deed.calls[call["arguments"]["token"]]
            said = line["content"][0]["text"]
            wanted = 0 if said == NOT_ALLOWED else 1
            if call["name"] == "deed" and not line.get("outcomeUnknown") and done != wanted:
                wrong.append(f"{line['id']} tells an outcome, and the call was made {done} times")
            if line.get("outcomeUnknown") and "outcome unknown" not in said.lower():
                wrong.append(f"{line['id']} does not say that the outcome is unknown")
    tokens = {
        part["arguments"]["token"]
        for lines in state.transcripts.values()
        for line in lines
        for part in line.get("content", ())
        if part["type"] == "toolCall"
    }
    for tool in (play.deed, play.look):
        wrong += [f"{token} was called and is in no transcript" for token in tool.calls.keys() - tokens]


# --- asked first: done after the yes of that person to that question, and after nothing else ----------------


def _check_asked(play: Play, state: State, wrong: list[str]) -> None:
    said = {(said.person, said.text) for said in play.said}
    asked = {one.token: one for one in play.questions()}
    guarded = [token for token in play.deed.calls if "guarded" in token]
    wrong += [f"{token} was done, and nobody was asked" for token in guarded if token not in asked]
    for token, one in asked.items():
        if play.deed.calls[token] and (one.person, f"/approve {one.number}") not in said:
            wrong.append(f"{token} was done, and {one.person} did not allow number {one.number}")
    numbers = Counter((one.person, one.number) for one in asked.values())
    wrong += [
        f"{person} was asked twice under the number {n}" for (person, n), times in numbers.items() if times > 1
    ]
    tokens: dict[tuple[str, str], str] = {}
    for line in (line for lines in state.transcripts.values() for line in lines):
        for part in line.get("content", ()):
            if part["type"] == "toolCall":
                tokens[line["turnId"], part["id"]] = part["arguments"]["token"]
            elif part.get("text") == NOT_ALLOWED and line["role"] == "toolResult":
                one = asked.get(tokens[line["turnId"], line["toolCallId"]])
                if one is None or not {(one.person, "/deny"), (one.person, f"/deny {one.number}")} & said:
                    wrong.append(f"{line['id']} says no, and nobody did")
