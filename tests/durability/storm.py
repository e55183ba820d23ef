"""People who write without pause to a gateway that is killed again and again, and the account of it afterwards.

async with Storm(home, seed=1) as storm:
    report = await storm.rages(kills=50)
assert report.failures == []
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter, defaultdict
from collections.abc import Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp
import msgspec
from aiohttp import web

from rookery.channels.webhook import signature
from rookery.messages import Usage
from tests.durability.process import Account, GatewayProcess, Remains
from tests.support.fake_openai import FakeOpenAI
from tests.usage.reading import look_at_the_ledger

ACCOUNTS = (Account("one", "one-secret-of-sixteen"), Account("two", "two-secret-of-sixteen"))
PEOPLE = 6
OUTSTANDING = 8
"""How many messages a sender has unanswered before they wait."""

NEW_EVERY = 60
"""After so many messages a sender begins another conversation, so that prompts stay short."""

IDLE_SECONDS = 60.0
MODELS = ("instant:3", "stream:6", "tool:time")


@dataclass(slots=True)
class Outcome:
    """What a storm came to."""

    kills: int = 0
    stops: int = 0
    messages: int = 0
    turns: int = 0
    deliveries: int = 0
    extra_sends: int = 0
    most_extra_sends_per_kill: int = 0
    starts: list[float] = field(default_factory=list[float])
    calls: int = 0
    """Rows of the ledger."""
    calls_seen: int = 0
    """What the models' endpoint saw of them."""
    calls_guessed: int = 0
    seconds: float = 0.0
    failures: list[str] = field(default_factory=list[str])

    @property
    def ready_p50(self) -> float:
        return sorted(self.starts)[len(self.starts) // 2]

    @property
    def ready_p95(self) -> float:
        return sorted(self.starts)[int(len(self.starts) * 0.95)]


@dataclass(slots=True)
class _Sender:
    """One address. `sent` messages were receipted; `heard` is the number of the last one that was answered."""

    account: Account
    id: str
    person: str
    sent: list[str] = field(default_factory=list[str])
    heard: int = -1
    woken: asyncio.Event = field(default_factory=asyncio.Event)

    def text(self, number: int) -> str:
        return "/new" if number % NEW_EVERY == NEW_EVERY - 1 else f"{self.id} {number}"

    def message_id(self, number: int) -> str:
        return f"{self.id}-{number:06d}"


class Storm:
    """The gateway's process, its people, their bridge, and the model's endpoint."""

    def __init__(
        self,
        home: Path,
        *,
        seed: int,
        environ: Mapping[str, str] | None = None,
        patience: float = IDLE_SECONDS,
    ) -> None:
        """`patience`: seconds it may take after the last start until everything is answered."""
        self.gateway = GatewayProcess(home, environ=environ)
        self._patience = patience
        self._random = random.Random(seed)
        # The first person writes on both accounts, into one conversation.
        self._senders = [_Sender(ACCOUNTS[n % 2], f"s{n}", f"p{n}") for n in range(PEOPLE)]
        self._senders.append(_Sender(ACCOUNTS[1], "s0-too", "p0"))
        self._by_id = {(sender.account.name, sender.id): sender for sender in self._senders}
        self._fake = FakeOpenAI(keep=1)
        self._heard: list[tuple[int, dict[str, Any]]] = []
        self._lives = 0
        self._stopped: set[int] = set()
        self._raging = False
        self._stack = AsyncExitStack()
        self._callback = ""
        self._session: aiohttp.ClientSession

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            await self._fake.start()
            stack.push_async_callback(self._fake.stop)
            application = web.Application()
            application.router.add_post("/reply/{account}", self._on_reply)
            runner = web.AppRunner(application, access_log=None)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            self._callback = f"http://127.0.0.1:{site.port}/reply"
            connector = aiohttp.TCPConnector(limit=0)
            self._session = await stack.enter_async_context(aiohttp.ClientSession(connector=connector))
            people: dict[str, list[tuple[str, str]]] = defaultdict(list)
            for sender in self._senders:
                people[sender.person].append((sender.account.name, sender.id))
            await self.gateway.prepare(people)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.gateway.running:
            await self.gateway.kill()
        await self._stack.aclose()

    async def rages(self, kills: int) -> Outcome:
        """Kill the gateway so many times under load, then let it come to rest and look at everything."""
        began = time.monotonic()
        result = Outcome(kills=kills)
        self._raging = True
        speaking = [
            asyncio.create_task(self._speak(sender), name=f"sender {sender.id}") for sender in self._senders
        ]
        try:
            for number in range(kills):
                self._configure()
                self._lives += 1
                if self._random.random() < 0.1:
                    await self.gateway.start()
                    await asyncio.sleep(self._random.uniform(0.0, 0.6))
                else:
                    await self.gateway.ready(self._session)
                    await asyncio.sleep(self._random.uniform(0.0, 0.25))
                await self.gateway.kill()
                if number % 10 == 9:
                    await self._stops_and_starts(result)
            self._configure()
            self._lives += 1
            await self.gateway.ready(self._session)
            self._raging = False
            async with asyncio.timeout(self._patience):
                await asyncio.gather(*speaking)
                await self._rest()
        except TimeoutError:
            result.failures.append("hung: the gateway did not come to rest")
        finally:
            for task in speaking:
                task.cancel()
            await asyncio.gather(*speaking, return_exceptions=True)
        await self._stops(result)
        self._look(result)
        result.seconds = time.monotonic() - began
        return result

    # --- what happens to the gateway -------------------------------------------------------------------------

    def _configure(self) -> None:
        self.gateway.configure(
            ACCOUNTS,
            callback=self._callback,
            endpoint=self._fake.base_url,
            model=self._random.choice(MODELS),
            queue=self._random.choice(("collect", "followup")),
        )

    async def _stops_and_starts(self, result: Outcome) -> None:
        """An orderly end between the kills, under load too."""
        self._configure()
        self._lives += 1
        await self.gateway.ready(self._session)
        await asyncio.sleep(self._random.uniform(0.0, 0.2))
        await self._stops(result)

    async def _stops(self, result: Outcome) -> None:
        result.stops += 1
        self._stopped.add(self._lives)
        status = await self.gateway.stop()
        if status != 0:
            result.failures.append(f"SIGTERM ended with {status}: {self.gateway.complaints()}")

    async def _rest(self) -> None:
        while self.gateway.remains().unfinished:
            await asyncio.sleep(0.1)

    # --- what people do --------------------------------------------------------------------------------------

    async def _speak(self, sender: _Sender) -> None:
        while self._raging:
            number = len(sender.sent)
            await self._send(sender, number)
            sender.sent.append(sender.message_id(number))
            while self._raging and number - sender.heard > OUTSTANDING:
                sender.woken.clear()
                with suppress(TimeoutError):
                    async with asyncio.timeout(0.2):
                        await sender.woken.wait()

    async def _send(self, sender: _Sender, number: int) -> None:
        """Offer one message until it is receipted, under the same id."""
        body = msgspec.json.encode(
            {
                "messageId": sender.message_id(number),
                "senderId": sender.id,
                "text": sender.text(number),
                "chat": {"kind": "dm", "id": sender.id},
            }
        )
        url = f"{self.gateway.url}/api/channels/webhook/{sender.account.name}"
        while True:
            headers = signature.sign(sender.account.secret.encode(), int(time.time()), body)
            with suppress(aiohttp.ClientError, OSError):
                async with self._session.post(url, data=body, headers=headers) as answer:
                    if answer.status in (200, 202):
                        return
                    assert answer.status == 503, f"{answer.status}: {await answer.text()}"
            await asyncio.sleep(0.01)

    async def _on_reply(self, request: web.Request) -> web.Response:
        body = msgspec.json.decode(await request.read(), type=dict[str, Any])
        self._heard.append((self._lives, body))
        sender = self._by_id[request.match_info["account"], body["to"]["senderId"]]
        sender.heard = max(sender.heard, int(body["inReplyTo"].rpartition("-")[2]))
        sender.woken.set()
        return web.json_response({})

    # --- the account -----------------------------------------------------------------------------------------

    def _look(self, result: Outcome) -> None:
        remains = self.gateway.remains()
        result.starts = self.gateway.starts
        result.messages = sum(len(sender.sent) for sender in self._senders)
        result.turns = len(remains.turns)
        result.deliveries = len(remains.outbox)
        if remains.integrity != "ok":
            result.failures.append(f"integrity_check: {remains.integrity}")
        self._look_at_turns(remains, result)
        self._look_at_transcripts(remains, result)
        self._look_at_sends(remains, result)
        self._look_at_calls(remains, result)

    def _look_at_turns(self, remains: Remains, result: Outcome) -> None:
        rows = Counter((row["account"], row["message_id"]) for row in remains.turns if row["kind"] == "message")
        commands = {(row["account"], row["message_id"]) for row in remains.outbox}
        for sender in self._senders:
            for number, message_id in enumerate(sender.sent):
                count, key = rows.pop((sender.account.name, message_id), 0), (sender.account.name, message_id)
                if sender.text(number).startswith("/"):
                    if count or key not in commands:
                        result.failures.append(f"lost: the command {message_id} was accepted and not answered")
                elif count != 1:
                    result.failures.append(f"{'lost' if not count else 'doubled'}: {message_id} is {count} turns")
        result.failures += [f"doubled: {message_id} was never receipted" for _, message_id in rows]
        for row in remains.turns:
            if row["status"] != "done":
                result.failures.append(f"turn {row['turn_id']} ended as {row['status']}: {row['error']}")

    def _look_at_transcripts(self, remains: Remains, result: Outcome) -> None:
        rows = {row["turn_id"]: row for row in remains.turns}
        told: Counter[str] = Counter()
        orders: dict[str, list[int]] = defaultdict(list)
        for session_id, lines in remains.transcripts.items():
            ids = Counter(line["id"] for line in lines)
            result.failures += [
                f"{one} is in the transcript {count} times" for one, count in ids.items() if count > 1
            ]
            replies = Counter(
                line["turnId"]
                for line in lines
                if line.get("role") == "assistant" and line["stopReason"] != "toolCalls"
            )
            for line in lines:
                if line.get("role") != "user":
                    continue
                told.update(line["accepted"])
                if replies[line["turnId"]] != 1:
                    result.failures.append(f"turn {line['turnId']} has {replies[line['turnId']]} replies")
                orders[session_id] += [rows[turn_id]["seq"] for turn_id in line["accepted"]]
                texts = [part["text"].partition(" ")[2] for part in line["content"]]
                numbers = [int(rows[turn_id]["message_id"].rpartition("-")[2]) for turn_id in line["accepted"]]
                if texts != [str(number) for number in numbers]:
                    result.failures.append(f"{line['id']} holds other words than were said")
        for row in remains.turns:
            if row["kind"] == "message" and told[row["turn_id"]] != 1:
                result.failures.append(f"turn {row['turn_id']} was told to the model {told[row['turn_id']]} times")
        result.failures += [f"out of order: session {one}" for one, seqs in orders.items() if seqs != sorted(seqs)]
        for sender in self._senders:
            mine = [
                row["message_id"]
                for row in remains.turns
                if row["kind"] == "message"
                and (row["account"], row["sender_id"]) == (sender.account.name, sender.id)
            ]
            if mine != sorted(mine):
                result.failures.append(f"out of order: what {sender.id} said was accepted otherwise")

    def _look_at_calls(self, remains: Remains, result: Outcome) -> None:
        """What the endpoint saw is in the ledger; what it counted too, as far as anybody heard it."""
        result.calls, result.calls_seen = len(remains.calls), sum(self._fake.counts.values())
        result.calls_guessed = sum(row["status"] == "estimated" for row in remains.calls)
        lines = [line for lines in remains.transcripts.values() for line in lines]
        result.failures += look_at_the_ledger(remains.calls, lines, asked=result.calls_seen)
        counted = sum(self._fake.counted.values(), Usage())
        settled = [row for row in remains.calls if row["status"] == "settled"]
        for name, heard in (("input_tokens", counted.input_tokens), ("output_tokens", counted.output_tokens)):
            told = sum(row[name] for row in settled)
            if told > heard:
                result.failures.append(f"{name}: {told} are settled, and the endpoint counted {heard}")
        for row in settled:
            cost = row["input_tokens"] * 1_234_500 + row["output_tokens"] * 6_789_000
            if abs(row["nano_usd"] * 1000 - cost) > 500 or row["unpriced"]:
                result.failures.append(f"{row['call_id']} costs {row['nano_usd']}, not {cost / 1000}")

    def _look_at_sends(self, remains: Remains, result: Outcome) -> None:
        copies = Counter(body["deliveryId"] for _, body in self._heard)
        made = {row["delivery_id"]: row["seq"] for row in remains.outbox}
        for delivery_id in made:
            if not copies[delivery_id]:
                result.failures.append(f"lost: the reply {delivery_id} was never heard")
        result.failures += [f"{one} was heard and is not in the outbox" for one in copies.keys() - made.keys()]
        result.extra_sends = sum(count - 1 for count in copies.values())
        # One copy more for each chat in which a send was under way when the process was killed.
        first: set[str] = set()
        extra_in: Counter[tuple[int, str]] = Counter()
        order: dict[str, list[int]] = defaultdict(list)
        for life, body in self._heard:
            chat = body["to"]["senderId"]
            if body["deliveryId"] in first:
                extra_in[life, chat] += 1
            else:
                first.add(body["deliveryId"])
                order[chat].append(made.get(body["deliveryId"], 0))
        result.failures += [
            f"{count} extra sends to {chat} after one kill" for (_, chat), count in extra_in.items() if count > 1
        ]
        result.failures += [
            f"{count} extra sends to {chat} after an orderly stop"
            for (life, chat), count in extra_in.items()
            if life - 1 in self._stopped
        ]
        per_life = Counter[int]()
        for (life, _), count in extra_in.items():
            per_life[life] += count
        result.most_extra_sends_per_kill = max(per_life.values(), default=0)
        result.failures += [
            f"out of order: replies to {chat}" for chat, seqs in order.items() if seqs != sorted(seqs)
        ]
