"""What a chat shows: the answer as it is written, once and whole, and what comes in between."""

from __future__ import annotations

import sys

from rookery.cli.show import note, printable
from rookery.gateway.positions import in_words


class Screen:
    """Standard output for replies, standard error for everything else.

    On a terminal replies are shown as they are written, cleared of what could steer it; elsewhere each reply is
    written whole when it is there, as it is. `name` is put before a reply, None for nothing.
    """

    def __init__(self, *, name: str | None = None, terminal: bool | None = None) -> None:
        self.name = name
        self.terminal = sys.stdout.isatty() if terminal is None else terminal
        self._streamed = ""
        self._begun = False
        self._place: int | None = None

    def speaks(self, name: str) -> None:
        """Whose words come next."""
        if self.name is not None and not self._begun:
            self.name = printable(name)

    def delta(self, text: str) -> None:
        """Some more of the reply."""
        if self.terminal and text:
            self._write(text)
            self._streamed += text

    def in_line(self, position: int | None) -> None:
        """The answer waits for a free model, at this place in line; None once it waits no more.

        Said as the wait begins, and again when it has become half as long.
        """
        if not self.terminal or (position is not None and self._place is not None and 2 * position > self._place):
            return
        self._place = position
        if position is not None:
            self._leave_off()
            note(f"(waiting for a free model, {in_words(position)})")

    def step(self, tool: str) -> None:
        """The model calls a tool; what it said until here is not the reply."""
        if not self.terminal:
            return
        self._leave_off()
        note(f"({printable(tool)} …)")

    def reply(self, text: str) -> None:
        """The whole reply: what was not streamed of it is shown now."""
        streamed = self._streamed
        if text.startswith(streamed):
            self._write(text[len(streamed) :])
        elif text.strip() != streamed.strip():
            self._write(f"\n{text}")
        self._end()

    def broken_off(self, why: str) -> None:
        """The reply ends here, for this reason."""
        self._leave_off()
        note(f"({why})")

    def asked(self, question: str) -> bool | None:
        """Show a question and read yes or no; None where nobody can be asked here. Raises `KeyboardInterrupt`."""
        self.aside(question)
        if not self.terminal or not sys.stdin.isatty():
            return None
        try:
            said = input("Allow it? [y/N] ")
        except EOFError:
            note("")
            return False
        return said.strip().lower() in ("y", "yes")

    def aside(self, text: str) -> None:
        """Something else than the reply, in the middle of it."""
        self._leave_off()
        sys.stdout.flush()
        note(printable(text, lines=True))

    def earlier(self, text: str) -> None:
        """A reply to something that was not said here just now."""
        if self.terminal:
            if self._begun:
                sys.stdout.write("\n")  # in the middle of another reply, which goes on below
            sys.stdout.write(f"[A reply to an earlier message]\n{printable(text, lines=True)}\n\n")
            sys.stdout.flush()
        else:
            note(f"[A reply to an earlier message]\n{text}\n")

    def _write(self, text: str) -> None:
        if not self._begun and self.name is not None and text:
            sys.stdout.write(f"{self.name}: ")
        self._begun = self._begun or bool(text)
        sys.stdout.write(printable(text, lines=True) if self.terminal else text)
        sys.stdout.flush()

    def _leave_off(self) -> None:
        """What comes next is another text, on a line of its own."""
        if self._streamed:
            sys.stdout.write("\n")
        self._streamed, self._begun = "", False

    def _end(self) -> None:
        if self._begun:
            sys.stdout.write("\n")
            sys.stdout.flush()
        self._streamed, self._begun = "", False


class Recorder(Screen):
    """Shows nothing and keeps the last reply, for `demo` and for tests."""

    def __init__(self) -> None:
        super().__init__(terminal=False)
        self.said = ""
        self.heard_earlier: list[str] = []

    def reply(self, text: str) -> None:
        self.said = text

    def broken_off(self, why: str) -> None:
        self.said = why

    def earlier(self, text: str) -> None:
        self.heard_earlier.append(text)

    def aside(self, text: str) -> None:
        self.heard_earlier.append(text)
