"""Secrets come from standard input or a prompt, never from an argument, which others on this machine can read."""

from __future__ import annotations

import sys

import typer

from rookery.errors import InvalidInput


def read_secret(what: str, *, twice: bool = False) -> str:
    """One secret: asked for on a terminal, where it is not shown (`twice`, so that it is not mistyped), and else
    the first line of what is piped in. Raises `InvalidInput` when there is none."""
    if sys.stdin.isatty():
        asked: str = typer.prompt(what, hide_input=True, confirmation_prompt=twice, err=True)
        return asked
    try:
        line = sys.stdin.readline()
    except UnicodeDecodeError:
        raise InvalidInput("What was piped in is not UTF-8.") from None
    secret = line.removesuffix("\n").removesuffix("\r")
    if not secret:
        raise InvalidInput(f"There is nothing on standard input; pipe in: {what.lower()}.")
    return secret
