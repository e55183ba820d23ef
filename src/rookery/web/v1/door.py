"""`/v1`: who asks, what for, and the answer, whole or while it is written."""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from datetime import datetime
from http import HTTPStatus
from typing import Any

import msgspec

from rookery import ids
from rookery.channels.contract import HttpReply, Outcome
from rookery.errors import NotFound, RookeryError
from rookery.gateway.callers import Caller
from rookery.gateway.inbound import Wish
from rookery.gateway.turns import Status
from rookery.gateway.watchers import TurnFinished
from rookery.ids import TurnId
from rookery.messages import Attachment, Chat, ChatKind, InboundMessage
from rookery.web.asgi import Head, Receive, Scope, Send, read_body
from rookery.web.front import Front
from rookery.web.v1 import answers, asked, names, problems
from rookery.web.v1.album import Album
from rookery.web.v1.answers import Answer, send_problem, send_whole
from rookery.web.v1.asked import Asked
from rookery.web.v1.line import Line
from rookery.web.v1.names import Destination
from rookery.web.v1.problems import Problem, Unanswerable

CHANNEL, ACCOUNT = "api", "default"

MAX_BODY = 32 << 20
"""The largest request that is read, in bytes; pictures come within it."""

LARGE = 1 << 20
"""From how many bytes on a request is read in a thread."""

SILENCE = 15.0
"""Seconds after which an answer that is not there yet shows that somebody is still at it."""

GOODBYE = 2.0
"""Seconds that a client whose right ended has to take what was sent to it; then it is cut off."""

_COMPLETIONS = "/v1/chat/completions"
_MODELS = "/v1/models"

_encode = msgspec.json.encode


class V1Door:
    """The OpenAI-compatible interface; `silence` in seconds."""

    def __init__(self, front: Front, *, silence: float = SILENCE) -> None:
        self._front = front
        self._silence = silence

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        head = Head.of(scope)
        unread = head.headers.get("content-length", "0") != "0" or "transfer-encoding" in head.headers

        async def body() -> MutableMapping[str, Any]:
            nonlocal unread
            message = await receive()
            unread = message.get("more_body", False)
            return message

        # A body that nobody read is not waited for: it may have no end.
        try:
            if head.path == _COMPLETIONS:
                _only(head, "POST")
                await self._complete(scope, head, body, send)
            elif head.path == _MODELS or head.path.startswith(f"{_MODELS}/"):
                _only(head, "GET")
                await send_whole(send, await self._models(scope, head))
            else:
                message = f"There is nothing at {head.method} {head.path}."
                raise Unanswerable(Problem(HTTPStatus.NOT_FOUND, message, code="unknown_url"))
        except Unanswerable as error:
            await send_problem(send, error.problem, hang_up=unread)
        except RookeryError as error:
            problem = problems.from_error(error)
            if problem is None:
                raise
            await send_problem(send, problem, hang_up=unread)

    async def _caller(self, scope: Scope, head: Head) -> Caller:
        caller = await self._front.entry.caller(scope, head)
        if isinstance(caller, HttpReply):
            raise Unanswerable(problems.from_reply(caller))
        return caller

    async def _models(self, scope: Scope, head: Head) -> bytes:
        caller = await self._caller(scope, head)
        desk = self._front.desk.of(caller.actor, "v1")
        found = await self._front.gateway.database.read(
            lambda connection: names.models_of(connection, desk, caller.user)
        )
        if head.path == _MODELS:
            return _encode({"object": "list", "data": [answers.model(*each) for each in found.items()]})
        name = head.path.removeprefix(f"{_MODELS}/")
        agent = found.get(names.MAIN if name == names.with_id(caller.user.main_agent) else name)
        if agent is None:
            raise problems.no_model(name)
        return _encode(answers.model(name, agent))

    # --- one question and its answer -------------------------------------------------------------------------

    async def _complete(self, scope: Scope, head: Head, receive: Receive, send: Send) -> None:
        with Line(self._front.gateway) as line:
            caller = await self._caller(scope, head)
            line.belongs_to(caller)
            body = await read_body(receive, head.headers.get("content-length"), MAX_BODY)
            if isinstance(body, HttpReply):
                raise Unanswerable(problems.from_reply(body))
            name = head.headers.get("x-rookery-session-key")
            # Reading a large one takes long enough for others to notice.
            question = (
                asked.read(body, name) if len(body) < LARGE else await asyncio.to_thread(asked.read, body, name)
            )
            line.watch(receive)
            to = await self._destination(caller, question)
            desk = self._front.desk.of(caller.actor, "v1")
            async with Album(desk, to.agent_id, kept=question.session is not None) as album:
                question, attachments = await album.put(question)
                if line.revoked:
                    raise Unanswerable(problems.revoked())
                now = self._front.now()
                turn_id = await self._ask(line, caller, question, to, attachments, now)
                answer = Answer(turn_id, now, question.model)
                if line.answer is not None:
                    line.finished = TurnFinished(turn_id, (turn_id,), Status.DONE.value, line.answer)
                if question.stream:
                    await _Stream(line, question, answer, send, self._silence).send()
                else:
                    await self._send_whole(line, question, answer, send)

    async def _ask(
        self,
        line: Line,
        caller: Caller,
        question: Asked,
        to: Destination,
        attachments: tuple[Attachment, ...],
        now: datetime,
    ) -> TurnId:
        """Have the question accepted; its turn, or the answer if it was a command, is on the line then."""
        gateway, user = self._front.gateway, caller.user
        message = InboundMessage(
            channel=CHANNEL,
            account=ACCOUNT,
            message_id=ids.fresh(now),
            sender_id=user.id,
            chat=Chat(ChatKind.DM, user.id),
            text=question.text,
            sender_name=user.name,
            attachments=attachments,
        )
        wish = Wish(to.agent_id, to.session, place=to.place, attended=True, aside=question.aside)
        try:
            receipt = await gateway.receive(message, wish, queued=line.queued, answered=line.answered)
        except NotFound:
            raise problems.no_session(question.session or "") from None
        if receipt.outcome is not Outcome.ACCEPTED or receipt.turn_id is None:
            reason = receipt.reason or "This message was not let in."
            raise Unanswerable(Problem(HTTPStatus.FORBIDDEN, reason, "permission_error", "refused"))
        return TurnId(receipt.turn_id)

    async def _destination(self, caller: Caller, question: Asked) -> Destination:
        known = names.needs_no_look(caller.user, question.model, question.session)
        if known is not None:
            return known
        desk, user = self._front.desk.of(caller.actor, "v1"), caller.user
        return await self._front.gateway.database.read(
            lambda connection: names.destination(connection, desk, user, question.model, question.session)
        )

    async def _send_whole(self, line: Line, question: Asked, answer: Answer, send: Send) -> None:
        while not line.over:
            await line.news()
        if line.gone:
            return
        problem = _problem(line, question)
        if problem is not None:
            await send_problem(send, problem)
            return
        assert line.finished is not None, "it ended, and nothing is wrong"
        whole = answer.whole(line.last_words(), line.finished.stop_reason, line.finished.usage)
        await send_whole(send, whole, headers={"x-request-id": answer.turn_id})


