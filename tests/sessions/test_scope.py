"""Scopes: which word decides how messages are grouped, and where each message then arrives."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rookery.errors import ConfigError, InvalidKey
from rookery.messages import Chat, ChatKind
from rookery.sessions.key import PerChannel, PerPeer
from rookery.sessions.scope import (
    Conversation,
    Ephemeral,
    IdentityLinks,
    Scope,
    ScopeWords,
    choose_scope,
    place_for,
)

KNOWN = Conversation("telegram", "work", Chat(ChatKind.DM, "42"), "42", known="bob")
STRANGER = Conversation("telegram", "work", Chat(ChatKind.DM, "42"), "42")


@pytest.mark.parametrize(
    ("scope", "conversation", "per_account", "rest"),
    [
        (Scope.MAIN, KNOWN, False, "home"),
        (Scope.MAIN, STRANGER, True, "home"),
        (Scope.PER_PEER, KNOWN, False, "dm:~bob"),
        (Scope.PER_PEER, KNOWN, True, "dm:~bob"),
        (Scope.PER_PEER, STRANGER, False, "dm:telegram:42"),
        (Scope.PER_PEER, STRANGER, True, "dm:telegram:work:42"),
        (Scope.PER_CHANNEL_PEER, KNOWN, False, "telegram:dm:~bob"),
        (Scope.PER_CHANNEL_PEER, STRANGER, False, "telegram:dm:42"),
        (Scope.PER_CHANNEL_PEER, STRANGER, True, "telegram:work:dm:42"),
        (Scope.PER_ACCOUNT_CHANNEL_PEER, KNOWN, False, "telegram:work:dm:~bob"),
        (Scope.PER_ACCOUNT_CHANNEL_PEER, STRANGER, False, "telegram:work:dm:42"),
        (Scope.PER_ACCOUNT_CHANNEL_PEER, STRANGER, True, "telegram:work:dm:42"),
        (Scope.PER_CHANNEL, KNOWN, False, "telegram:main"),
        (Scope.PER_CHANNEL, STRANGER, True, "telegram:work:main"),
    ],
)
def test_a_direct_message_arrives_where_its_scope_says(
    scope: Scope, conversation: Conversation, per_account: bool, rest: str
) -> None:
    """Each scope has its place; where ids are unique only per account, the account belongs to the name, once."""
    assert place_for(conversation, scope, "home", ids_per_account=per_account).rest == rest


@pytest.mark.parametrize("scope", Scope)
@pytest.mark.parametrize(
    ("kind", "thread", "per_account", "rest"),
    [
        (ChatKind.GROUP, None, False, "telegram:group:-100"),
        (ChatKind.GROUP, "7", False, "telegram:group:-100:thread:7"),
        (ChatKind.GROUP, "7", True, "telegram:work:group:-100:thread:7"),
        (ChatKind.CHANNEL, None, False, "telegram:channel:-100"),
        (ChatKind.CHANNEL, "7", True, "telegram:work:channel:-100:thread:7"),
    ],
)
def test_a_group_is_a_place_of_its_own_under_every_scope(
    scope: Scope, kind: ChatKind, thread: str | None, per_account: bool, rest: str
) -> None:
    """No scope puts a group, a channel or one of their threads together with anything else."""
    for known in (None, "bob"):
        conversation = Conversation("telegram", "work", Chat(kind, "-100"), "42", thread, known)
        assert place_for(conversation, scope, "main", ids_per_account=per_account).rest == rest


@given(
    st.sampled_from([Scope.PER_PEER, Scope.PER_CHANNEL_PEER, Scope.PER_ACCOUNT_CHANNEL_PEER]),
    st.booleans(),
    st.lists(
        st.builds(
            Conversation,
            st.sampled_from(["telegram", "webhook"]),
            st.sampled_from(["default", "Default", "a:b"]),
            st.just(Chat(ChatKind.DM, "c")),
            st.text(st.sampled_from("aA:~3=/0"), min_size=1, max_size=3),
            known=st.none() | st.sampled_from(["a", "A", "3A"]),
        ),
        min_size=2,
        max_size=8,
    ),
)
def test_two_people_never_arrive_at_one_place(
    scope: Scope, per_account: bool, conversations: list[Conversation]
) -> None:
    """Under a scope that keeps people apart, one place holds one sender's messages, or one known person's."""
    people: dict[str, tuple[str | None, ...]] = {}
    for it in conversations:
        stranger = (it.channel, it.account if per_account else None, it.sender_id)
        person = (it.known,) if it.known else stranger
        place = place_for(it, scope, "main", ids_per_account=per_account)
        assert people.setdefault(place.rest, person) == person


@pytest.mark.parametrize("scope", Scope)
def test_a_message_without_a_sender_has_no_place(scope: Scope) -> None:
    """An empty id is an error and never somebody else's conversation."""
    for conversation in (
        Conversation("telegram", "work", Chat(ChatKind.DM, "42"), ""),
        Conversation("telegram", "work", Chat(ChatKind.DM, "42"), "42", known=""),
        Conversation("telegram", "work", Chat(ChatKind.GROUP, ""), "42"),
        Conversation("telegram", "work", Chat(ChatKind.GROUP, "1"), "42", thread_id=""),
        Conversation("", "work", Chat(ChatKind.GROUP, "1"), "42"),
        Conversation("telegram", "", Chat(ChatKind.GROUP, "1"), "42"),
    ):
        with pytest.raises(InvalidKey):
            place_for(conversation, scope, "main", ids_per_account=True)


