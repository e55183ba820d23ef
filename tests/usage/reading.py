"""What must hold of the ledger once everything has come to rest, whatever happened before."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

Row = Mapping[str, Any]


def look_at_the_ledger(rows: Iterable[Row], lines: Iterable[Mapping[str, Any]], *, asked: int) -> list[str]:
    """What is wrong with the rows; nothing, when every call is in them and what ended is exact.

    `lines` are the entries of the transcripts, as JSON has them, `asked` is how many calls the models saw.
    """
    rows = list(rows)
    wrong = [f"the call {row['call_id']} is still {row['status']}" for row in rows if row["status"] == "projected"]
    made = [row for row in rows if (row["status"], row["error"]) != ("failed", "cancelled")]
    if len(made) < asked:
        wrong.append(f"{asked} calls were made, {len(made)} are in the ledger")
    by_entry: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        by_entry[row["entry_id"]].append(row)
        wrong += _look_at(row)
    for line in lines:
        used = line.get("usage")
        if used is not None and not any(_same(row, used) for row in by_entry[line["id"]]):
            wrong.append(f"{line['id']} used {used}, and no call says so")
    return wrong


def _look_at(row: Row) -> list[str]:
    owner = row["principal"].removeprefix("user:")
    wrong: list[str] = []
    if row["user_id"] != owner or row["agent_id"].partition("--")[0] != owner:
        wrong.append(f"LEAK: {row['user_id']} pays for what {row['principal']} asked {row['agent_id']}")
    if not row["entry_id"].startswith(row["turn_id"]):
        wrong.append(f"the call {row['call_id']} is for an entry of another turn")
    if row["status"] == "failed" and (row["input_tokens"] or row["nano_usd"]):
        wrong.append(f"the call {row['call_id']} failed before anything was heard, and costs something")
    if row["error"] == "unseen" and row["nano_usd"] != row["projected_nano_usd"]:
        wrong.append(f"nobody saw the end of {row['call_id']}, and it is not what was projected")
    return wrong


def _same(row: Row, used: Mapping[str, Any]) -> bool:
    """Whether a row says what an answer says that it used."""
    return row["error"] is None and (
        row["input_tokens"],
        row["output_tokens"],
        row["cached_tokens"],
        row["nano_usd"],
        bool(row["unpriced"]),
    ) == (
        used.get("inputTokens", 0),
        used.get("outputTokens", 0),
        used.get("cachedTokens", 0),
        used.get("costNanoUsd", 0),
        used.get("unpriced", False),
    )