class _Stream:
    """One answer, sent while it is written. Its head goes out with its first words, so that a question that
    cannot be answered is told so by the status."""

    def __init__(self, line: Line, question: Asked, answer: Answer, send: Send, silence: float) -> None:
        self._line = line
        self._question = question
        self._turn_id = answer.turn_id
        self._chunks = answer.chunks(with_usage=question.include_usage)
        self._send = send
        self._silence = silence
        self._begun = False
        self._spoken = False

    async def send(self) -> None:
        """Write, and wait while the client is slow, as long as it may be here."""
        async with self._line.while_it_lasts(GOODBYE):
            await self._send_all()

    async def _send_all(self) -> None:
        line = self._line
        while not line.over:
            if not await line.news(self._silence):
                await self._write(answers.KEEP_ALIVE)
            elif not line.over and (words := line.fresh_words()):
                await self._write(self._words(words))
        if not line.gone:
            await self._end()

    async def _end(self) -> None:
        line = self._line
        problem = _problem(line, self._question)
        if problem is None:
            assert line.finished is not None, "it ended, and nothing is wrong"
            end = self._chunks.end(line.finished.stop_reason, line.finished.usage)
            await self._write(self._words(line.last_words()) + end, more=False)
        elif self._begun:
            words = b"" if line.revoked else self._words(line.fresh_words())
            await self._write(words + answers.error_event(problem), more=False)
        else:
            await send_problem(self._send, problem)

    def _words(self, text: str) -> bytes:
        role = b"" if self._spoken else self._chunks.role()
        self._spoken = True
        return role + self._chunks.words(text) if text else role

    async def _write(self, data: bytes, *, more: bool = True) -> None:
        if not self._begun:
            self._begun = True
            await answers.send_head(self._send, self._turn_id)
        await self._send({"type": "http.response.body", "body": data, "more_body": more})


def _problem(line: Line, question: Asked) -> Problem | None:
    """What is to be said instead of an answer; None when there is one."""
    if line.revoked:
        return problems.revoked()
    assert line.finished is not None, "asked when it has ended"
    if line.finished.status != Status.FAILED.value:
        return None
    problem = problems.from_turn(line.finished.error, line.finished.text)
    # With a name, the question stands in the session; a client that sent it again would ask twice.
    return problem if question.session is None else problem.not_again()


def _only(head: Head, method: str) -> None:
    if head.method != method:
        message = f"Only {method} is possible here."
        raise Unanswerable(
            Problem(HTTPStatus.METHOD_NOT_ALLOWED, message, code="method", headers={"allow": method})
        )
