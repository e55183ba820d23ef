"""`rookery chat`: talk to one's agent from the terminal."""

from __future__ import annotations

import shlex
import sys
import time
from typing import TYPE_CHECKING, Annotated

import typer

from rookery.cli.options import HomeOption, home_at
from rookery.cli.reach import is_home, reach
from rookery.cli.show import note, printable
from rookery.errors import InvalidInput, NotFound

if TYPE_CHECKING:
    from rookery.cli.screen import Screen
    from rookery.cli.talk import Ended, Talk
    from rookery.cli.wire import Wire
    from rookery.gateway.home import Home
    from rookery.gateway.shapes import Attach, Attached, Reply

_RECONNECT_SECONDS = 30.0
_STOPPED_BY_HAND = 130


def chat(
    text: Annotated[
        str | None, typer.Argument(metavar="TEXT", help="Say this, print the reply, and end; - reads it.")
    ] = None,
    user_id: Annotated[str | None, typer.Option("--user", metavar="U", help="Who is talking.")] = None,
    agent_id: Annotated[
        str | None, typer.Option("--agent", metavar="A", help="One of their agents, or a shared one.")
    ] = None,
    session: Annotated[
        str | None, typer.Option("--session", metavar="K", help="A session key, its short form, or a sessionId.")
    ] = None,
    home: HomeOption = None,
) -> None:
    """Talk to your agent; without TEXT, line by line.

    Works with and without a running gateway. In a conversation, Ctrl-C stops an answer, Ctrl-D leaves, and
    /help lists the commands.
    """
    from rookery.gateway.shapes import Attach

    at = home_at(home)
    said = _text(text)
    by_hand = said is None
    with reach(at, makes=by_hand or is_home(at), answering=True) as wire:
        user = user_id if user_id is not None else _only_user(wire, may_ask=by_hand)
        ask = Attach(user_id=user, agent_id=agent_id, session=session)
        line = _Line(at, wire, ask, by_hand=by_hand)
        try:
            status = _converse(line) if said is None else _say_once(line, said)
        finally:
            line.close()
    if status:
        raise typer.Exit(status)


def _text(text: str | None) -> str | None:
    """What to say; None to ask for it line by line. Raises `InvalidInput` when there is nothing to say."""
    if text is None and sys.stdin.isatty():
        return None
    said = sys.stdin.read() if text in (None, "-") else text
    assert said is not None, "what was not given was read"
    if not said.strip():
        raise InvalidInput("There is nothing to say: the text is empty.")
    return said


def _only_user(wire: Wire, *, may_ask: bool) -> str:
    from rookery.gateway.shapes import User, UserAdd

    people = wire.call("user.list", None, list[User])
    if len(people) == 1:
        note(f"(as {people[0].id}, the only user)")
        return people[0].id
    if people:
        names = ", ".join(one.id for one in people)
        raise InvalidInput(f"Say who is talking: --user U, where U is one of {names}.")
    if not may_ask:
        raise NotFound("Nobody is known here yet. Add yourself first: rookery user add ID")
    note("Nobody is known here yet. Choose an id for yourself: letters, digits, '-' and '_'.")
    try:
        chosen = input("Your id: ").strip()
    except (EOFError, KeyboardInterrupt):
        chosen = ""
    if not chosen:
        raise NotFound("Nobody was added. Later: rookery user add ID")
    return wire.call("user.add", UserAdd(id=chosen, role="admin"), User).id


