"""How much of a prompt is the one before it, word for word: what a provider's prompt cache can read again."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from urllib.request import Request, urlopen

import msgspec

from benchmarks import homes
from benchmarks.completions import FORMATS
from benchmarks.endpoint import BYTES_A_TOKEN, Counts
from benchmarks.figures import Figure, Goal
from benchmarks.homes import People
from benchmarks.load import WORDS
from benchmarks.measures import Bench

_PREFIX = Goal(95, at_least=True)


def prompt_prefix(bench: Bench) -> Iterator[Figure]:
    """One conversation with tools: what of a prompt the next one begins with, and what of it the ledger tells."""
    turns = bench.sizes.talk_turns
    people = {
        form: People(f"talker-{form}", 1, f"{form}/cached:{form}+tool:time", tokens=True) for form in FORMATS
    }
    with bench.home(*people.values()) as (home, _), bench.gateway(home) as gateway:
        tokens = homes.tokens_of(home)
        used: dict[str, int] = {}
        for form, person in people.items():
            token = tokens[person.ids[0]]
            for number in range(turns):
                _ask(f"{gateway.url}/v1/chat/completions", token, f"Question {number}: {WORDS}")
            rows = _get(f"{gateway.url}/api/usage?by=agent", token)["items"]
            used[form] = sum(row["cachedTokens"] for row in rows)
    with urlopen(f"{bench.endpoint}/counts") as answer:
        talks = msgspec.json.decode(answer.read(), type=Counts).talks
    for form, told in FORMATS.items():
        steps = talks[form]
        condition = f"{turns} turns of 2 requests with a tool call between, 20-token replies, {told}"
        between = [100 * step.shared / step.earlier for step in steps if step.new_turn]
        within = [100 * step.shared / step.earlier for step in steps if not step.new_turn]
        yield Figure(
            name="prompt's bytes that the next turn's begins with, least",
            condition=condition,
            unit="%",
            value=min(between),
            goal=_PREFIX,
            first=True,
        )
        yield Figure(
            name="prompt's bytes that the next step's begins with, least",
            condition=condition,
            unit="%",
            value=min(within),
            goal=_PREFIX,
        )
        cached = sum(step.shared // BYTES_A_TOKEN for step in steps)
        yield Figure(
            name="cached tokens in the ledger, of those the endpoint reported",
            condition=condition,
            unit="%",
            value=100 * used[form] / cached,
            goal=Goal(100, at_least=True),
            first=True,
        )


def _ask(url: str, token: str, text: str) -> None:
    body = {"model": "rookery", "user": "talk", "messages": [{"role": "user", "content": text}]}
    _sent(Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"}), token)


def _get(url: str, token: str) -> Mapping[str, list[dict[str, int]]]:
    return json.loads(_sent(Request(url), token))


def _sent(request: Request, token: str) -> bytes:
    request.add_header("Authorization", f"Bearer {token}")
    with urlopen(request) as answer:
        return answer.read()
