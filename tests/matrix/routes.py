"""Every route of the web, and who may; written by hand.

A row asks one route about something of Alice's. `yes` is who is let: everybody else who may come in gets `no`, and
who may not come in gets 401. `by` are the fields of `Things` that the request names; each is also asked for as
something that does not exist, which has to look the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from rookery.policy import Action
from tests.matrix.scene import HELPDESK, PASSWORD, Things

PEOPLE = frozenset({"owner", "owner by token", "other", "group member", "sponsor", "admin"})
OWNER = frozenset({"owner", "owner by token"})
ADMIN = frozenset({"admin"})
KEEPERS = frozenset({"sponsor", "admin"})
NOBODY: frozenset[str] = frozenset()

Json = Callable[[Things], Any]


@dataclass(frozen=True, slots=True)
class Row:
    """One route asked about one thing."""

    entry: str
    of: str
    yes: frozenset[str]
    path: Callable[[Things], str]
    json: Json | None = None
    action: Action | None = None
    """What the gate is asked; None where nobody needs to ask, for it is what they are by."""
    or_by: Action | None = None
    """Another action that does as well."""
    and_by: Action | None = None
    """Another action that has to be theirs too."""
    no: int = 404
    told: Mapping[str, int] = field(default_factory=dict[str, int])
    """Who is refused otherwise, for they may know that it is there: by which status."""
    by: tuple[str, ...] = ()
    sees: frozenset[str] | None = None
    mark: Callable[[Things], str] | None = None
    open: bool = False
    """Whether it lets in who is nobody."""
    file: bool = False
    """Whether it is sent a file instead of JSON."""
    plain: bool = False
    """Whether it is sent some words as they are."""

    def __str__(self) -> str:
        return f"{self.entry} of {self.of}"

    @property
    def method(self) -> str:
        return self.entry.partition(" ")[0]


def _key(text: str) -> str:
    return quote(text, safe=":")


def _sessions(
    method: str,
    rest: str,
    action: Action,
    json: Json | None = None,
    query: str = "",
    group: bool = True,
) -> tuple[Row, ...]:
    """A route on a session: Alice's with her own agent, by its id and by its key; hers with the shared one; the
    group's, its keepers' or (`group` False) nobody's. Who may not read it is not told that it is there."""
    entry = f"{method} /api/sessions/{{key}}{rest}"

    def path(field: str) -> Callable[[Things], str]:
        return lambda things: f"/api/sessions/{_key(getattr(things, field))}{rest}{query}"

    def row(of: str, field: str, yes: frozenset[str]) -> Row:
        gate = action if group or of != "group session" else None
        return Row(entry, of, yes, path(field), json, gate, and_by=Action.READ_SESSION, by=(field,))

    return (
        row("own session", "session", OWNER),
        row("own session by key", "session_key", OWNER),
        row("shared session", "shared_session", OWNER),
        row("group session", "group_session", KEEPERS if group else NOBODY),
    )


_ON_FILES = ("GET", "PUT", "DELETE")


def _on_house(entry: str, path: str, action: Action, json: Json | None = None) -> Row:
    return Row(entry, "house", ADMIN, lambda _: path, json, action, no=403)


_FILES = ("GET /api/agents/{id}/files", *(f"{method} /api/agents/{{id}}/files/{{path}}" for method in _ON_FILES))


def _files(entry: str) -> tuple[Row, ...]:
    """A route on the files of an agent: its owner's, of a shared one its sponsor's."""
    method, _, path = entry.partition(" ")
    action = Action.READ_FILES if method == "GET" else Action.CHANGE_FILES

    def asked(agent: str) -> str:
        return path.format(id=agent, path="AGENTS.md")

    return (
        Row(
            entry,
            "own agent",
            OWNER,
            lambda t: asked(t.agent),
            action=action,
            told={"admin": 403},
            by=("agent",),
            plain=method == "PUT",
        ),
        Row(
            entry,
            "shared agent",
            frozenset({"sponsor"}),
            lambda _: asked(HELPDESK),
            action=action,
            told={"admin": 403},
            plain=method == "PUT",
        ),
    )