class _Line:
    """The conversation over whatever connection there is: one that breaks is made again."""

    def __init__(self, home: Home, wire: Wire, ask: Attach, *, by_hand: bool) -> None:
        from rookery.cli.screen import Screen

        self._home = home
        self._ask = ask
        self.answered_by = _command(home, ask)
        """The command, without its text, by which something is said in the same place."""
        self.screen: Screen = Screen()
        self.talk, self.attached = self._attach(wire)
        if by_hand:
            self.screen.name = printable(self.attached.agent_name)

    def say(self, text: str, *, alone: bool) -> Ended:
        """Say it and show the answer; said again under the same id when the gateway goes away meanwhile."""
        from rookery.cli.talk import fresh_id
        from rookery.cli.wire import BrokenOff

        message_id = fresh_id()
        while True:
            try:
                return self.talk.exchange(text, message_id, alone=alone)
            except BrokenOff:
                self.screen.broken_off("the gateway went away; waiting for it to come back")
                self._again()

    def close(self) -> None:
        self.talk.close()

    def _again(self) -> None:
        from rookery.cli.wire import BrokenOff, connect

        deadline = time.monotonic() + _RECONNECT_SECONDS
        while time.monotonic() < deadline:
            time.sleep(0.2)
            wire = connect(self._home)
            if wire is None:
                continue
            self.talk.close()
            try:
                self.talk, self.attached = self._attach(wire)
            except BrokenOff:
                continue
            return
        raise BrokenOff("The gateway is gone. What it accepted is kept; `rookery up` goes on with it.")

    def _attach(self, wire: Wire) -> tuple[Talk, Attached]:
        from rookery.cli.talk import Talk

        talk = Talk(wire, self.screen)
        return talk, talk.attach(self._ask)


def _command(home: Home, ask: Attach) -> str:
    options = {"--user": ask.user_id, "--agent": ask.agent_id, "--session": ask.session}
    if home.path != home_at(None).path:
        options["--home"] = str(home.path)
    given = (part for option, value in options.items() if value is not None for part in (option, value))
    return shlex.join(["rookery", "chat", *given])


def _say_once(line: _Line, text: str) -> int:
    stopped = False
    try:
        ended = line.say(text, alone=True)
    except KeyboardInterrupt:
        return _STOPPED_BY_HAND
    stopped = ended.status == "cancelled"
    if ended.asks is not None:
        note(f"rookery: {_unanswered(line.answered_by, ended.asks)}")
    elif ended.detail:
        note(f"rookery: {ended.detail}")
    return _STOPPED_BY_HAND if stopped else int(not ended.good)


def _unanswered(command: str, number: int) -> str:
    """What to do about a question that could not be asked here."""
    allow, deny = (
        f"{command} {shlex.quote(f'/{word} {number}')}" if command else f"/{word} {number}"
        for word in ("approve", "deny")
    )
    return (
        "it waits for your yes, which cannot be asked for here, and goes on waiting. "
        f"Answer with {allow} or {deny}; the reply is shown when you next use rookery chat."
    )


def _converse(line: _Line) -> int:
    """Line by line until the end of the input, or a Ctrl-C with nothing to stop."""
    _readline()
    attached = line.attached
    note(
        f"{printable(attached.user_name)}, {printable(attached.agent_name)} is listening. "
        "Ctrl-C stops an answer, Ctrl-D leaves, /help lists the commands.\n"
    )
    prompt = f"{attached.user_id}> "
    while True:
        text = _read(line, prompt)
        if text is None or text.strip() in ("/quit", "/exit"):
            return 0
        if not text.strip():
            continue
        try:
            ended = line.say(text, alone=False)
        except KeyboardInterrupt:
            note("")
            return 0
        if ended.asks is not None:
            line.screen.broken_off(_unanswered("", ended.asks))
        elif ended.detail:
            line.screen.broken_off(ended.detail)
        note("")


def _read(line: _Line, prompt: str) -> str | None:
    """One line typed; None at the end. What comes meanwhile is shown above it."""

    def above(reply: Reply) -> None:
        sys.stdout.write("\r\x1b[K")
        line.screen.earlier(reply.text)
        sys.stdout.write(prompt + _typed())
        sys.stdout.flush()

    line.talk.asides_to(above)
    try:
        return input(prompt)
    except (EOFError, KeyboardInterrupt):
        note("")
        return None
    finally:
        line.talk.asides_to(None)


def _readline() -> None:
    try:
        import readline
    except ImportError:
        return
    readline.set_history_length(1000)


def _typed() -> str:
    module = sys.modules.get("readline")
    return "" if module is None else module.get_line_buffer()
