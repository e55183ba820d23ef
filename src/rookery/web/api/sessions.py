"""A person's sessions: the shelf, what was said, and what is said next."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import replace
from http import HTTPStatus
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import quote

import msgspec
from fastapi import Depends, Path, Query
from starlette.responses import Response

from rookery.gateway.idempotency import Repeated
from rookery.gateway.operations import approvals, sessions, shelf, turns
from rookery.gateway.shapes import (
    ApprovalAnswer,
    ApprovalAnswered,
    ApprovalWord,
    Entries,
    EntriesAsk,
    MessageSend,
    Moment,
    Running,
    Session,
    SessionChange,
    SessionExport,
    SessionOpen,
    SessionOpened,
    SessionPage,
    SessionQuery,
    SessionRef,
    SessionRemove,
    Stopped,
    Turn,
    TurnNamed,
)
from rookery.ids import SessionId, TurnId, UserId
from rookery.web import markdown
from rookery.web.api.answers import Turned, answer, nothing
from rookery.web.api.asking import Asked, Asking, Sent
from rookery.web.api.routes import Media, Routes
from rookery.web.entry import unauthorized
from rookery.web.live.door import LiveDoor

routes = Routes("Sessions")

_T = TypeVar("_T")
_Limit = Annotated[int, Query(ge=1, le=shelf.LONGEST_PAGE)]
_Cursor = Annotated[str | None, Query(max_length=300)]
_Filter = Annotated[str | None, Query(max_length=200)]


@routes.route("POST", "/api/sessions/create", {201: Session, 200: Session}, once=True)
async def create_session(
    asked: Asked, sent: Annotated[SessionOpen, Depends(Sent(SessionOpen, optional=True))]
) -> Response:
    """Begin a session, or (200) be given the one that lives where it would be."""
    try:
        opened = await sessions.create(asked.once(sent), sent)
    except Repeated as repeated:
        again = await sessions.get(asked.desk, SessionRef(session=repeated.object_id))
        opened = SessionOpened(session=again, new=True)
    return answer(opened.session, HTTPStatus.CREATED if opened.new else HTTPStatus.OK)


@routes.route("GET", "/api/sessions", {200: SessionPage})
async def list_sessions(
    asked: Asked,
    status: Literal["active", "pinned", "archived", "deleted", "all"] = "active",
    tag: _Filter = None,
    channel: _Filter = None,
    agent_id: Annotated[str | None, Query(alias="agentId", max_length=200)] = None,
    limit: _Limit = 50,
    cursor: _Cursor = None,
) -> Response:
    """One's own sessions, latest first; `active` has the pinned ones too."""
    ask = SessionQuery(status=status, tag=tag, channel=channel, agent_id=agent_id, limit=limit, cursor=cursor)
    return answer(await shelf.page(asked.desk, ask))


@routes.route("GET", "/api/sessions/archived", {200: SessionPage})
async def list_archived_sessions(asked: Asked, limit: _Limit = 50, cursor: _Cursor = None) -> Response:
    """One's own archived sessions, latest first."""
    ask = SessionQuery(status="archived", limit=limit, cursor=cursor)
    return answer(await shelf.page(asked.desk, ask))


@routes.route("GET", "/api/sessions/{key}", {200: Session})
async def get_session(asked: Asked, key: str) -> Response:
    """One session, by its key (the live session there) or its `sessionId`."""
    return answer(await sessions.get(asked.desk, SessionRef(session=key)))


@routes.route("PATCH", "/api/sessions/{key}", {200: Session})
async def change_session(
    asked: Asked, key: str, sent: Annotated[SessionChange, Depends(Sent(SessionChange, given={"session": "key"}))]
) -> Response:
    """Change what a session is called; null takes a title, label or tags away."""
    del key
    return answer(await sessions.change(asked.desk, sent))


@routes.route("DELETE", "/api/sessions/{key}", {204: None})
async def delete_session(asked: Asked, key: str, purge: bool = False) -> Response:
    """Put a session in the bin; with `purge` delete every word of it.

    What is being answered there is stopped first.
    """
    await sessions.remove(asked.desk, SessionRemove(session=key, purge=purge))
    return nothing()


