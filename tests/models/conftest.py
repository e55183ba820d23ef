"""A real endpoint on the loopback, the real way out, and the client between them."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest

from rookery.models.anthropic import AnthropicModel
from rookery.models.openai import OpenAIModel
from rookery.outbound.client import Outbound
from tests.models.prompts import NOON
from tests.support.fake_anthropic import FakeAnthropic
from tests.support.fake_openai import FakeOpenAI


@pytest.fixture
async def fake() -> AsyncGenerator[FakeOpenAI, None]:
    fake = FakeOpenAI()
    await fake.start()
    yield fake
    await fake.stop()


@pytest.fixture
async def claude() -> AsyncGenerator[FakeAnthropic, None]:
    claude = FakeAnthropic()
    await claude.start()
    yield claude
    await claude.stop()


@pytest.fixture
async def outbound() -> AsyncGenerator[Outbound, None]:
    outbound = Outbound()
    yield outbound
    await outbound.close()


@pytest.fixture
async def openai(fake: FakeOpenAI, outbound: Outbound) -> OpenAIModel:
    return OpenAIModel(outbound, fake.base_url, name="house", now=lambda: NOON)


@pytest.fixture
async def anthropic(claude: FakeAnthropic, outbound: Outbound) -> AnthropicModel:
    return AnthropicModel(outbound, claude.base_url, name="house", now=lambda: NOON)
