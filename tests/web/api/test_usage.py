"""What was used and cost, as members, admins and files have it."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime

import pytest

from tests.web.api.conftest import People, check_problem

TOKENS = ("inputTokens", "outputTokens")


async def test_a_member_sees_what_they_pay_for(people: People):
    """Their own calls by every key, whether they name themselves or not; an admin sees everybody's."""
    turn = await people.alice.says("main", "hello")
    await people.bob.says("main", "hello")
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    for by, key in (
        ("user", "alice"),
        ("agent", "alice"),
        ("day", today),
        ("session", turn["sessionId"]),
        ("purpose", "chat"),
    ):
        [row] = (await people.alice.get(f"/api/usage?by={by}")).json["items"]
        assert (row["key"], row["calls"]) == (key, 1)
        assert [row[name] for name in TOKENS] == [turn["usage"][name] for name in TOKENS]
    own = await people.alice.get("/api/usage?by=session&user=alice")
    assert own.json == (await people.alice.get("/api/usage?by=session")).json
    everybody = (await people.carol.get("/api/usage?by=user")).json["items"]
    assert {row["key"] for row in everybody} == {"alice", "bob"}
    alices = (await people.carol.get("/api/usage?by=user&user=alice")).json["items"]
    assert [row["key"] for row in alices] == ["alice"]
    check_problem(await people.alice.get("/api/usage?user=bob"), 404, "not_found")
    check_problem(await people.alice.get("/api/usage?user=eve"), 404, "not_found")
    check_problem(await people.nobody.get("/api/usage"), 401, "unauthorized")


async def test_a_sponsor_pays_for_what_others_ask(shared: People):
    """It is on their bill, by ids alone; who asked sees in the turn what it was made of."""
    session = (await shared.bob.opens(agentId="desk", title="secret plans"))["sessionId"]
    turn = await shared.bob.says(session, "hello")
    [row] = (await shared.alice.get("/api/usage?by=session")).json["items"]
    assert (row["key"], row["calls"]) == (session, 1)
    assert "secret" not in (await shared.alice.get("/api/usage?by=session")).body.decode()
    assert (await shared.bob.get("/api/usage")).json["items"] == []
    [call] = turn["calls"]
    assert (call["status"], call["error"], call["purpose"]) == ("settled", None, "chat")
    assert [call[name] for name in TOKENS] == [turn["usage"][name] for name in TOKENS]


async def test_a_span_is_days_or_moments(people: People):
    """`until` takes its day in; whose days are meant can be said."""
    await people.alice.says("main", "hello")
    today = f"{datetime.now(UTC):%Y-%m-%d}"

    async def calls(query: str) -> int:
        return sum(row["calls"] for row in (await people.alice.get(f"/api/usage?{query}")).json["items"])

    assert await calls(f"since={today}&until={today}&timezone=UTC") == 1
    assert await calls("since=2999-01-01") == 0
    assert await calls("until=2000-01-01") == 0
    assert await calls("since=2000-01-01T00:00:00Z&until=2999-01-01T00:00:00%2B02:00") == 1


@pytest.mark.parametrize(
    "query",
    [
        "by=colour",
        "since=yesterday",
        "since=2026-13-01",
        "since=2026-03-01T10:00:00",
        "until=9999-12-31",
        "since=2026-03-02&until=2026-03-01",
        "timezone=Atlantis/Capital",
        "format=xml",
        "since=",
    ],
)
async def test_what_is_no_question_is_refused(people: People, query: str):
    """Each with what is wrong with it."""
    check_problem(await people.alice.get(f"/api/usage?{query}"), 400, "invalid")


async def test_a_file_for_a_spreadsheet_runs_nothing(people: People):
    """The same rows as CSV; a name that would be a formula is text there."""
    await people.alice.says("main", "hello")
    reply = await people.alice.get("/api/usage?by=user&format=csv")
    assert reply.headers["content-type"].startswith("text/csv")
    assert "usage-by-user.csv" in reply.headers["content-disposition"]
    [row] = csv.DictReader(io.StringIO(reply.body.decode()))
    [same] = (await people.alice.get("/api/usage?by=user")).json["items"]
    assert (row["key"], row["calls"], row["inputTokens"]) == ("alice", "1", str(same["inputTokens"]))


async def test_a_session_and_a_turn_say_what_they_cost(people: People):
    """Nothing is known of an endpoint without a price; the demo is free."""
    turn = await people.alice.says("main", "hello")
    session = (await people.alice.get(f"/api/sessions/{turn['sessionId']}")).json
    assert session["costUsd"] == turn["usage"]["costUsd"] == turn["calls"][0]["costUsd"]
    assert (session["inputTokens"], session["outputTokens"]) == tuple(turn["usage"][name] for name in TOKENS)
