"""The OpenAPI document, and thousands of requests that are made up from it: none breaks the server."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis import checks as plain_checks
from schemathesis.specs.openapi import checks

from tests.web.api.conftest import People, Person

CASES = 2_000
"""How many requests are made in all, half of them by a member and half by an admin."""

_checks: Any = checks
_plain_checks: Any = plain_checks
CHECKS: tuple[Any, ...] = (
    _plain_checks.not_a_server_error,
    _checks.status_code_conformance,
    _checks.content_type_conformance,
    _checks.response_schema_conformance,
)

NOT_ASKED = frozenset({"/api/ws"})
"""What is no HTTP request; it has a fuzzer of its own."""


async def test_the_document_covers_every_route(people: People):
    """Each path that is answered is in it, each operation says what it answers, and each refusal is a Problem."""
    document = (await people.nobody.get("/openapi.json")).json
    paths = document["paths"]
    assert {"/healthz", "/readyz", "/openapi.json", "/metrics", "/api/ws", "/v1/chat/completions"} <= paths.keys()
    assert "/api/channels/webhook/{account}" in paths
    for path, operation in _operations(document):
        assert operation["summary"], path
        assert "default" in operation["responses"], path
        assert "422" not in operation["responses"], path
        if path.startswith("/api/") and not path.startswith(("/api/login", "/api/setup", "/api/channels")):
            assert operation["security"], path
    names = [operation.get("operationId") for _, operation in _operations(document)]
    assert len({name for name in names if name}) == sum(bool(name) for name in names)


async def test_every_reference_leads_somewhere(people: People):
    """A client can be generated from the document alone."""
    document = (await people.nobody.get("/openapi.json")).json
    known = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    assert set(_references(document)) <= known
    for name, schema in document["components"]["schemas"].items():
        assert all("_" not in key for key in schema.get("properties", {})), name


async def test_every_operation_asks_who_is_there(people: People):
    """Without a token, all but the doors themselves answer 401, whatever else is wrong with the request."""
    document = (await people.nobody.get("/openapi.json")).json
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if not path.startswith("/api/") or "security" not in operation or path in NOT_ASKED:
                continue
            reply = await people.nobody.ask(method.upper(), path.replace("{", "").replace("}", ""))
            assert reply.status == 401, (method, path, reply.status)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("who", ["alice", "carol"])
async def test_requests_made_up_from_the_document_break_nothing(shared: People, who: str):
    """Right ones, wrong ones, and ones about things that are there: every answer is one that was promised."""
    person: Person = getattr(shared, who)
    document = (await person.get("/openapi.json")).json
    for path in NOT_ASKED:
        del document["paths"][path]
    there = await _things(person)
    run = _Run(shared.site.base, {"Authorization": f"Bearer {person.token}"}, there)
    await asyncio.to_thread(run.all, document, CASES // 2)
    print(f"{who}: {run.cases} cases, statuses {dict(sorted(run.statuses.items()))}")
    assert run.cases >= CASES // 2
    assert not run.broken, "\n".join(run.broken)
    assert (await shared.carol.get("/api/me")).status == 200


@dataclass
class _Run:
    """Sends made-up requests and keeps what came of them."""

    base: str
    headers: dict[str, str]
    there: dict[str, list[str]]
    cases: int = 0
    statuses: Counter[int] = field(default_factory=Counter[int])
    broken: list[str] = field(default_factory=list[str])

    def all(self, document: dict[str, Any], cases: int) -> None:
        schema: Any = schemathesis.openapi.from_dict(document)
        operations = [found.ok() for found in schema.get_all_operations()]
        each = -(-cases // (2 * len(operations)))
        for operation in operations:
            for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
                before = self.cases
                while self.cases < before + each:
                    self._some(operation, mode, before + each - self.cases)

    def _some(self, operation: Any, mode: GenerationMode, count: int) -> None:
        cases = operation.as_strategy(generation_mode=mode)
        names = {name: st.sampled_from([None, *values]) for name, values in self.there.items()}
        started = self.cases

        @settings(
            max_examples=count,
            derandomize=True,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
        )
        @given(cases, st.fixed_dictionaries(names))
        def ask(case: Any, real: dict[str, str | None]) -> None:
            self._ask(case, real)

        try:
            ask()
        except Unsatisfiable:
            assert mode is GenerationMode.NEGATIVE, "a right request can always be made up"
        if self.cases == started:  # nothing can be wrong with a request for this
            self._some(operation, GenerationMode.POSITIVE, count)

    def _ask(self, case: Any, real: dict[str, str | None]) -> None:
        parameters: dict[str, str] = case.path_parameters or {}
        for name in parameters:
            if (value := real.get(name)) is not None:
                parameters[name] = value
        self.cases += 1
        response = case.call(base_url=self.base, headers=self.headers, timeout=30)
        self.statuses[response.status_code] += 1
        try:
            case.validate_response(response, checks=CHECKS)
        except BaseExceptionGroup as failures:
            self.broken.append(f"{case.method} {case.formatted_path}: {[str(one) for one in failures.exceptions]}")
        except AssertionError as failure:
            self.broken.append(f"{case.method} {case.formatted_path}: {failure}")


async def _things(person: Person) -> dict[str, list[str]]:
    """Names of what is there, by the path parameters that take them."""
    session = (await person.opens(title="there"))["sessionId"]
    turn = await person.says(session, "hello")
    other = (await person.post("/api/tokens", {"name": "other"})).json["id"]
    return {
        "key": [session, "main", turn["sessionKey"]],
        "id": [turn["turnId"], other, "alice", "desk"],
        "account": ["default"],
    }


def _operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for operation in methods.values():
            yield path, operation


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        for name, value in cast("dict[str, Any]", node).items():
            if name == "$ref":
                yield value
            yield from _references(value)
    elif isinstance(node, list):
        for value in cast("list[Any]", node):
            yield from _references(value)
