"""Every chat command, by everybody who can type one, wherever they can; and every tool a model calls for them."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import pytest

from rookery.channels.contract import Outcome
from rookery.channels.terminal import typed
from rookery.config.words import GroupPolicy
from rookery.gateway.commands import Name
from rookery.gateway.inbound import NO_WISH, Wish
from rookery.ids import AgentId
from rookery.messages import Chat, ChatKind, InboundMessage, Role, ToolCallPart
from rookery.models.scripted import ScriptedModel, Step
from rookery.policy import Action
from tests.matrix.actors import allowed
from tests.matrix.scene import GROUP, GUEST, GUESTS, HELPDESK, Scene

NOT_FOR_GUESTS = "Guests can use /help, /whoami, /new and /stop."
NONE_TO_CHOOSE = "In a group its own assistant answers; write to me directly to choose among yours."
NOT_HERE = "Your addresses are told to you alone: write to me directly."
IN_THE_GROUP = "/admit lets a group in; type it in that group."
NO_ADMIN = "Only an admin can do that."
ELSEWHERE_REFUSED = frozenset({IN_THE_GROUP, NO_ADMIN, NOT_HERE, NOT_FOR_GUESTS, NONE_TO_CHOOSE})
"""Why a command is refused that the gate itself would allow."""

NOT_IN_A_GROUP = "In a group, only its sponsor or an admin can begin a new conversation."


@dataclass(frozen=True, slots=True)
class Place:
    """Where somebody types: who they are to the gate, and what they write to."""

    actor: str
    of: str
    channel: str
    sender: str
    group: bool = False
    shared: bool = False

    def __str__(self) -> str:
        return f"{self.actor} to {self.of}"


OWN = Place("owner", "own session", "terminal", "alice")
SHARED = Place("owner", "shared session", "terminal", "alice", shared=True)
GUEST_ALONE = Place("guest", "shared agent", "webhook", GUEST)
MEMBER = Place("group member", "group session", "telegram", "e1", group=True)
SPONSOR = Place("sponsor", "group session", "telegram", "s1", group=True)
ADMIN = Place("admin", "group session", "telegram", "c1", group=True)
GUEST_IN_GROUP = Place("guest", "group session", "telegram", "g1", group=True)
PLACES = (OWN, SHARED, GUEST_ALONE, MEMBER, SPONSOR, ADMIN, GUEST_IN_GROUP)

EVERYWHERE: dict[Place, str | None] = dict.fromkeys(PLACES)

CHOOSING = EVERYWHERE | {
    MEMBER: NONE_TO_CHOOSE,
    SPONSOR: NONE_TO_CHOOSE,
    ADMIN: NONE_TO_CHOOSE,
    GUEST_ALONE: NOT_FOR_GUESTS,
    GUEST_IN_GROUP: NOT_FOR_GUESTS,
}

OF_ADDRESSES = CHOOSING | {MEMBER: NOT_HERE, SPONSOR: NOT_HERE, ADMIN: NOT_HERE}

# What each is refused with; None where it is allowed. Written by hand.
COMMANDS: dict[Name, dict[Place, str | None]] = {
    Name.HELP: EVERYWHERE,
    Name.WHOAMI: EVERYWHERE,
    Name.STATUS: EVERYWHERE | {GUEST_ALONE: NOT_FOR_GUESTS, GUEST_IN_GROUP: NOT_FOR_GUESTS},
    Name.NEW: EVERYWHERE | {MEMBER: NOT_IN_A_GROUP, GUEST_IN_GROUP: NOT_IN_A_GROUP},
    Name.STOP: EVERYWHERE,
    Name.APPROVE: EVERYWHERE | {GUEST_ALONE: NOT_FOR_GUESTS, GUEST_IN_GROUP: NOT_FOR_GUESTS},
    Name.DENY: EVERYWHERE | {GUEST_ALONE: NOT_FOR_GUESTS, GUEST_IN_GROUP: NOT_FOR_GUESTS},
    Name.USAGE: EVERYWHERE | {GUEST_ALONE: NOT_FOR_GUESTS, GUEST_IN_GROUP: NOT_FOR_GUESTS},
    Name.PRIVACY: EVERYWHERE | {GUEST_ALONE: NOT_FOR_GUESTS, GUEST_IN_GROUP: NOT_FOR_GUESTS},
    Name.EXPORT: EVERYWHERE | {GUEST_ALONE: NOT_FOR_GUESTS, GUEST_IN_GROUP: NOT_FOR_GUESTS},
    Name.FRIENDS: CHOOSING,
    Name.TALK: CHOOSING,
    Name.LINK: OF_ADDRESSES,
    Name.UNLINK: OF_ADDRESSES,
    Name.ADMIT: {
        OWN: IN_THE_GROUP,
        SHARED: IN_THE_GROUP,
        GUEST_ALONE: NOT_FOR_GUESTS,
        MEMBER: NO_ADMIN,
        SPONSOR: NO_ADMIN,
        ADMIN: None,
        GUEST_IN_GROUP: NOT_FOR_GUESTS,
    },
}
ACTIONS = {
    Name.HELP: Action.READ_STATUS,
    Name.WHOAMI: Action.READ_STATUS,
    Name.STATUS: Action.READ_STATUS,
    Name.NEW: Action.NEW_SESSION,
    Name.STOP: Action.STOP_TURN,
    Name.APPROVE: Action.APPROVE,
    Name.DENY: Action.APPROVE,
    Name.USAGE: Action.READ_STATUS,
    Name.PRIVACY: Action.READ_STATUS,
    Name.EXPORT: Action.READ_STATUS,
    Name.FRIENDS: Action.READ_STATUS,
    Name.TALK: Action.READ_STATUS,
    Name.LINK: Action.READ_STATUS,
    Name.UNLINK: Action.READ_STATUS,
    Name.ADMIT: Action.READ_STATUS,
}
TOOLS: dict[str, dict[Place, bool]] = {"time": dict.fromkeys(PLACES, True)}
"""Who has which tool called for them. Who may not talk to an agent has none."""

STRANGERS = (
    Place("stranger", "own agent", "terminal", "nadia"),
    Place("stranger", "shared agent", "webhook", "stranger"),
    Place("stranger", "shared agent", "telegram", "stranger", group=True),
    Place("disabled", "own agent", "terminal", "dora"),
)

_numbers = itertools.count(1)


@pytest.fixture
async def talk(scene: Scene) -> Scene:
    """The house with its group's keepers, and a guest, in the group too."""
    await scene.link("sam", "telegram", "s1")
    await scene.link("carol", "telegram", "c1")
    scene.account_rule("telegram", group_policy=GroupPolicy.ALLOWLIST, group_allow_from=frozenset({"g1"}))
    return scene


