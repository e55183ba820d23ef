"""What the command line calls through the control socket, and who may; written by hand.

Only the operator comes in there. Every operation asks the gate all the same, for whoever is at the desk, so that
each other surface may stand on it: the rows say what it answers them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rookery.policy import Action
from tests.matrix.scene import GRANTED_KEY, HELPDESK, PASSWORD, SHARED_KEY, Things

PEOPLE = frozenset({"owner", "other", "group member", "sponsor", "admin"})
ADMINS = frozenset({"admin", "operator"})
OWNER = frozenset({"owner"})


@dataclass(frozen=True, slots=True)
class Row:
    """One operation asked about something of Alice's: `yes` is who may; `sees` of these who finds `mark` in it."""

    entry: str
    of: str
    yes: frozenset[str]
    params: Callable[[Things], dict[str, Any]]
    action: Action
    sees: frozenset[str] | None = None
    mark: Callable[[Things], str] | None = None
    or_by: Action | None = None
    """What does as well, for whom it is allowed."""

    def __str__(self) -> str:
        return f"{self.entry} of {self.of}"


def _none(_: Things) -> dict[str, Any]:
    return {}


ROWS = (
    Row("status", "house", ADMINS, _none, Action.READ_HOUSE),
    Row("config.reload", "house", ADMINS, _none, Action.CHANGE_CONFIG),
    Row("user.add", "house", ADMINS, lambda t: {"id": f"new{t.turn[-12:].lower()}"}, Action.ADD_PERSON),
    Row("user.apply", "house", ADMINS, lambda t: {"people": [{"id": t.whose}]}, Action.APPLY_PEOPLE),
    Row(
        "user.list",
        "oneself",
        PEOPLE | ADMINS,
        _none,
        Action.READ_PERSON,
        sees=OWNER | ADMINS,
        mark=lambda t: f'"id":"{t.whose}"',
    ),
    Row("user.show", "person", OWNER | ADMINS, lambda t: {"userId": t.whose}, Action.READ_PERSON),
    Row("user.change", "person", ADMINS, lambda t: {"userId": t.whose, "name": "Alicia"}, Action.MANAGE_PERSON),
    Row(
        "user.change",
        "person",
        OWNER | ADMINS,
        lambda t: {"userId": t.whose, "timezone": "Europe/Madrid"},
        Action.CHANGE_PREFERENCES,
        or_by=Action.MANAGE_PERSON,
    ),
    Row("user.export", "person", OWNER | {"operator"}, lambda t: {"userId": t.whose}, Action.EXPORT_PERSON),
    Row("user.kept", "person", OWNER | {"operator"}, lambda t: {"userId": t.whose}, Action.EXPORT_PERSON),
    Row(
        "user.erase",
        "person",
        OWNER | ADMINS,
        lambda t: {"userId": t.whose, "dryRun": True},
        Action.ERASE_PERSON,
    ),
    Row(
        "user.passwd",
        "person",
        OWNER | ADMINS,
        lambda t: {"userId": t.whose, "password": "another good long one", "current": PASSWORD},
        Action.SET_PASSWORD,
    ),
    Row(
        "token.create",
        "person",
        OWNER | {"operator"},
        lambda t: {"userId": t.whose, "name": "n"},
        Action.CREATE_TOKEN,
    ),
    Row("token.list", "person", OWNER | ADMINS, lambda t: {"userId": t.whose}, Action.READ_CREDENTIALS),
    Row(
        "token.revoke",
        "person",
        OWNER | ADMINS,
        lambda t: {"userId": t.whose, "id": t.token},
        Action.END_CREDENTIAL,
    ),
    Row("setup.link", "house", ADMINS, _none, Action.MAKE_SETUP_LINK),
    Row(
        "identity.link",
        "person",
        ADMINS,
        lambda t: {"userId": t.whose, "channel": "email", "sender": f"new-{t.turn}@example.org"},
        Action.LINK_IDENTITY,
    ),
    Row(
        "identity.unlink",
        "person",
        OWNER | ADMINS,
        lambda t: {"userId": t.whose, "channel": "email", "sender": t.address},
        Action.LINK_IDENTITY,
        or_by=Action.LEAVE_IDENTITY,
    ),
    Row("identity.list", "person", OWNER | ADMINS, lambda t: {"userId": t.whose}, Action.READ_IDENTITIES),
    Row("identity.list", "house", ADMINS, _none, Action.LIST_PEOPLE),
    Row(
        "agent.list",
        "shared agent",
        PEOPLE | ADMINS,
        _none,
        Action.READ_AGENT,
        sees=OWNER | ADMINS,
        mark=lambda t: f'"id":"{t.agent}"',
    ),
    Row(
        "agent.add",
        "house",
        ADMINS,
        lambda t: {"id": f"desk{t.turn[-12:].lower()}", "sponsor": "sam"},
        Action.ADD_AGENT,
    ),
    Row("agent.add", "person", OWNER | ADMINS, lambda t: {"id": f"{t.whose}--{t.turn}"}, Action.ADD_FRIEND),
    Row("agent.show", "own agent", OWNER | ADMINS, lambda t: {"agentId": t.friend}, Action.READ_AGENT),
    Row("agent.show", "shared agent", PEOPLE | ADMINS, lambda _: {"agentId": HELPDESK}, Action.READ_AGENT),
    Row(
        "agent.set",
        "own agent",
        OWNER | ADMINS,
        lambda t: {"agentId": t.friend, "relation": "x"},
        Action.CHANGE_AGENT,
    ),
    Row("agent.remove", "own agent", OWNER | ADMINS, lambda t: {"agentId": t.friend}, Action.REMOVE_AGENT),
    Row("agent.remove", "shared agent", ADMINS, lambda t: {"agentId": t.spare_agent}, Action.REMOVE_AGENT),
    Row(
        "agent.set",
        "own agent",
        OWNER | ADMINS,
        lambda t: {"agentId": t.agent, "model": None},
        Action.CHANGE_AGENT,
    ),
    Row(
        "agent.set",
        "shared agent",
        ADMINS | {"sponsor"},
        lambda _: {"agentId": HELPDESK, "model": None},
        Action.CHANGE_AGENT,
    ),
    Row(
        "key.grant",
        "own agent",
        ADMINS,
        lambda t: {"agentId": t.agent, "sharedKey": SHARED_KEY},
        Action.GRANT_KEY,
    ),
    Row(
        "key.ungrant",
        "own agent",
        ADMINS,
        lambda t: {"agentId": t.agent, "sharedKey": GRANTED_KEY},
        Action.GRANT_KEY,
    ),
    Row("key.list", "house", ADMINS, _none, Action.READ_KEYS),
    Row(
        "key.list",
        "own agent",
        OWNER | ADMINS,
        lambda t: {"agentId": t.agent},
        Action.READ_AGENT_KEYS,
        sees=OWNER | ADMINS,
        mark=lambda t: t.profile,
    ),
    Row(
        "key.list",
        "shared agent",
        ADMINS | {"sponsor"},
        lambda _: {"agentId": HELPDESK},
        Action.READ_AGENT_KEYS,
    ),
    Row(
        "key.set",
        "own agent",
        OWNER | ADMINS,
        lambda t: {"agentId": t.agent, "provider": "test", "profile": t.profile, "key": "sk-that-opens-nothing"},
        Action.SET_KEY,
    ),
    Row(
        "key.set",
        "shared agent",
        ADMINS | {"sponsor"},
        lambda _: {"agentId": HELPDESK, "provider": "test", "key": "sk-that-opens-nothing"},
        Action.SET_KEY,
    ),
    Row(
        "key.revoke",
        "own agent",
        OWNER | ADMINS,
        lambda t: {"agentId": t.agent, "provider": "test", "profile": t.profile},
        Action.SET_KEY,
    ),
    Row(
        "key.share",
        "house",
        ADMINS,
        lambda t: {"name": f"k{t.turn[-12:].lower()}", "provider": "other", "key": "sk-that-opens-nothing"},
        Action.SHARE_KEY,
    ),
    Row("key.unshare", "house", ADMINS, lambda t: {"name": t.stored_key}, Action.SHARE_KEY),
    *(
        Row(
            f"file.{verb}",
            of,
            frozenset({whose, "operator"}),
            lambda t, of=of, more=more: {
                "agentId": t.agent if of == "own agent" else HELPDESK,
                "userId": t.whose if of == "own agent" else "sam",
                **more,
            },
            action,
        )
        for verb, more, action in (
            ("list", {}, Action.READ_FILES),
            ("show", {"path": "AGENTS.md"}, Action.READ_FILES),
            ("put", {"path": "AGENTS.md", "data": "aGk="}, Action.CHANGE_FILES),
            ("remove", {"path": "AGENTS.md"}, Action.CHANGE_FILES),
        )
        for of, whose in (("own agent", "owner"), ("shared agent", "sponsor"))
    ),
    Row("session.list", "own agent", OWNER | {"operator"}, lambda t: {"userId": t.whose}, Action.READ_SESSION),
    Row(
        "session.show",
        "own session",
        OWNER | {"operator"},
        lambda t: {"userId": t.whose, "session": t.session},
        Action.READ_SESSION,
    ),
    Row(
        "session.export",
        "own session",
        OWNER | {"operator"},
        lambda t: {"userId": t.whose, "session": t.session},
        Action.EXPORT_SESSION,
    ),
    Row("session.new", "own agent", OWNER | {"operator"}, lambda t: {"userId": t.whose}, Action.NEW_SESSION),
    Row(
        "space.admit",
        "house",
        ADMINS,
        lambda t: {"channel": "telegram", "chat": f"-{t.turn}", "sponsor": "sam"},
        Action.MANAGE_SPACES,
    ),
    Row("pairing.list", "house", ADMINS, _none, Action.MANAGE_PAIRINGS),
    Row(
        "pairing.approve",
        "house",
        ADMINS,
        lambda t: {"id": t.pairing, "userId": t.whose},
        Action.MANAGE_PAIRINGS,
    ),
    Row("pairing.reject", "house", ADMINS, lambda t: {"id": t.pairing}, Action.MANAGE_PAIRINGS),
    Row("space.list", "house", ADMINS, _none, Action.MANAGE_SPACES),
    Row(
        "space.remove",
        "house",
        ADMINS,
        lambda t: {"channel": "telegram", "chat": t.space},
        Action.MANAGE_SPACES,
    ),
    Row("channel.list", "house", ADMINS, _none, Action.READ_HOUSE),
    Row("channel.deadLetters", "house", ADMINS, _none, Action.READ_HOUSE),
    Row("channel.retry", "house", ADMINS, lambda t: {"deliveryId": t.dead_letter}, Action.RETRY_DELIVERY),
    Row("usage.sum", "person", OWNER | ADMINS, lambda t: {"by": "user", "userId": t.whose}, Action.READ_USAGE),
    Row("usage.sum", "house", ADMINS, _none, Action.READ_ALL_USAGE),
    Row("audit.list", "house", ADMINS, _none, Action.READ_LOG),
    Row("audit.verify", "house", ADMINS, _none, Action.READ_LOG),
    Row("check.audit", "house", ADMINS, _none, Action.READ_LOG),
    Row("check.database", "house", ADMINS, _none, Action.READ_HOUSE),
    Row("check.configuration", "house", ADMINS, _none, Action.READ_HOUSE),
    Row("check.models", "house", ADMINS, _none, Action.READ_HOUSE),
    Row("check.sealed", "house", ADMINS, _none, Action.READ_HOUSE),
    Row("key.rotateMaster", "house", ADMINS, _none, Action.ROTATE_MASTER_KEY),
    Row("check.brain", "own agent", ADMINS, lambda t: {"agentId": t.agent}, Action.CHECK_AGENT),
    Row("brain.reindex", "own agent", ADMINS, lambda t: {"agentId": t.agent}, Action.CHECK_AGENT),
)
"""Every operation; who is not in `yes` is refused, or told that there is no such thing."""
