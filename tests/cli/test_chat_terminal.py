"""`rookery chat` as somebody at a terminal sees it."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import time
from pathlib import Path


class AtTerminal:
    """One command on a terminal of its own; use as a context manager."""

    def __init__(self, *arguments: str) -> None:
        self._ours, theirs = pty.openpty()
        environ = {**os.environ, "TERM": "xterm"}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "rookery", *arguments],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=environ,
            start_new_session=True,
        )
        os.close(theirs)
        self.seen = ""

    def __enter__(self) -> AtTerminal:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._ours)

    def sees(self, words: str) -> str:
        """Wait until these words appear; returns what appeared up to them."""
        deadline = time.monotonic() + 30
        while words not in self.seen:
            assert time.monotonic() < deadline, f"{words!r} did not appear after: {self.seen!r}"
            if select.select([self._ours], [], [], 0.2)[0]:
                self.seen += os.read(self._ours, 4096).decode()
        before, _, self.seen = self.seen.partition(words)
        return before + words

    def types(self, text: str) -> None:
        """Press these keys."""
        os.write(self._ours, text.encode())

    def ends(self) -> int:
        """Wait for the end; returns the status."""
        return self._process.wait(timeout=30)


def test_a_newcomers_first_conversation(tmp_path: Path) -> None:
    """Without a home and without people: asked for an id, then answered line by line, until Ctrl-D."""
    with AtTerminal("chat", "--home", str(tmp_path / "home")) as me:
        me.sees("Your id: ")
        me.types("alice\n")
        me.sees("alice> ")
        me.types("my locker code is 4711\n")
        me.sees("Noted: your locker code is 4711.")
        me.sees("alice> ")
        me.types("what is my locker code?\n")
        answer = me.sees("alice> ")
        assert answer.count("Rookery: Your locker code is 4711.") == 1
        me.types("please use the time tool\n")
        me.sees("(time …)")
        me.sees("The time tool says:")
        me.sees("alice> ")
        me.types("\x04")
        assert me.ends() == 0
