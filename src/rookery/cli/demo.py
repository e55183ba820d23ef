"""`rookery demo`: two people, one gateway, side by side; one tries to get at the other's secret and cannot."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from rookery.cli.show import console, say

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from rookery.cli.inside import Inside
    from rookery.gateway.home import Home

_WIDE = 100


@dataclass(frozen=True, slots=True)
class Person:
    """One of the two, with what only they may hear."""

    id: str
    name: str
    secret: str


ALICE = Person("alice", "Alice", "marzipan-4711")
BOB = Person("bob", "Bob", "walrus-0815")


@dataclass(frozen=True, slots=True)
class Heard:
    """One thing said, and what came back; `way` names an unusual way in."""

    person: Person
    said: str
    answer: str
    way: str = ""


def demo() -> None:
    """See isolation work: two people, nothing to set up.

    Runs the offline model in a temporary home, needs nothing and keeps nothing.
    """
    from rookery.cli.inside import inside
    from rookery.gateway.home import Home

    say("Alice and Bob share one gateway. Each has an agent of their own, with a memory of its own.")
    with tempfile.TemporaryDirectory(prefix="rookery-demo-") as directory:
        home = Home(Path(directory) / "home")
        heard: list[Heard] = []
        with inside(home, answering=True) as house:
            for title, row in _scenes(house):
                heard += row
                _show(title, row)
        problems = [*leaks_in(heard), *leaks_under(home)]
    say("\nWas anything of the one anywhere at the other's?")
    for problem in problems:
        say(f"  LEAKED  {problem}")
    if problems:
        raise typer.Exit(1)
    say(f"  No. Of {len(heard)} answers none held the other's secret,")
    say("  no file of either brain does, and the log holds neither.")
    say("\nNow for yourself:")
    say("  rookery user add you        add a person; add more, each gets an agent of their own")
    say("  rookery chat --user you     talk to your agent")
    say("  rookery up                  run the gateway, so that networks can reach it")
    say("  rookery config show         what can be set, such as a real model")


def _scenes(house: Inside) -> Generator[tuple[str, list[Heard]]]:
    """What is played, scene by scene: each a title and what was said and answered in it."""
    from rookery.gateway.shapes import Session, SessionList, User, UserAdd

    wire = house.connect()
    for person in (ALICE, BOB):
        wire.call("user.add", UserAdd(id=person.id, name=person.name), User)
    alice, bob = _Voice(house, ALICE), _Voice(house, BOB)

    yield (
        "Both say who they are, and tell a secret.",
        [
            alice.says(f"My name is Alice. My secret word is {ALICE.secret}."),
            bob.says(f"My name is Bob. My secret word is {BOB.secret}."),
        ],
    )
    for question in ("What do you know about me?", "What is my secret word?"):
        yield "Both ask the same.", [alice.says(question), bob.says(question)]
    yield (
        "Bob asks for hers.",
        [bob.says(question) for question in ("What is Alice's secret word?", "What do you know about Alice?")],
    )
    yield "Bob looks around with commands.", [bob.says("/whoami"), bob.says("/status")]
    sessions = wire.call("session.list", SessionList(agent_id=ALICE.id), list[Session])
    hers = sessions[0]
    asked = "What is my secret word?"
    yield (
        "Bob asks in her conversation, and asks her agent.",
        [
            bob.tries(asked, way=f"chat --session {hers.session_key}", session=hers.session_key),
            bob.tries(asked, way="chat --session <her session's id>", session=hers.session_id),
            bob.tries(asked, way=f"chat --agent {ALICE.id}", agent_id=ALICE.id),
        ],
    )
    yield "Each still has what is theirs.", [alice.says(asked), bob.says(asked)]


class _Voice:
    """One person at a terminal of theirs."""

    def __init__(self, house: Inside, person: Person) -> None:
        self._house = house
        self._person = person

    def says(self, text: str) -> Heard:
        return Heard(self._person, text, self._say(text, None, None))

    def tries(self, text: str, *, way: str, session: str | None = None, agent_id: str | None = None) -> Heard:
        return Heard(self._person, text, self._say(text, session, agent_id), way)

    def _say(self, text: str, session: str | None, agent_id: str | None) -> str:
        from rookery.cli.screen import Recorder
        from rookery.cli.talk import Talk
        from rookery.cli.wire import Failed
        from rookery.gateway.shapes import Attach

        recorder = Recorder()
        talk = Talk(self._house.connect(), recorder)
        try:
            talk.attach(Attach(user_id=self._person.id, agent_id=agent_id, session=session))
            ended = talk.exchange(text, alone=True)
        except Failed as error:
            return f"Refused: {error.detail}"
        finally:
            talk.close()
        return recorder.said or f"Refused: {ended.detail}"


def leaks_in(heard: Sequence[Heard]) -> list[str]:
    """What either was told that only the other may hear; also if one was not told their own."""
    found = [
        f"{one.person.name} was told {other.name}'s secret on {one.said!r}"
        for one in heard
        for other in (ALICE, BOB)
        if other is not one.person and other.secret in one.answer
    ]
    found += [
        f"{person.name} could not get at their own secret, so nothing was shown"
        for person in (ALICE, BOB)
        if not any(one.person is person and person.secret in one.answer for one in heard)
    ]
    return found


def leaks_under(home: Home) -> list[str]:
    """Files of one person's brain that hold the other's secret, and logs that hold any."""
    found: list[str] = []
    for person, other in ((ALICE, BOB), (BOB, ALICE)):
        brain = home.agents / person.id
        found += [f"{other.name}'s secret is in {path}" for path in _holding(brain, other.secret)]
        found += [f"{person.name}'s secret is in {path}" for path in _holding(home.logs, person.secret)]
        if not _holding(brain, person.secret):
            found.append(f"{person.name}'s secret is not in their own brain, so the search shows nothing")
    return found


def _holding(directory: Path, secret: str) -> list[Path]:
    wanted = secret.encode()
    return [path for path in sorted(directory.rglob("*")) if path.is_file() and wanted in path.read_bytes()]


def _show(title: str, row: Sequence[Heard]) -> None:
    from rich.text import Text

    say("")
    screen = console(width=_width())
    screen.print(Text(title, style="bold"))
    if _width() >= _WIDE:
        _side_by_side(screen, row)
        return
    for one in row:
        screen.print(_exchange(one))


def _side_by_side(screen: Console, row: Sequence[Heard]) -> None:
    from rich.table import Table

    table = Table.grid(padding=(0, 2), expand=True)
    table.add_column(ratio=1)
    table.add_column(ratio=1)
    lefts = [one for one in row if one.person is ALICE]
    rights = [one for one in row if one.person is BOB]
    for number in range(max(len(lefts), len(rights))):
        table.add_row(*(_exchange(side[number]) if number < len(side) else "" for side in (lefts, rights)))
    screen.print(table)


def _exchange(one: Heard) -> RenderableType:
    from rich.console import Group
    from rich.padding import Padding
    from rich.text import Text

    way = f" ({one.way})" if one.way else ""
    said = Text()
    said.append(f"{one.person.name}{way}: ", style="cyan" if one.person is ALICE else "magenta")
    said.append(one.said)
    answer = Text("→ ", style="dim")
    answer.append("\n".join(line for line in one.answer.splitlines() if line.strip()), style="not dim")
    return Group(said, Padding(answer, (0, 0, 0, 4)))


def _width() -> int:
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else 80