@routes.route("GET", "/api/sessions/{key}/entries", {200: Entries})
async def get_entries(
    asked: Asked,
    key: str,
    before: _Cursor = None,
    limit: _Limit = 50,
    render: Literal["html"] | None = None,
) -> Response:
    """Entries of a session in their order, the last ones or those before `before`, and what goes on there.

    All of it is of one moment: a client that follows the WebSocket from `seq` on misses nothing and sees nothing
    twice. With `render=html` what the model wrote comes as safe HTML too, as `html` of its entry.
    """
    live: LiveDoor = asked.request.state.live
    if render is not None:
        await live.warm()

    def look(user_id: UserId, session_id: SessionId) -> Moment:
        now = live.snapshot(user_id, session_id, rich=render is not None)
        on = now.running
        running = (
            None
            if on is None
            else Running(
                turn_id=on.turn_id,
                turn_ids=on.turn_ids,
                step=on.step,
                text=on.text,
                blocks=on.blocks,
                queue_position=on.position,
                approval=turns.waits_for(asked.desk, TurnId(on.turn_id)),
            )
        )
        return Moment(epoch=now.epoch, seq=now.seq, running=running)

    found = await sessions.entries(asked.desk, EntriesAsk(session=key, before=before, limit=limit), look)
    if render is not None:
        items = await asyncio.to_thread(lambda: tuple(_rendered(item) for item in found.items))
        found = msgspec.structs.replace(found, items=items)
    return answer(found)


@routes.route(
    "GET",
    "/api/sessions/{key}/export",
    {200: Media("application/x-ndjson", "text/markdown")},
)
async def export_session(asked: Asked, key: str, format: Literal["jsonl", "markdown"] = "jsonl") -> Response:
    """A whole session as a file: the transcript as JSON lines, or as Markdown for people (`text/markdown`)."""
    made = await sessions.exported(asked.desk, SessionExport(session=key, format=format))
    return Response(made.data, media_type=made.content_type, headers=download(made.name))


@routes.route("POST", "/api/sessions/{key}/messages", {202: Turn, 200: Turn}, once=True)
async def send_message(
    asked: Asked, key: str, sent: Annotated[MessageSend, Depends(Sent(MessageSend, given={"session": "key"}))]
) -> Response:
    """Say something in a session: 202 once it is kept.

    With `wait`, or for a chat command, 200 with the finished turn; 202 when it is not finished by then. A place of
    one's own agent in which nothing lives opens a session.
    """
    del key
    desk = asked.desk
    if (chosen := asked.key) is not None:
        desk = replace(desk, once=turns.once(asked.caller.user.id, chosen, sent))
    turn = await _while_let_in(asked, turns.send(desk, sent))
    return answer(turn, HTTPStatus.ACCEPTED if turn.finished_at is None else HTTPStatus.OK)


@routes.route("POST", "/api/sessions/{key}/stop", {200: Stopped})
async def stop_session(asked: Asked, key: str) -> Response:
    """Stop what is being answered in a session, and what waits there."""
    return answer(await turns.stop(asked.desk, SessionRef(session=key)))


@routes.route("GET", "/api/turns/{id}", {200: Turn})
async def get_turn(asked: Asked, id: str) -> Response:
    """How one turn stands, and its reply once there is one."""
    return answer(await turns.state(asked.desk, TurnNamed(turn_id=id)))


@routes.route("POST", "/api/turns/{id}/approvals/{n}", {200: ApprovalAnswered})
async def answer_approval(
    asked: Asked,
    id: str,
    n: Annotated[int, Path(ge=1, le=2**31 - 1)],
    sent: Annotated[ApprovalWord, Depends(Sent(ApprovalWord))],
) -> Response:
    """Allow a call that waits for one's yes, or not. It holds for exactly that call, once; the same answer again
    changes nothing, another one is 409."""
    return answer(await approvals.answer(asked.desk, ApprovalAnswer(turn_id=id, n=n, allow=sent.allow)))


def download(name: str) -> dict[str, str]:
    """The headers of a file that is kept and never shown: whatever it holds, no page of ours runs it."""
    plain = "".join(char if char.isascii() and char.isprintable() and char not in '"\\%' else "_" for char in name)
    return {
        "content-disposition": f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}",
        "content-security-policy": "default-src 'none'; sandbox",
        "x-content-type-options": "nosniff",
        "cache-control": "no-store",
    }


async def _while_let_in(asked: Asking, work: Awaitable[_T]) -> _T:
    """Do something that may take a while; who loses their right to be here meanwhile hears no end of it."""
    user, credential = asked.caller.user.id, asked.caller.credential.id
    doing = asyncio.ensure_future(work)
    revoked = False

    def hear(user_id: UserId, credential_id: str | None) -> None:
        nonlocal revoked
        if user_id == user and credential_id in (None, credential):
            revoked = True
            doing.cancel()

    with asked.front.gateway.revocations.listen(hear):
        try:
            return await doing
        except asyncio.CancelledError:
            if not revoked:
                raise
            raise Turned(unauthorized("You may not come in any more.")) from None
        finally:
            doing.cancel()


def _rendered(item: dict[str, Any]) -> dict[str, Any]:
    if item.get("type") != "message" or item.get("role") != "assistant":
        return item
    texts = [part["text"] for part in item.get("content", ()) if part.get("type") == "text"]
    return {**item, "html": markdown.render("\n\n".join(texts))} if texts else item