def test_every_command_and_every_tool_is_in_the_tables(scene: Scene) -> None:
    """One that is added without saying who may, fails here."""
    assert COMMANDS.keys() == set(Name)
    assert TOOLS.keys() == {tool.spec.name for tool in scene.tools}


def test_the_table_says_what_the_gate_says() -> None:
    """What is not refused the gate allows; what is, the gate refuses, or guests may not."""
    for name, places in COMMANDS.items():
        for place, refusal in places.items():
            may = allowed(place.actor, ACTIONS[name], place.of) and refusal not in ELSEWHERE_REFUSED
            assert may is (refusal is None), f"{name} by {place}"


@pytest.mark.parametrize("place", PLACES, ids=str)
@pytest.mark.parametrize("name", Name)
async def test_who_may_use_a_command_and_nobody_else(talk: Scene, name: Name, place: Place) -> None:
    """A command that somebody may not use is answered by why, and does nothing."""
    await _says(talk, place, "first something")
    places = talk.rows("places")
    outcome, said = await _says(talk, place, f"/{name}")
    refusal = COMMANDS[name][place]

    assert outcome is Outcome.ACCEPTED
    assert (said == refusal) is (refusal is not None), said
    if refusal is not None:
        assert talk.rows("places") == places


@pytest.mark.parametrize("place", STRANGERS, ids=str)
@pytest.mark.parametrize("name", Name)
async def test_whoever_is_not_let_in_is_not_answered(talk: Scene, name: Name, place: Place) -> None:
    """No command tells a stranger, or somebody who was switched off, anything at all."""
    before = talk.rows("places"), talk.rows("turns"), talk.rows("outbox")
    outcome, said = await _says(talk, place, f"/{name}")
    assert (outcome, said) == (Outcome.REFUSED, "")
    assert (talk.rows("places"), talk.rows("turns"), talk.rows("outbox")) == before


@pytest.mark.parametrize("place", PLACES, ids=str)
@pytest.mark.parametrize("tool", TOOLS)
async def test_who_has_a_tool_called_for_them(talk: Scene, tool: str, place: Place) -> None:
    """The model asks for it, and the gate decides as the table says."""
    talk.model = ScriptedModel([Step(calls=(ToolCallPart("c1", tool, {}),)), Step(text="done")])
    await _says(talk, place, "what time is it?")
    [turn] = talk.rows("turns")
    entries = await talk.entries(turn["agent_id"], turn["session_id"])
    [result] = [entry for entry in entries if entry.role is Role.TOOL_RESULT]
    assert result.is_error is not TOOLS[tool][place]


async def _says(scene: Scene, place: Place, text: str) -> tuple[Outcome, str]:
    """Type it, and what is answered by the way it came."""
    number = f"n{next(_numbers)}"
    if place.channel == "terminal":
        wish = Wish(AgentId(HELPDESK)) if place.shared else NO_WISH
        receipt = await scene.gateway.receive(typed(place.sender, number, text), wish)
    else:
        chat = Chat(ChatKind.GROUP, GROUP) if place.group else Chat(ChatKind.DM, place.sender)
        message = InboundMessage(place.channel, GUESTS[1], number, place.sender, chat, text, mentioned=True)
        receipt = await scene.gateway.receive(message)
    await scene.idle()
    turn = receipt.turn_id
    kept = {row["delivery_id"]: row["text"] for row in scene.rows("outbox_bodies")}
    return receipt.outcome, "".join(text for id, text in kept.items() if turn is not None and id.startswith(turn))
