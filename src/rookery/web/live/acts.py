"""What a client may do over its socket: the same operations as through REST, at the same desk."""

from __future__ import annotations

from dataclasses import replace

from rookery.errors import InvalidInput
from rookery.gateway.callers import Caller
from rookery.gateway.operations import Desk, turns
from rookery.gateway.shapes import MessageSend, SessionRef
from rookery.web.front import Front
from rookery.web.live.frames import Message, Stop

LONGEST_KEY = 200


async def say(front: Front, caller: Caller, asked: Message) -> str:
    """Hand in a message; the id of its turn. Raises what the operation does, and `InvalidInput` for its key."""
    key = asked.idempotency_key
    if not 1 <= len(key) <= LONGEST_KEY or not key.isprintable():
        raise InvalidInput(f"idempotencyKey is one line of 1 to {LONGEST_KEY} characters.")
    ask = MessageSend(session=asked.session_key, text=asked.text, attachments=asked.attachments)
    desk = replace(_desk(front, caller), once=turns.once(caller.user.id, key, ask))
    return (await turns.send(desk, ask)).turn_id


async def stop(front: Front, caller: Caller, asked: Stop) -> None:
    """Stop what is being answered in a session. Raises what the operation does."""
    await turns.stop(_desk(front, caller), SessionRef(session=asked.session_key))


def _desk(front: Front, caller: Caller) -> Desk:
    return front.desk.of(caller.actor, "websocket", by_token=caller.by_token)
