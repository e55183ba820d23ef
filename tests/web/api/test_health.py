"""Metrics, and when the interface is made."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

from tests.web.api.conftest import People, Person, check_problem

STARTED = """
import sys
import rookery.web.serve
late = ("fastapi", "starlette", "pydantic_ai", "prometheus_client", "multipart", "openai", "alembic", "argon2")
late += ("genai_prices", "rookery.web.doors", "rookery.gateway.operations.table")
print(sorted(name for name in late if name in sys.modules))
"""


async def test_starting_imports_nothing_of_it():
    """A gateway is ready before FastAPI, the doors and the operations are imported; who asks before that waits."""
    done = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", STARTED], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


async def test_early_requests_wait_for_it(people: People):
    """Many at once, the first ones there ever were, are all answered."""
    replies = await asyncio.gather(*(people.alice.get("/api/me") for _ in range(10)))
    assert {reply.status for reply in replies} == {200}


async def test_metrics_count_and_name_nobody(people: People):
    """Messages, turns and failures, without a person in a label."""
    await people.alice.says("main", "hello")
    await people.site.uses("bob", "401")
    await people.bob.says("main", "hello")
    await people.nobody.post("/api/login", {"username": "alice", "password": "wrong password"})
    text = (await people.nobody.get("/metrics")).body.decode()
    for line in (
        'rookery_messages_accepted_total{channel="webchat"} 2.0',
        'rookery_turns_total{status="done"} 1.0',
        'rookery_turns_total{status="failed"} 1.0',
        'rookery_model_errors_total{kind="wrong_key"} 1.0',
        'rookery_logins_total{outcome="failed"} 1.0',
        "rookery_turns_running 0.0",
        "rookery_sockets 0.0",
        "rookery_turn_run_seconds_count 2.0",
        'rookery_model_calls_total{outcome="ok",provider="local"} 1.0',
        'rookery_model_calls_total{outcome="wrong_key",provider="local"} 1.0',
        'rookery_model_tokens_total{direction="input",provider="local"} 10.0',
        'rookery_model_tokens_total{direction="cached",provider="local"} 0.0',
        'rookery_model_tokens_total{direction="output",provider="local"} 2.0',
        "rookery_model_wait_seconds_count 2.0",
        "rookery_model_first_token_seconds_count 1.0",
        "rookery_model_tokens_per_second_count 0.0",
        "rookery_model_calls_running 0.0",
        "rookery_model_calls_waiting 0.0",
        'rookery_endpoints_cooling{kind="wrong_key",provider="local"} 1.0',
    ):
        assert line in text.splitlines(), line
    assert "alice" not in text
    assert "bob" not in text


async def test_every_metric_is_in_the_operator_s_page(people: People):
    """By its name."""
    text = (await people.nobody.get("/metrics")).body.decode()
    page = (Path(__file__).parents[3] / "docs" / "operator.md").read_text()
    names = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")}
    assert len(names) > 15
    assert [name for name in names if f"`{name}`" not in page and f"`{name}_total`" not in page] == []


async def test_metrics_are_for_this_machine_and_admins(people: People):
    """Through a proxy on this machine somebody else asks; a token is asked whose it is."""
    forwarded = {"X-Forwarded-For": "203.0.113.9"}
    check_problem(await people.nobody.ask("GET", "/metrics", headers=forwarded), 401, "unauthorized")
    check_problem(await people.alice.get("/metrics"), 403, "refused")
    check_problem(await Person(people.site, "rk_wrong").get("/metrics"), 401, "unauthorized")
    assert (await people.carol.get("/metrics")).status == 200
