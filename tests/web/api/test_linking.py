"""Joining an address from the page or by a token; and by which ways in somebody may come."""

from __future__ import annotations

import pytest

from rookery.channels.contract import Outcome
from rookery.messages import Chat, ChatKind, InboundMessage
from rookery.users import CredentialKind
from tests.web.api.conftest import People, check_problem
from tests.web.live.client import Client, token

_said = iter(range(1, 1000))


async def types(people: People, sender: str, text: str) -> Outcome:
    """A stranger writes on the webhook."""
    message = InboundMessage("webhook", "default", f"typed-{next(_said)}", sender, Chat(ChatKind.DM, sender), text)
    return (await people.site.house.gateway.receive(message)).outcome


async def test_an_address_is_joined_from_the_page(people: People):
    """The code is made here and typed there; that side says yes, and the last yes is said here."""
    made = await people.alice.post("/api/identities/link-code")
    assert made.status == 201
    assert made.json.keys() == {"id", "code", "expiresAt"}
    [waits] = (await people.alice.get("/api/identities/links")).json["items"]
    assert (waits["id"], waits["state"], waits["address"]) == (made.json["id"], "open", None)
    confirm = f"/api/identities/links/{made.json['id']}/confirm"

    await types(people, "new", f"/link {made.json['code']}")
    check_problem(await people.alice.post(confirm), 409, "conflict")
    await types(people, "new", "/link yes")
    [agreed] = (await people.alice.get("/api/identities/links")).json["items"]
    assert agreed["state"] == "agreed"
    assert agreed["address"] == {"channel": "webhook", "account": "default", "sender": "new"}
    foreign = check_problem(await people.bob.post(confirm), 404, "not_found")
    absent = check_problem(await people.bob.post("/api/identities/links/none/confirm"), 404, "not_found")
    assert foreign["detail"] == absent["detail"]

    joined = await people.alice.post(confirm)
    assert (joined.status, joined.json["userId"], joined.json["sender"]) == (200, "alice", "new")
    assert (await people.alice.get("/api/identities/links")).json["items"] == []
    check_problem(await people.alice.post(confirm), 404, "not_found")
    assert await types(people, "new", "/whoami") is Outcome.ACCEPTED


async def test_a_code_is_shown_once(people: People):
    """Asked for again under the same key, another is not made and this one not shown."""
    assert (await people.alice.post("/api/identities/link-code", key="k")).status == 201
    check_problem(await people.alice.post("/api/identities/link-code", key="k"), 409, "repeated")
    assert len((await people.alice.get("/api/identities/links")).json["items"]) == 1


async def test_what_became_somebodys_is_not_joined(people: People):
    """An admin gave it to Bob in between; the code is over then."""
    made = (await people.alice.post("/api/identities/link-code")).json
    await types(people, "new", f"/link {made['code']}")
    await types(people, "new", "/link yes")
    body = {"channel": "webhook", "account": "default", "sender": "new"}
    assert (await people.carol.post("/api/users/bob/identities", body)).status == 201
    confirm = f"/api/identities/links/{made['id']}/confirm"
    check_problem(await people.alice.post(confirm), 409, "conflict")
    check_problem(await people.alice.post(confirm), 404, "not_found")


async def test_a_code_from_a_chat_is_confirmed_there(people: People):
    """The page sees it and can say no, and not yes."""
    await types(people, "alice", "/link")
    [waits] = (await people.alice.get("/api/identities/links")).json["items"]
    check_problem(await people.alice.post(f"/api/identities/links/{waits['id']}/confirm"), 409, "conflict")
    assert (await people.bob.delete(f"/api/identities/links/{waits['id']}")).status == 404
    assert (await people.alice.delete(f"/api/identities/links/{waits['id']}")).status == 204
    assert (await people.alice.get("/api/identities/links")).json["items"] == []


async def test_people_take_their_own_addresses_off(people: People):
    """An admin anybody's; nobody else somebody's."""
    path = "/api/users/alice/identities?channel=webhook&account=default&sender=alice"
    check_problem(await people.bob.delete(path), 404, "not_found")
    assert (await people.alice.delete(path)).status == 204
    assert await types(people, "alice", "hello") is Outcome.REFUSED


async def test_permissions_are_set_and_shown(people: People):
    """null is all, an empty list none; an unknown word and a member's own wish are refused."""
    for words in (["web", "im"], [], None):
        changed = await people.carol.patch("/api/users/bob", {"permissions": words})
        shown = (await people.carol.get("/api/users/bob")).json["permissions"]
        assert changed.json["permissions"] == shown == (words and ["im", "web"] if words else words)
    assert (await people.carol.patch("/api/users/bob", {"name": "B"})).json["permissions"] is None
    check_problem(await people.carol.patch("/api/users/bob", {"permissions": ["fax"]}), 400, "invalid")
    check_problem(await people.bob.patch("/api/users/bob", {"permissions": None}), 403, "refused")
    check_problem(await people.carol.patch("/api/users/carol", {"permissions": ["im"]}), 409, "conflict")


async def test_a_way_in_that_was_closed_is_closed_at_every_door(people: People):
    """With a token that is REST, `/v1` and the socket; the page goes on. One is told why; open sockets end."""
    device = (await token(people.site, "bob", CredentialKind.DEVICE)).secret
    page = {"Cookie": f"rookery_session={device}", "Origin": people.site.base}
    assert people.bob.token is not None
    async with Client(people.site, people.bob.token) as by_token, Client(people.site, None, **page) as on_page:
        await people.carol.patch("/api/users/bob", {"permissions": ["web"]})
        assert await by_token.end() == 4401
        said = check_problem(await people.bob.get("/api/me"), 403, "refused")
        assert "with tokens and through /v1" in said["detail"]
        assert (await people.bob.get("/v1/models")).status == 403
        me = await people.nobody.ask("GET", "/api/me", headers={"Cookie": page["Cookie"]})
        assert me.json["id"] == "bob"

        await people.carol.patch("/api/users/bob", {"permissions": ["api"]})
        assert await on_page.end() == 4401
    closed = await people.nobody.ask("GET", "/api/me", headers={"Cookie": page["Cookie"]})
    assert "on the web page" in check_problem(closed, 403, "refused")["detail"]
    assert (await people.bob.get("/api/me")).status == 200


@pytest.mark.parametrize(("words", "expected"), [(["api"], 200), (["web"], 403)])
async def test_what_a_token_writes_came_by_a_token(people: People, words: list[str], expected: int):
    """It is answered while tokens may be used, page or not."""
    session = await people.bob.opens(title="x")
    await people.carol.patch("/api/users/bob", {"permissions": words})
    reply = await people.bob.post(f"/api/sessions/{session['sessionId']}/messages", {"text": "hi", "wait": 20})
    assert reply.status == expected
