"""Mistakes in joining and leaving addresses, and in by which kinds of channel somebody may come in."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime, timedelta
from typing import Any
from unittest.mock import patch

from sqlalchemy import Connection, update

from rookery.gateway import inbound, linking, note_rights, rights, tables
from rookery.gateway.linking import Link, State
from rookery.gateway.outbox import Outbox
from rookery.messages import Route
from rookery.policy import Decision
from tests.isolation.mistakes import Mistake


def _still_sent_to_what_was_unlinked() -> AbstractContextManager[object]:
    refusal = vars(Outbox)["_refusal"]

    async def only_notes(outbox: Outbox, delivery: Any) -> str | None:
        return await refusal(outbox, delivery) if delivery.agent_id == "system" else None

    return patch.object(Outbox, "_refusal", only_notes)


def _code_usable_twice() -> AbstractContextManager[object]:
    claim = linking.claim

    def again(connection: Connection, code: str, route: Route, now: datetime) -> Link | None:
        typed = tables.link_codes.c
        taken = (State.CLAIMED.value, State.AGREED.value)
        connection.execute(update(tables.link_codes).where(typed.state.in_(taken)).values(state=State.OPEN.value))
        return claim(connection, code, route, now)

    return patch.object(linking, "claim", again)


def _joined_without_the_second_yes() -> AbstractContextManager[object]:
    agree = linking.agree

    def at_once(connection: Connection, link: Link, now: datetime) -> Link:
        agreed = agree(connection, link, now)
        linking.join(connection, agreed, now)
        return linking.again(connection, agreed)

    return patch.object(linking, "agree", at_once)


def _joined_without_the_first_yes() -> AbstractContextManager[object]:
    of_user = linking.of_user

    def agreed(connection: Connection, *asked: Any, **how: Any) -> Link | None:
        found = of_user(connection, *asked, **how)
        if found is not None and found.state is State.CLAIMED:
            return linking.agree(connection, found, found.made_at)
        return found

    return patch.object(linking, "of_user", agreed)


@contextmanager
def _permission_asked_at_accept_only() -> Generator[None]:
    take_in, let_in = inbound.take_in, rights.let_in
    accepting: list[bool] = []

    def noting(*given: Any) -> object:
        accepting.append(True)
        try:
            return take_in(*given)
        finally:
            accepting.pop()

    def then(*given: Any) -> Decision:
        return let_in(*given) if accepting else Decision(True, "")

    with patch.object(inbound, "take_in", noting), patch.object(rights, "let_in", then):
        yield


def _codes_never_run_out() -> AbstractContextManager[object]:
    return patch.object(linking, "CODE_LIFE", timedelta(days=1))


def _both_may_answer_for_ever() -> AbstractContextManager[object]:
    return patch.object(linking, "ANSWER_LIFE", timedelta(days=1))


def _guesses_are_not_counted() -> AbstractContextManager[object]:
    return patch.object(linking, "too_many", return_value=Decision(True, ""))


def _a_later_code_leaves_the_earlier() -> AbstractContextManager[object]:
    begin = linking.begin

    def leaving(*given: Any) -> object:
        with patch.object(linking, "of_user", return_value=None):
            return begin(*given)

    return patch.object(linking, "begin", leaving)


def _notes_go_whatever_became_of_it() -> AbstractContextManager[object]:
    return patch.object(note_rights, "may_go", return_value=Decision(True, ""))


MISTAKES = (
    Mistake("an unlinked address is still sent what waits", _still_sent_to_what_was_unlinked),
    Mistake("a link code is usable twice", _code_usable_twice, 7),
    Mistake("an address is joined without the second yes", _joined_without_the_second_yes, 6),
    Mistake("an address is joined without the first yes", _joined_without_the_first_yes, 6),
    Mistake("permissions are asked at accept only", _permission_asked_at_accept_only, 3),
    Mistake("link codes never run out", _codes_never_run_out, 10),
    Mistake("both sides may answer for ever", _both_may_answer_for_ever, 48),
    Mistake("wrong link codes are not counted", _guesses_are_not_counted, 1),
    Mistake("a later link code leaves the earlier", _a_later_code_leaves_the_earlier, 9),
    Mistake("notes go whatever became of what they are about", _notes_go_whatever_became_of_it),
)
