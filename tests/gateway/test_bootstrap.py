"""What an agent is told about itself: its own files, in order, the same bytes until one is changed."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rookery.agents import bootstrap
from rookery.ids import AgentId, UserId
from rookery.messages import Chat, ChatKind
from rookery.users import spaces
from tests.support.house import TestHouse


async def put(house: TestHouse, agent: str, **files: bytes) -> None:
    async with house.gateway.brains.use(AgentId(agent)) as brain:
        for name, data in files.items():
            await brain.workspace.write(f"{name}.md", data)


async def instructions(house: TestHouse, sender: str, text: str) -> str:
    """What the model is told when this is said."""
    await house.telegram.says(sender, text)
    await house.idle()
    return house.model.requests[-1].instructions


async def test_the_files_are_told_in_order_under_their_names(house: TestHouse) -> None:
    """Behind who the agent is; what is missing or empty is left out, and so is every other file."""
    await house.person("alice", telegram="1")
    await put(house, "alice", identity=b"You are Sabrina.", AGENTS=b"Be brief.\n", USER=b" \n", notes=b"hidden")
    told = await instructions(house, "1", "hello")
    assert told.index("# AGENTS.md: how you work\n\nBe brief.") < told.index("# identity.md")
    assert told.endswith("You are Sabrina.")
    assert told.startswith("You are ")
    for absent in ("USER.md", "SOUL.md", "hidden"):
        assert absent not in told


async def test_the_prefix_is_the_same_until_a_file_changes(house: TestHouse) -> None:
    """From turn to turn, and after a restart; a change counts from the next message on."""
    await house.person("alice", telegram="1")
    await put(house, "alice", SOUL=b"calm")
    first = await instructions(house, "1", "one")
    assert await instructions(house, "1", "two") == first
    await house.restart()
    assert await instructions(house, "1", "three") == first
    await put(house, "alice", SOUL=b"wild")
    assert await instructions(house, "1", "four") == first.replace("calm", "wild")
    async with house.gateway.brains.use(AgentId("alice")) as brain:
        await brain.workspace.remove("SOUL.md")
    assert "SOUL.md" not in await instructions(house, "1", "five")


async def test_a_group_loads_no_member_s_file(house: TestHouse) -> None:
    """A group has files of its own, and each person theirs."""
    await house.person("alice", telegram="1")
    await house.person("bob", telegram="2")
    group = Chat(ChatKind.GROUP, "-100")
    space = await house.database.write(
        lambda c: spaces.admit(
            c, "telegram", None, group, sponsor=UserId("alice"), by="operator", now=house.clock.now()
        )
    )
    for agent in ("alice", "bob", space.agent_id):
        await put(house, agent, USER=f"file of {agent}".encode(), AGENTS=f"work of {agent}".encode())
    for sender, chat, whose in (("1", group, space.agent_id), ("1", None, "alice"), ("2", None, "bob")):
        if chat is None:
            told = await instructions(house, sender, "hello")
        else:
            await house.telegram.says(sender, "hello", chat=chat)
            await house.idle()
            told = house.model.requests[-1].instructions
        assert {agent for agent in ("alice", "bob", space.agent_id) if f"file of {agent}" in told} == {whose}


async def test_a_link_in_place_of_a_file_is_left_out(tmp_path: Path) -> None:
    """And the person is answered all the same."""
    async with TestHouse(tmp_path / "home") as house:
        await house.person("alice", telegram="1")
        (tmp_path / "secret").write_text("canary")
        root = tmp_path / "home/agents/alice/workspace"
        root.mkdir(parents=True)
        (root / "AGENTS.md").symlink_to(tmp_path / "secret")
        (root / "SOUL.md").write_text("calm")
        told = await instructions(house, "1", "hello")
        assert "canary" not in told
        assert "calm" in told
        (root / "SOUL.md").unlink()
        (root / "AGENTS.md").unlink()
        root.rmdir()
        root.symlink_to(tmp_path)
        assert "canary" not in await instructions(house, "1", "again")
        assert len(house.telegram.heard_by("1")) == 2


@pytest.mark.parametrize("data", ["x" * 30_000, "é" * 30_000, "🦆" * 30_000, "🦆" * 20_000 + "x"])
def test_a_long_file_is_cut_and_says_so(data: str) -> None:
    """Its first 20,000 characters are told, however many bytes they are."""
    told = bootstrap.told({"AGENTS.md": data.encode()[: bootstrap.BYTES]})
    assert data[:20_000] in told
    assert data[:20_001] not in told
    assert told.endswith("[AGENTS.md goes on; its first 20,000 characters stand here.]")
    assert "goes on" not in bootstrap.told({"AGENTS.md": ("🦆" * 20_000).encode()[: bootstrap.BYTES]})


@given(data=st.binary(max_size=200))
def test_any_bytes_can_be_told(data: bytes) -> None:
    """What is no text is replaced, and nothing in it is what a provider cannot take."""
    told = bootstrap.told({"SOUL.md": data})
    told.encode()
    assert "\0" not in told
    assert (told == "") is (data.decode("utf-8-sig", "replace").replace("\0", "\ufffd").strip() == "")
