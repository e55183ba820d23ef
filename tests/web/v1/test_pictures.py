"""Pictures that come within a request: shown to a model that can look, kept as long as the session is."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import openai
import pytest

from rookery.ids import AgentId
from rookery.messages.transcript import ImagePart
from tests.web.v1.conftest import V1House, assistant, served, user

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
)
OTHER = PNG + b"another"


@pytest.fixture
async def house(tmp_path: Path) -> AsyncGenerator[V1House]:
    """A house whose model can look."""
    async with V1House(tmp_path / "home", vision=True) as house:
        await house.person("alice")
        async with served(house):
            yield house


def shows(data: bytes, *texts: str, kind: str = "image/png") -> Any:
    """A user's message with a picture."""
    url = f"data:{kind};base64,{base64.b64encode(data).decode()}"
    parts: list[Any] = [{"type": "text", "text": text} for text in texts]
    return {"role": "user", "content": [*parts, {"type": "image_url", "image_url": {"url": url, "detail": "low"}}]}


async def kept(house: V1House) -> int:
    """How many bytes the agent's store holds."""
    async with house.gateway.brains.use(AgentId("alice")) as brain:
        return await brain.attachments.size()


async def test_a_session_keeps_its_pictures(house: V1House) -> None:
    """The model is shown it now and with the next question, which need not bring it again."""
    async with await house.openai("alice") as alice:
        for said in (shows(PNG, "what is this?"), user("and now?")):
            await alice.chat.completions.create(model="rookery", messages=[said], user="album")

    assert [list(request.images.values()) for request in house.model.requests] == [[PNG], [PNG]]
    assert await kept(house) == len(PNG)


async def test_a_nameless_request_leaves_none(house: V1House) -> None:
    """Each picture of its messages is in its place, and nothing is left of any."""
    messages = [shows(PNG), assistant("A dot."), shows(OTHER, "and this?")]
    async with await house.openai("alice") as alice:
        await alice.chat.completions.create(model="rookery", messages=messages)

    [request] = house.model.requests
    shown = [any(isinstance(part, ImagePart) for part in message.entry.content) for message in request.history]
    assert shown == [True, False, True]
    assert sorted(request.images.values(), key=len) == [PNG, OTHER]
    async with asyncio.timeout(10):
        while await kept(house):  # they are taken out once the answer is
            await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("data", "kind", "code"), [(b"<svg/>", "image/svg+xml", None), (b"hello", "image/png", None)]
)
async def test_what_is_no_picture(house: V1House, data: bytes, kind: str, code: str | None) -> None:
    """It goes by the content; nothing of it is kept, and nothing asked."""
    async with await house.openai("alice") as alice:
        with pytest.raises(openai.BadRequestError) as refused:
            await alice.chat.completions.create(model="rookery", messages=[shows(data, "?", kind=kind)], user="x")

    assert (refused.value.code, refused.value.param) == (code, "messages[0].content[1].image_url.url")
    assert await kept(house) == 0
    assert await house.rows("turns") == []