@pytest.mark.parametrize(
    ("words", "chosen"),
    [
        (ScopeWords(), Scope.MAIN),
        (ScopeWords(isolation_scope="global"), Scope.MAIN),
        (ScopeWords(isolation_scope="per-sender"), Scope.PER_PEER),
        (ScopeWords(isolation_scope="per-channel"), Scope.PER_CHANNEL),
        (ScopeWords(dm_scope="main", isolation_scope="per-channel"), Scope.MAIN),
        (ScopeWords(dm_scope="per-peer", isolation_scope="per-channel"), Scope.PER_PEER),
        (ScopeWords(session_binding="isolated", dm_scope="main"), Scope.PER_ACCOUNT_CHANNEL_PEER),
        (ScopeWords(session_binding="ephemeral", dm_scope="main"), Ephemeral()),
        (ScopeWords(session_binding="shared", dm_scope="per-channel-peer"), Scope.PER_CHANNEL_PEER),
        (ScopeWords(session_binding="shared", isolation_scope="per-sender"), Scope.PER_PEER),
        (ScopeWords(session_binding="shared"), Scope.MAIN),
        (ScopeWords("per-channel", "isolated", "per-peer", "global"), Scope.PER_CHANNEL),
        (ScopeWords("main", "ephemeral", "per-peer", "per-sender"), Scope.MAIN),
        (ScopeWords("isolated", "ephemeral", "main", "global"), Scope.PER_ACCOUNT_CHANNEL_PEER),
        (ScopeWords("ephemeral", "isolated", "main", "global"), Ephemeral()),
    ],
)
def test_the_first_word_wins(words: ScopeWords, chosen: Scope | Ephemeral) -> None:
    """The binding's word, then the account's, then `dmScope`, then the isolation scope, then main."""
    assert choose_scope(words, shared=False) == chosen


@pytest.mark.parametrize(
    ("words", "chosen"),
    [
        (ScopeWords(), Scope.PER_ACCOUNT_CHANNEL_PEER),
        (ScopeWords(dm_scope="main"), Scope.PER_ACCOUNT_CHANNEL_PEER),
        (ScopeWords(dm_scope="per-channel"), Scope.PER_ACCOUNT_CHANNEL_PEER),
        (ScopeWords(dm_scope="per-peer"), Scope.PER_PEER),
        (ScopeWords(dm_scope="per-channel-peer"), Scope.PER_CHANNEL_PEER),
        (ScopeWords(isolation_scope="global"), Scope.PER_ACCOUNT_CHANNEL_PEER),
        (ScopeWords(isolation_scope="per-channel"), Scope.PER_ACCOUNT_CHANNEL_PEER),
        (ScopeWords(isolation_scope="per-sender"), Scope.PER_PEER),
        (ScopeWords(session_binding="shared"), Scope.PER_ACCOUNT_CHANNEL_PEER),
        (ScopeWords(session_binding="shared", dm_scope="main"), Scope.PER_ACCOUNT_CHANNEL_PEER),
        (ScopeWords(session_binding="ephemeral"), Ephemeral()),
        (ScopeWords(binding_session="main"), Scope.MAIN),
        (ScopeWords(binding_session="per-channel", session_binding="isolated"), Scope.PER_CHANNEL),
    ],
)
def test_people_on_a_shared_agent_are_apart_unless_its_binding_says_otherwise(
    words: ScopeWords, chosen: Scope | Ephemeral
) -> None:
    """Only the binding's own word may mix people; what is said for the whole house is not enough."""
    assert choose_scope(words, shared=True) == chosen


_scopes = [scope.value for scope in Scope]


