"""Fifty people with keys of their own: the endpoint sees the right one on every request, and nobody sees any."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncGenerator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from random import Random

import aiohttp
import pytest

from rookery.cli import main
from rookery.cli.reach import reach
from rookery.gateway.shapes import (
    AgentKey,
    AgentNamed,
    KeyGrant,
    KeyList,
    Keys,
    KeySet,
    KeyShare,
    SharedKey,
    TokenMade,
    TokenNew,
)
from tests.durability.process import GatewayProcess
from tests.isolation import canaries
from tests.isolation.fifty_keys import Fifty, a_house_of, found_in_files, found_in_rows, prove
from tests.isolation.mistakes_keys import MISTAKES
from tests.isolation.trials import in_memory
from tests.support.databases import fresh_database
from tests.support.fake_openai import FakeOpenAI
from tests.support.postgres import Postgres


@asynccontextmanager
async def _a_house(count: int, kind: str) -> AsyncGenerator[tuple[Fifty, Path, Postgres | None]]:
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=in_memory())))
        postgres = stack.enter_context(fresh_database()) if kind == "postgresql" else None
        async with a_house_of(count, home, postgres) as fifty:
            yield fifty, home, postgres


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_fifty_people_each_with_their_own_keys(kind: str) -> None:
    """At once, with the first key refused, revoked in the middle, and after a crash: 0 wrong keys, 0 of 125 found.

    Nothing hides them here but that they are never written: the log's own cleaning is switched off.
    """
    async with _a_house(50, kind) as (fifty, home, postgres):
        assert await prove(fifty) == []
        assert len(fifty.made) == 125
        await fifty.house.close()
        assert found_in_files(home) == {}
        assert postgres is None or await found_in_rows(postgres) == {}
        await fifty.house.open()  # for the end of the block


@pytest.mark.parametrize("mistake", MISTAKES)
async def test_a_seeded_mistake_with_keys_is_caught(mistake: str) -> None:
    """The proof that is silent about our gateway is not silent about one that makes this mistake."""
    with MISTAKES[mistake]():
        async with _a_house(4, "sqlite") as (fifty, _, _):
            assert await prove(fifty) != []


async def test_fifty_secrets_are_nowhere(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A real process, with errors that say the key, `kill -9`, and a copy of its home: 0 of 50 keys in files,
    pages of databases, logs, transcripts, answers of any door, `config show`, the process list and environment."""
    endpoint = FakeOpenAI(keep=10_000)
    await endpoint.start()
    rng = Random(50)
    people = {f"p{number}": canaries.fresh(rng) for number in range(40)}
    shared = {f"s{number}": canaries.fresh(rng) for number in range(10)}
    process = GatewayProcess(tmp_path / "home")
    await process.prepare({person: [] for person in (*people, *(f"g{number}" for number in range(10)))})
    process.configure(
        [], callback="http://127.0.0.1:9", endpoint=endpoint.base_url, model="instant", queue="collect"
    )
    told: list[str] = []
    async with aiohttp.ClientSession() as session:
        await process.ready(session)
        tokens = await asyncio.to_thread(_hand_out, process, people, shared)
        for number, key in enumerate((*people.values(), *shared.values())):
            if number % 2:
                endpoint.refuse(key, (400, 401, 402, 429, 500)[number % 5])

        async def everybody_asks() -> None:
            told.extend(await asyncio.gather(*(_ask(session, process, token) for token in tokens.values())))

        await everybody_asks()
        seen = {request.key for request in endpoint.requests}
        assert seen == {*people.values(), *shared.values()}, "every key was used"
        proc = Path(f"/proc/{process.pid}")
        told += [(proc / name).read_bytes().decode(errors="replace") for name in ("cmdline", "environ")]
        told += [await asyncio.to_thread(_listed, process)]
        for path in ("/api/agents/p1/keys", "/api/usage", "/api/sessions", "/openapi.json", "/api/me"):
            headers = {"Authorization": f"Bearer {tokens['p1']}"}
            async with session.get(f"{process.url}{path}", headers=headers) as answer:
                told.append(await answer.text())
        await process.kill()
        await process.ready(session)
        await everybody_asks()
        await process.kill()
    await endpoint.stop()
    with pytest.raises(SystemExit):
        main(["--home", str(process.home.path), "config", "show"])
    told.append(capsys.readouterr().out)
    copy = tmp_path / "copy"
    shutil.copytree(
        process.home.path, copy, ignore=lambda _, names: [one for one in names if one.endswith(".sock")]
    )
    assert [words[:300] for words in told if canaries.found_in(words)] == []
    assert found_in_files(copy) == {}
    assert (copy / "master.key").is_file()


def _hand_out(process: GatewayProcess, people: dict[str, str], shared: dict[str, str]) -> dict[str, str]:
    """Give everybody a key, their own or a shared one, and a token; over the home's socket."""
    tokens: dict[str, str] = {}
    with reach(process.home) as wire:
        for person, key in people.items():
            wire.call("key.set", KeySet(agent_id=person, provider="local", key=key), AgentKey)
        for number, (name, key) in enumerate(shared.items()):
            wire.call("key.share", KeyShare(name=name, provider="local", key=key), SharedKey)
            wire.call("key.grant", KeyGrant(agent_id=f"g{number}", shared_key=name), dict[str, str])
        for person in (*people, *(f"g{number}" for number in range(len(shared)))):
            tokens[person] = wire.call("token.create", TokenNew(user_id=person), TokenMade).token
    return tokens


def _listed(process: GatewayProcess) -> str:
    with reach(process.home) as wire:
        whole = wire.call("key.list", KeyList(), Keys)
        one = wire.call("key.list", KeyList(agent_id="p1"), Keys)
        checked = wire.call("check.models", None, list[dict[str, str]])
        brain = wire.call("check.brain", AgentNamed(agent_id="p1"), list[dict[str, str]])
    assert len(whole.agents) == 40
    return f"{whole} {one} {checked} {brain}"


async def _ask(session: aiohttp.ClientSession, process: GatewayProcess, token: str) -> str:
    """One question over `/v1`; everything that comes back, also of a refusal."""
    body = {"model": "rookery", "messages": [{"role": "user", "content": "hello"}]}
    async with session.post(
        f"{process.url}/v1/chat/completions", json=body, headers={"Authorization": f"Bearer {token}"}
    ) as answer:
        return f"{answer.status} {dict(answer.headers)} {await answer.text()}"
