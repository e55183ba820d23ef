"""How fast the machine is right now: what a fixed piece of Python takes, so that two runs can be compared."""

from __future__ import annotations

import json
from time import process_time

from benchmarks.figures import percentile


def time_of_fixed_work(tries: int = 15) -> float:
    """The median seconds of processor time that the same piece of work takes, on one processor.

    It is of the kind the gateway does: small objects, dictionaries, strings and JSON. Nothing of Rookery's is in
    it, so it changes with the machine and with Python, and with nothing else.
    """
    taken: list[float] = []
    for _ in range(tries):
        began = process_time()
        _work()
        taken.append(process_time() - began)
    return percentile(taken, 50)


def _work() -> int:
    total = 0
    for number in range(2_000):
        entry = {"id": f"entry.{number}", "role": "user", "content": [{"type": "text", "text": "word " * 20}]}
        read = json.loads(json.dumps(entry))
        total += sum(len(part["text"].split()) for part in read["content"])
    return total
