"""Who is asking, as one word."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from rookery.ids import UserId
from rookery.messages import Address
from rookery.policy import Actor, Guest, Member, Operator, actor_from, principal

_channels = st.from_regex(r"[a-z][a-z0-9]{0,5}", fullmatch=True)
_anything = st.text(alphabet=st.sampled_from("a1:~@%/é0"), min_size=1, max_size=6)
_addresses = st.builds(Address, _channels, _anything, _anything)
_user_ids = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,4}", fullmatch=True).map(UserId)
_actors: st.SearchStrategy[Actor] = st.one_of(
    st.builds(Member, _user_ids), st.builds(Guest, _addresses), st.just(Operator())
)


@given(_actors, _actors)
@example(Guest(Address("a", "1:b", "c")), Guest(Address("a", "1", "b:c")))
@example(Guest(Address("a", "x", "1:y:z")), Guest(Address("a", "x:1", "y:z")))
@example(Member(UserId("operator")), Operator())
def test_two_actors_never_share_a_word(one: Actor, other: Actor) -> None:
    """The word is the same for the same actor and different for any two others."""
    assert (principal(one) == principal(other)) == (one == other)


@given(_user_ids, st.booleans())
def test_a_role_does_not_make_somebody_else(user_id: UserId, admin: bool) -> None:
    """Made an admin, a person stays the same person: their sessions and turns stay theirs."""
    assert principal(Member(user_id, admin)) == principal(Member(user_id))


@given(_addresses)
def test_an_unknown_address_is_a_guest_and_nothing_more(address: Address) -> None:
    """Without a user behind it an address is a guest, whatever is said about admins."""
    assert actor_from(None, True, address) == Guest(address)
    assert actor_from(UserId("alice"), False, address) == Member(UserId("alice"))