ROWS: tuple[Row, ...] = (
    # Coming in, and what one is by.
    Row(
        "POST /api/setup",
        "house",
        NOBODY,
        lambda _: "/api/setup",
        lambda _: {"code": "made-up", "username": "mallory", "password": "a password nobody has"},
        no=400,
        open=True,
    ),
    Row(
        "POST /api/login",
        "oneself",
        PEOPLE,
        lambda _: "/api/login",
        lambda _: {"username": "alice", "password": PASSWORD},
        open=True,
    ),
    Row("POST /api/logout", "oneself", PEOPLE - {"owner by token"}, lambda _: "/api/logout", no=400),
    Row(
        "GET /api/me",
        "oneself",
        PEOPLE,
        lambda _: "/api/me",
        action=Action.READ_PERSON,
        sees=OWNER,
        mark=lambda t: f'"id":"{t.whose}"',
    ),
    Row(
        "PATCH /api/me",
        "oneself",
        PEOPLE,
        lambda _: "/api/me",
        lambda _: {"theme": "dark"},
        Action.CHANGE_PREFERENCES,
    ),
    Row("GET /api/me/privacy", "oneself", PEOPLE, lambda _: "/api/me/privacy", action=Action.EXPORT_PERSON),
    Row("GET /api/me/export", "oneself", PEOPLE, lambda _: "/api/me/export", action=Action.EXPORT_PERSON),
    # Nobody is erased by a session alone.
    Row(
        "DELETE /api/me",
        "oneself",
        NOBODY,
        lambda _: "/api/me",
        lambda _: {"password": "a password of nobody"},
        no=401,
    ),
    Row(
        "DELETE /api/users/{id}",
        "person",
        OWNER | ADMIN,
        lambda t: f"/api/users/{t.whose}?dryRun=true",
        action=Action.ERASE_PERSON,
        by=("whose",),
    ),
    Row(
        "POST /api/me/password",
        "oneself",
        PEOPLE,
        lambda _: "/api/me/password",
        lambda _: {"password": "another good long one", "current": PASSWORD},
        Action.SET_PASSWORD,
    ),
    Row(
        "GET /api/tokens",
        "oneself",
        PEOPLE,
        lambda _: "/api/tokens",
        action=Action.READ_CREDENTIALS,
        sees=OWNER,
        mark=lambda t: t.token,
    ),
    Row(
        "POST /api/tokens",
        "oneself",
        PEOPLE,
        lambda _: "/api/tokens",
        lambda _: {"name": "n"},
        Action.CREATE_TOKEN,
    ),
    Row(
        "POST /api/tokens",
        "person",
        OWNER,
        lambda _: "/api/tokens",
        lambda t: {"name": "n", "userId": t.whose},
        Action.CREATE_TOKEN,
        no=400,
    ),
    Row(
        "DELETE /api/tokens/{id}",
        "own token",
        OWNER,
        lambda t: f"/api/tokens/{t.token}",
        by=("token",),
    ),
    Row(
        "GET /api/devices",
        "oneself",
        PEOPLE,
        lambda _: "/api/devices",
        action=Action.READ_CREDENTIALS,
        sees=OWNER,
        mark=lambda t: t.device,
    ),
    Row(
        "DELETE /api/devices/{id}",
        "own device",
        OWNER,
        lambda t: f"/api/devices/{t.device}",
        by=("device",),
    ),
    # People.
    Row(
        "GET /api/users",
        "oneself",
        PEOPLE,
        lambda _: "/api/users",
        action=Action.READ_PERSON,
        sees=OWNER | ADMIN,
        mark=lambda t: f'"id":"{t.whose}"',
    ),
    _on_house("POST /api/users", "/api/users", Action.ADD_PERSON, lambda t: {"id": f"new{t.turn[-12:].lower()}"}),
    Row(
        "GET /api/users/{id}",
        "person",
        OWNER | ADMIN,
        lambda t: f"/api/users/{t.whose}",
        action=Action.READ_PERSON,
        by=("whose",),
    ),
    Row(
        "PATCH /api/users/{id}",
        "person",
        OWNER | ADMIN,
        lambda t: f"/api/users/{t.whose}",
        lambda _: {"timezone": "Europe/Madrid"},
        Action.CHANGE_PREFERENCES,
        Action.MANAGE_PERSON,
        by=("whose",),
    ),
    Row(
        "GET /api/users/{id}/identities",
        "person",
        OWNER | ADMIN,
        lambda t: f"/api/users/{t.whose}/identities",
        action=Action.READ_IDENTITIES,
        by=("whose",),
    ),
    Row(
        "POST /api/users/{id}/identities",
        "person",
        ADMIN,
        lambda t: f"/api/users/{t.whose}/identities",
        lambda t: {"channel": "email", "sender": f"new-{t.turn}@example.org"},
        Action.LINK_IDENTITY,
        told=dict.fromkeys(OWNER, 403),
        by=("whose",),
    ),
    Row(
        "DELETE /api/users/{id}/identities",
        "person",
        OWNER | ADMIN,
        lambda t: f"/api/users/{t.whose}/identities?channel=email&sender={t.address}",
        action=Action.LINK_IDENTITY,
        or_by=Action.LEAVE_IDENTITY,
        by=("whose",),
    ),
    Row(
        "POST /api/identities/link-code",
        "oneself",
        PEOPLE,
        lambda _: "/api/identities/link-code",
        lambda _: {},
        Action.JOIN_IDENTITY,
    ),
    Row(
        "GET /api/identities/links",
        "oneself",
        PEOPLE,
        lambda _: "/api/identities/links",
        action=Action.JOIN_IDENTITY,
        sees=OWNER,
        mark=lambda t: t.link,
    ),
    Row(
        "POST /api/identities/links/{id}/confirm",
        "person",
        OWNER,
        lambda t: f"/api/identities/links/{t.link}/confirm",
        lambda _: {},
        Action.JOIN_IDENTITY,
        by=("link",),
    ),
    Row(
        "DELETE /api/identities/links/{id}",
        "person",
        OWNER,
        lambda t: f"/api/identities/links/{t.link}",
        action=Action.JOIN_IDENTITY,
        by=("link",),
    ),
    # Agents.
    Row(
        "GET /api/agents",
        "shared agent",
        PEOPLE,
        lambda _: "/api/agents",
        action=Action.READ_AGENT,
        sees=OWNER | ADMIN,
        mark=lambda t: f'"id":"{t.agent}"',
    ),
    _on_house(
        "POST /api/agents",
        "/api/agents",
        Action.ADD_AGENT,
        lambda t: {"id": f"desk{t.turn[-12:].lower()}", "sponsor": "sam"},
    ),
    Row(
        "POST /api/agents",
        "person",
        OWNER | ADMIN,
        lambda _: "/api/agents",
        lambda t: {"owner": t.whose, "id": t.turn, "name": t.turn},
        Action.ADD_FRIEND,
        by=("whose",),
    ),
    Row(
        "GET /api/agents/{id}",
        "own agent",
        OWNER | ADMIN,
        lambda t: f"/api/agents/{t.friend}",
        action=Action.READ_AGENT,
        by=("friend",),
    ),
    Row(
        "PATCH /api/agents/{id}",
        "own agent",
        OWNER | ADMIN,
        lambda t: f"/api/agents/{t.friend}",
        lambda _: {"who": {"language": "de"}},
        Action.CHANGE_AGENT,
        by=("friend",),
    ),
    Row(
        "DELETE /api/agents/{id}",
        "own agent",
        OWNER | ADMIN,
        lambda t: f"/api/agents/{t.friend}",
        action=Action.REMOVE_AGENT,
        by=("friend",),
    ),
    Row(
        "GET /api/agents/{id}",
        "own agent",
        OWNER | ADMIN,
        lambda t: f"/api/agents/{t.agent}",
        action=Action.READ_AGENT,
        by=("agent",),
    ),
    Row(
        "GET /api/agents/{id}",
        "shared agent",
        PEOPLE,
        lambda _: f"/api/agents/{HELPDESK}",
        action=Action.READ_AGENT,
    ),
    Row(
        "PATCH /api/agents/{id}",
        "own agent",
        OWNER | ADMIN,
        lambda t: f"/api/agents/{t.agent}",
        lambda _: {"name": "Robin"},
        Action.CHANGE_AGENT,
        by=("agent",),
    ),
    Row(
        "PATCH /api/agents/{id}",
        "shared agent",
        KEEPERS,
        lambda _: f"/api/agents/{HELPDESK}",
        lambda _: {"name": "Robin"},
        Action.CHANGE_AGENT,
    ),
    Row(
        "DELETE /api/agents/{id}",
        "spare agent",
        ADMIN,
        lambda t: f"/api/agents/{t.spare_agent}",
        action=Action.REMOVE_AGENT,
        by=("spare_agent",),
    ),
    Row(
        "DELETE /api/agents/{id}",
        "own agent",
        NOBODY,  # who may remove friends is told that the main agent stays
        lambda t: f"/api/agents/{t.agent}",
        told={"admin": 409, "owner": 409, "owner by token": 409},
        by=("agent",),
    ),
    Row(
        "GET /api/agents/{id}/keys",
        "own agent",
        OWNER | ADMIN,
        lambda t: f"/api/agents/{t.agent}/keys",
        action=Action.READ_AGENT_KEYS,
        by=("agent",),
        sees=OWNER | ADMIN,
        mark=lambda t: t.profile,
    ),
    Row(
        "GET /api/agents/{id}/keys",
        "shared agent",
        KEEPERS,
        lambda _: f"/api/agents/{HELPDESK}/keys",
        action=Action.READ_AGENT_KEYS,
    ),
    Row(
        "POST /api/agents/{id}/keys",
        "own agent",
        OWNER | ADMIN,
        lambda t: f"/api/agents/{t.agent}/keys",
        lambda t: {"provider": "test", "profile": t.profile, "key": "sk-that-opens-nothing"},
        Action.SET_KEY,
        by=("agent",),
    ),
    Row(
        "POST /api/agents/{id}/keys",
        "shared agent",
        KEEPERS,
        lambda _: f"/api/agents/{HELPDESK}/keys",
        lambda _: {"provider": "test", "key": "sk-that-opens-nothing"},
        Action.SET_KEY,
    ),
    Row(
        "DELETE /api/agents/{id}/keys/{provider}/{profile}",
        "own agent",
        OWNER | ADMIN,
        lambda t: f"/api/agents/{t.agent}/keys/test/{t.profile}",
        action=Action.SET_KEY,
        by=("agent",),
    ),
    *(row for entry in _FILES for row in _files(entry)),
    # Sessions.
    Row(
        "POST /api/sessions/create",
        "own agent",
        OWNER,
        lambda _: "/api/sessions/create",
        lambda t: {"agentId": t.agent, "title": "a title"},
        Action.NEW_SESSION,
        told={"admin": 403},
        by=("agent",),
    ),
    Row(
        "POST /api/sessions/create",
        "shared agent",
        PEOPLE,
        lambda _: "/api/sessions/create",
        lambda _: {"agentId": HELPDESK},
        Action.NEW_SESSION,
    ),
    Row(
        "GET /api/sessions",
        "shared agent",
        PEOPLE,
        lambda _: "/api/sessions?status=all",
        action=Action.LIST_SESSIONS,
        sees=OWNER,
        mark=lambda t: t.session,
    ),
    Row(
        "GET /api/sessions",
        "shared agent, its sessions",
        PEOPLE,
        lambda _: f"/api/sessions?status=all&agentId={HELPDESK}",
        sees=OWNER,
        mark=lambda t: t.shared_session,
    ),
    Row(
        "GET /api/sessions",
        "shared agent, its groups'",
        PEOPLE,
        lambda _: f"/api/sessions?status=all&agentId={HELPDESK}",
        sees=KEEPERS,
        mark=lambda t: t.group_session,
    ),
    Row(
        "GET /api/sessions",
        "own agent",
        OWNER,
        lambda t: f"/api/sessions?agentId={t.agent}",
        action=Action.LIST_SESSIONS,
        by=("agent",),
    ),
    Row(
        "GET /api/sessions/archived",
        "oneself",
        PEOPLE,
        lambda _: "/api/sessions/archived",
        sees=NOBODY,
        mark=lambda t: t.session,
    ),
    *_sessions("GET", "", Action.READ_SESSION),
    *_sessions("PATCH", "", Action.CHANGE_SESSION, lambda _: {"title": "another"}),
    *_sessions("DELETE", "", Action.DELETE_SESSION),
    *_sessions("DELETE", "", Action.DELETE_SESSION, query="?purge=true"),
    *_sessions("GET", "/entries", Action.READ_SESSION),
    *_sessions("GET", "/export", Action.EXPORT_SESSION, query="?format=jsonl"),
    *_sessions("GET", "/export", Action.EXPORT_SESSION, query="?format=markdown"),
    *_sessions("POST", "/stop", Action.STOP_TURN),
    # Nobody speaks in a group from elsewhere, and what is said to a shared agent is said by who is talking.
    *_sessions("POST", "/messages", Action.TALK, lambda _: {"text": "hello"}, group=False),
    Row(
        "GET /api/turns/{id}",
        "own session",
        OWNER,
        lambda t: f"/api/turns/{t.turn}",
        action=Action.READ_TURN,
        by=("turn",),
    ),
    Row(
        "GET /api/turns/{id}",
        "shared session",
        OWNER,
        lambda t: f"/api/turns/{t.shared_turn}",
        action=Action.READ_TURN,
        by=("shared_turn",),
    ),
    Row(
        "GET /api/turns/{id}",
        "group session",
        KEEPERS,
        lambda t: f"/api/turns/{t.group_turn}",
        action=Action.READ_TURN,
        by=("group_turn",),
    ),
    # What a turn was allowed, which is its person's word and nobody else's; said again it changes nothing.
    Row(
        "POST /api/turns/{id}/approvals/{n}",
        "own session",
        OWNER,
        lambda t: f"/api/turns/{t.turn}/approvals/{t.approval}",
        lambda _: {"allow": True},
        Action.APPROVE,
        and_by=Action.READ_TURN,
        by=("turn",),
    ),
    Row(
        "POST /api/turns/{id}/approvals/{n}",
        "shared session",
        OWNER,
        lambda t: f"/api/turns/{t.shared_turn}/approvals/{t.approval}",
        lambda _: {"allow": True},
        Action.APPROVE,
        and_by=Action.READ_TURN,
        by=("shared_turn",),
    ),
    Row(
        "POST /api/turns/{id}/approvals/{n}",
        "group session",
        NOBODY,  # its keepers read it, and allow nothing in another's name
        lambda t: f"/api/turns/{t.group_turn}/approvals/{t.approval}",
        lambda _: {"allow": True},
        told=dict.fromkeys(KEEPERS, 403),
        by=("group_turn",),
    ),
    # What was used.
    Row(
        "GET /api/usage",
        "oneself",
        PEOPLE,
        lambda _: "/api/usage?by=user",
        sees=OWNER | ADMIN,
        mark=lambda t: f'"key":"{t.whose}"',
    ),
    Row(
        "GET /api/usage",
        "person",
        OWNER | ADMIN,
        lambda t: f"/api/usage?by=session&user={t.whose}",
        action=Action.READ_USAGE,
        sees=OWNER | ADMIN,
        mark=lambda t: t.session,
    ),
    # Files.
    Row(
        "POST /api/attachments",
        "own agent",
        OWNER,
        lambda t: f"/api/attachments?agentId={t.agent}",
        action=Action.ADD_ATTACHMENT,
        told={"admin": 403},
        by=("agent",),
        file=True,
    ),
    Row(
        "POST /api/attachments",
        "shared agent",
        PEOPLE,
        lambda _: f"/api/attachments?agentId={HELPDESK}",
        action=Action.ADD_ATTACHMENT,
        file=True,
    ),
    Row(
        "GET /api/attachments/{id}",
        "own session",
        OWNER,
        lambda t: f"/api/attachments/{t.attachment}",
        action=Action.READ_ATTACHMENT,
        by=("attachment",),
    ),
    Row(
        "GET /api/attachments/{id}",
        "shared session",
        OWNER,
        lambda t: f"/api/attachments/{t.shared_attachment}",
        action=Action.READ_ATTACHMENT,
        by=("shared_attachment",),
    ),
    # Groups, and the house.
    _on_house("GET /api/pairings", "/api/pairings", Action.MANAGE_PAIRINGS),
    Row(
        "POST /api/pairings/{id}/approve",
        "house",
        ADMIN,
        lambda t: f"/api/pairings/{t.pairing}/approve",
        lambda t: {"userId": t.whose},
        Action.MANAGE_PAIRINGS,
        no=403,
    ),
    Row(
        "POST /api/pairings/{id}/reject",
        "house",
        ADMIN,
        lambda t: f"/api/pairings/{t.pairing}/reject",
        lambda _: {},
        Action.MANAGE_PAIRINGS,
        no=403,
    ),
    _on_house("GET /api/spaces", "/api/spaces", Action.MANAGE_SPACES),
    _on_house(
        "POST /api/spaces",
        "/api/spaces",
        Action.MANAGE_SPACES,
        lambda t: {"channel": "telegram", "chat": f"-{t.turn}", "sponsor": "sam"},
    ),
    Row(
        "DELETE /api/spaces",
        "house",
        ADMIN,
        lambda t: f"/api/spaces?channel=telegram&chat={t.space}",
        action=Action.MANAGE_SPACES,
        no=403,
    ),
    _on_house("GET /metrics", "/metrics", Action.READ_HOUSE),
    Row(
        "GET /openapi.json",
        "nothing of anybody's",
        PEOPLE,
        lambda _: "/openapi.json",
        open=True,
    ),
    Row("GET /healthz", "nothing of anybody's", PEOPLE, lambda _: "/healthz", open=True),
    Row("GET /readyz", "nothing of anybody's", PEOPLE, lambda _: "/readyz", open=True),
    # What other people's programs speak.
    Row(
        "GET /v1/models",
        "shared agent",
        PEOPLE,
        lambda _: "/v1/models",
        action=Action.READ_AGENT,
        sees=NOBODY,
        mark=lambda t: f'"rookery/{t.agent}"',  # to her it is `rookery`
    ),
    Row(
        "GET /v1/models/{model}",
        "own agent",
        OWNER,
        lambda t: f"/v1/models/rookery/{t.agent}",
        action=Action.TALK,
        by=("agent",),
    ),
    Row(
        "GET /v1/models/{model}",
        "shared agent",
        PEOPLE,
        lambda _: f"/v1/models/rookery/{HELPDESK}",
        action=Action.TALK,
    ),
    Row(
        "POST /v1/chat/completions",
        "own agent",
        OWNER,
        lambda _: "/v1/chat/completions",
        lambda t: {"model": f"rookery/{t.agent}", "messages": [{"role": "user", "content": "hello"}]},
        Action.TALK,
        by=("agent",),
    ),
    Row(
        "POST /v1/chat/completions",
        "shared agent",
        PEOPLE,
        lambda _: "/v1/chat/completions",
        lambda _: {"model": f"rookery/{HELPDESK}", "messages": [{"role": "user", "content": "hello"}]},
        Action.TALK,
    ),
    Row(
        "POST /v1/chat/completions",
        "own session by key",
        OWNER,
        lambda _: "/v1/chat/completions",
        lambda t: {
            "model": "rookery",
            "user": t.session_key,
            "messages": [{"role": "user", "content": "hello"}],
        },
        Action.TALK,
        by=("session_key",),
    ),
)