@given(
    st.none() | st.sampled_from(["isolated", "shared", "ephemeral"]),
    st.none() | st.sampled_from(_scopes),
    st.none() | st.sampled_from(["global", "per-sender", "per-channel"]),
)
def test_a_shared_agent_never_mixes_by_accident(
    session_binding: str | None, dm_scope: str | None, isolation: str | None
) -> None:
    """However the rest of the house is set, two strangers who write to a shared agent have two places."""
    chosen = choose_scope(ScopeWords(None, session_binding, dm_scope, isolation), shared=True)

    if isinstance(chosen, Scope):
        one, two = (
            place_for(Conversation("x", "a", Chat(ChatKind.DM, s), s), chosen, "main", ids_per_account=False)
            for s in ("1", "2")
        )
        assert one.rest != two.rest
        assert not isinstance(one, PerChannel)


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (ScopeWords(binding_session="per-user"), "A binding's session cannot be 'per-user'"),
        (ScopeWords(binding_session="shared"), "A binding's session cannot be 'shared'"),
        (ScopeWords(session_binding="main"), "sessionBinding cannot be 'main'"),
        (ScopeWords(session_binding=""), "sessionBinding cannot be ''"),
        (ScopeWords(dm_scope="global"), "session.dmScope cannot be 'global'"),
        (ScopeWords(binding_session="main", dm_scope="Main"), "session.dmScope cannot be 'Main'"),
        (ScopeWords(dm_scope="main", isolation_scope="per-peer"), "defaultScope cannot be 'per-peer'"),
    ],
)
def test_an_unknown_word_stops_instead_of_meaning_main(words: ScopeWords, what: str) -> None:
    """A misspelled word is a configuration error that lists the words there are, also when it is not reached."""
    with pytest.raises(ConfigError, match=re.escape(what) + ".*it is one of"):
        choose_scope(words, shared=False)


def test_linked_senders_go_by_one_name() -> None:
    """A link holds for exactly the sender it names: on one account, or on every account of the channel."""
    links = IdentityLinks(
        {"bob": [("telegram", None, "42"), ("webhook", "shop", "7")], "Eve": [("webhook", "desk", "7")]}
    )

    assert links.name_of("telegram", "work", "42") == "bob"
    assert links.name_of("telegram", "home", "42") == "bob"
    assert links.name_of("webhook", "shop", "7") == "bob"
    assert links.name_of("webhook", "desk", "7") == "Eve"
    assert links.name_of("webhook", "other", "7") is None
    assert links.name_of("Telegram", "work", "42") is None
    assert links.name_of("telegram", "work", "042") is None
    assert links.name_of("discord", "work", "42") is None


def test_linked_senders_share_a_place() -> None:
    """Per-peer, a linked guest continues on the second network what they began on the first."""
    links = IdentityLinks({"bob": [("telegram", None, "42"), ("discord", None, "99")]})

    rests = {
        place_for(
            Conversation(
                channel, "a", Chat(ChatKind.DM, sender), sender, known=links.name_of(channel, "a", sender)
            ),
            Scope.PER_PEER,
            "main",
            ids_per_account=False,
        ).rest
        for channel, sender in (("telegram", "42"), ("discord", "99"))
    }
    assert rests == {"dm:~bob"}
    assert isinstance(place_for(STRANGER, Scope.PER_PEER, "main", ids_per_account=False), PerPeer)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (("telegram", None, "42"), ("telegram", None, "42")),
        (("telegram", "work", "42"), ("telegram", "work", "42")),
        (("telegram", None, "42"), ("telegram", "work", "42")),
        (("telegram", "work", "42"), ("telegram", None, "42")),
    ],
)
def test_one_sender_is_not_two_people(
    first: tuple[str, str | None, str], second: tuple[str, str | None, str]
) -> None:
    """Two names for one sender is an error that names both, whether or not one of them names the account."""
    with pytest.raises(ConfigError, match=r"'eve'.*'bob'"):
        IdentityLinks({"bob": [first], "eve": [second]})
    assert IdentityLinks({"bob": [first, second]}).name_of("telegram", "work", "42") == "bob"


@pytest.mark.parametrize(
    "mapping",
    [
        {"bob smith": [("telegram", None, "42")]},
        {"": [("telegram", None, "42")]},
        {"bob": [("", None, "42")]},
        {"bob": [("telegram", "", "42")]},
        {"bob": [("telegram", None, "")]},
    ],
)
def test_a_link_that_names_nobody_is_refused(mapping: dict[str, list[tuple[str, str | None, str]]]) -> None:
    """A name that could not stand in a key, or an address with an empty part, is a configuration error."""
    with pytest.raises(ConfigError, match="identityLinks"):
        IdentityLinks(mapping)
