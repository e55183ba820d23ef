"""What failed is left alone for a while: how long, what of it, and what ends it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rookery.errors import ModelError, ModelErrorKind
from rookery.models import Key, Model
from rookery.models.cooldown import Cooldowns, KeyCooling, KeyName, Scope
from rookery.models.scripted import ScriptedModel

Kind = ModelErrorKind
SECRET = Key("secret")
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SOON = [5, 15, 45, 135, 300, 300]
LATER = [60, 300, 1500, 3600, 3600]


@dataclass(frozen=True)
class Asked:
    """One place where a model can be asked."""

    provider: str = "local"
    model_name: str = "small"
    key_name: str | None = "house"
    key: Key | None = SECRET
    model: Model | None = None
    key_owner: str = ""


HERE = Asked()


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def left(cooldowns: Cooldowns, place: Asked = HERE, seconds: float = 0) -> float | None:
    """For how much longer a place cools, some seconds after noon."""
    found = cooldowns.cooling(place, at(seconds))
    return None if found is None else found.left(at(seconds))


def fail(
    cooldowns: Cooldowns,
    kind: Kind,
    seconds: float = 0,
    *,
    place: Asked = HERE,
    began: float | None = None,
    hint: float | None = None,
    heard: bool = False,
) -> None:
    """Let a call fail that many seconds after noon; it began then, unless something else is said."""
    error = ModelError(kind, "no", retry_after=hint)
    begun = at(seconds if began is None else began)
    cooldowns.failed(place, error, begun=begun, now=at(seconds), heard=heard)


OTHER_KEY = replace(HERE, key_name="own", key=Key("other"))
OTHER_MODEL = replace(HERE, model_name="large")
OTHER_PROVIDER = replace(HERE, provider="remote")


@pytest.mark.parametrize(
    ("kind", "scope", "seconds"),
    [
        (Kind.RATE_LIMITED, Scope.KEY, SOON),
        (Kind.WRONG_KEY, Scope.KEY, LATER),
        (Kind.NO_CREDIT, Scope.KEY, LATER),
        (Kind.OVERLOADED, Scope.PROVIDER, SOON),
        (Kind.UNREACHABLE, Scope.PROVIDER, SOON),
        (Kind.TIMED_OUT, Scope.PROVIDER, SOON),
        (Kind.GARBAGE, Scope.PROVIDER, SOON),
        (Kind.BROKEN_OFF, Scope.PROVIDER, SOON),
        (Kind.UNKNOWN_MODEL, Scope.MODEL, [300, 300, 300]),
        (Kind.NOT_PERMITTED, Scope.MODEL, [300, 300, 300]),
        (Kind.CONTEXT_TOO_LONG, None, []),
        (Kind.CONTENT_REFUSED, None, []),
        (Kind.BAD_REQUEST, None, []),
        (Kind.NO_KEY, None, []),
        (Kind.LOCKED_KEY, None, []),
    ],
)
def test_each_failure_cools_what_it_says_something_of(kind: Kind, scope: Scope | None, seconds: list[int]):
    """The key, the provider or the model; longer each time it fails again; and nothing else."""
    cooldowns = Cooldowns()
    now = 0.0
    fail(cooldowns, kind, now)
    if scope is None:
        assert left(cooldowns) is None
        assert not cooldowns.active(NOON)
        return
    assert [one.scope for one in cooldowns.active(NOON)] == [scope]
    assert (left(cooldowns, OTHER_KEY) is None) == (scope is not Scope.PROVIDER)
    assert (left(cooldowns, OTHER_MODEL) is None) == (scope is Scope.MODEL)
    assert left(cooldowns, OTHER_PROVIDER) is None
    for wanted in seconds:
        assert left(cooldowns, seconds=now) == wanted
        now += wanted
        assert left(cooldowns, seconds=now) is None
        fail(cooldowns, kind, now)


def test_a_hint_is_taken_at_its_word_within_reason():
    """A rate limit ends when the provider said; an hour is the longest, and none at all is none."""
    for hint, wanted in ((7.5, 7.5), (0.0, None), (86_400.0, 3600.0)):
        cooldowns = Cooldowns()
        fail(cooldowns, Kind.RATE_LIMITED, hint=hint)
        assert left(cooldowns) == wanted
    cooldowns = Cooldowns()
    fail(cooldowns, Kind.WRONG_KEY, hint=1.0)
    assert left(cooldowns) == 60


def test_whoever_asks_meanwhile_is_told_the_seconds_that_are_left():
    """The words of the failure itself; a number only where the provider gave one."""
    cooldowns = Cooldowns()
    fail(cooldowns, Kind.RATE_LIMITED, hint=20.0)
    found = cooldowns.cooling(HERE, at(12))
    assert found is not None
    error = found.error(at(12))
    assert (error.kind, error.retry_after) == (Kind.RATE_LIMITED, 8.0)
    fail(cooldowns, Kind.OVERLOADED, 12, place=OTHER_PROVIDER)
    found = cooldowns.cooling(OTHER_PROVIDER, at(13))
    assert found is not None
    assert found.error(at(13)).retry_after is None


def test_a_key_of_the_same_name_is_another_key():
    """Alice's exhausted key called `own` is not Bob's, and not her next one either."""
    cooldowns = Cooldowns()
    alice = replace(HERE, key_name="own", key=Key("alice's"))
    fail(cooldowns, Kind.NO_CREDIT, place=alice)
    assert left(cooldowns, alice) == 60
    assert left(cooldowns, replace(alice, key=Key("bob's"))) is None
    assert left(cooldowns, replace(alice, key_name="house")) is None


def test_a_provider_that_moved_is_another_provider():
    """Its client is another one; what the old address did says nothing."""
    cooldowns = Cooldowns()
    here = replace(HERE, model=ScriptedModel(()))
    fail(cooldowns, Kind.UNREACHABLE, place=here)
    assert left(cooldowns, here) == 5
    assert left(cooldowns, replace(here, model=ScriptedModel(()))) is None


def test_a_success_ends_it_and_the_next_failure_is_a_first_one():
    """Key, provider and model all answered."""
    cooldowns = Cooldowns()
    for kind in (Kind.RATE_LIMITED, Kind.OVERLOADED, Kind.UNKNOWN_MODEL):
        fail(cooldowns, kind)
        fail(cooldowns, kind, 1)
    assert len(cooldowns.active(at(1))) == 3
    cooldowns.succeeded(HERE, begun=at(2))
    assert cooldowns.active(at(2)) == []
    fail(cooldowns, Kind.OVERLOADED, 3)
    assert left(cooldowns, seconds=3) == 5


def test_a_storm_is_one_failure():
    """Sixteen calls that were under way together and fail one by one do not make it longer and longer."""
    cooldowns = Cooldowns()
    for number in range(16):
        fail(cooldowns, Kind.OVERLOADED, 10 + number / 100, began=number / 100)
    assert left(cooldowns, seconds=10.2) == pytest.approx(4.95)
    fail(cooldowns, Kind.OVERLOADED, 16)
    assert left(cooldowns, seconds=16) == 15


def test_who_was_let_in_before_it_failed_says_nothing_by_being_answered():
    """A call that began before the rate limit was met ends well; the limit stays."""
    cooldowns = Cooldowns()
    fail(cooldowns, Kind.RATE_LIMITED, 10, hint=30.0)
    cooldowns.succeeded(HERE, begun=at(5))
    assert left(cooldowns, seconds=11) == 29
    cooldowns.succeeded(HERE, begun=at(11))
    assert left(cooldowns, seconds=12) is None


def test_an_answer_that_breaks_off_is_no_reason_by_itself():
    """In the middle of an answer only what the provider says in words counts."""
    for kind in (Kind.BROKEN_OFF, Kind.TIMED_OUT, Kind.GARBAGE):
        cooldowns = Cooldowns()
        fail(cooldowns, kind, heard=True)
        assert left(cooldowns) is None
    for kind in (Kind.OVERLOADED, Kind.RATE_LIMITED, Kind.NO_CREDIT):
        cooldowns = Cooldowns()
        fail(cooldowns, kind, heard=True)
        assert left(cooldowns) is not None


def test_a_clock_that_is_set_back_freezes_nothing():
    """A moment before it failed is a moment at which it had not failed."""
    cooldowns = Cooldowns()
    fail(cooldowns, Kind.WRONG_KEY, 1000)
    assert left(cooldowns, seconds=-86_400) is None


def test_what_was_long_ago_is_forgotten():
    """Longer than an hour after its end a failure is a first one again."""
    cooldowns = Cooldowns()
    fail(cooldowns, Kind.OVERLOADED)
    fail(cooldowns, Kind.OVERLOADED, 5)
    fail(cooldowns, Kind.OVERLOADED, 5 + 15 + 3601)
    assert left(cooldowns, seconds=5 + 15 + 3601) == 5


def test_a_change_of_the_configuration_forgets():
    """The provider's, or the key's."""
    cooldowns = Cooldowns()
    fail(cooldowns, Kind.OVERLOADED)
    fail(cooldowns, Kind.WRONG_KEY)
    fail(cooldowns, Kind.WRONG_KEY, place=OTHER_KEY)
    cooldowns.forget_key("local", "house")
    assert {(one.scope, one.name) for one in cooldowns.active(NOON)} == {
        (Scope.PROVIDER, None),
        (Scope.KEY, "own"),
    }
    cooldowns.forget_provider("local")
    assert cooldowns.active(NOON) == []


def test_what_is_shown_holds_no_secret():
    """Whatever prints it."""
    cooldowns = Cooldowns()
    fail(cooldowns, Kind.WRONG_KEY)
    assert "secret" not in repr(cooldowns)
    assert "secret" not in repr(cooldowns.active(NOON))


def test_it_does_not_grow_for_ever():
    """A thousand keys that fail and are never heard of again."""
    cooldowns = Cooldowns()
    for number in range(1000):
        place = replace(HERE, key_name=f"k{number}", key=Key(f"s{number}"))
        fail(cooldowns, Kind.RATE_LIMITED, number * 60, place=place)
    assert len(repr(cooldowns).split("Cooling(")) < 200


@given(
    st.lists(
        st.tuples(
            st.sampled_from(Kind),
            st.floats(0, 500),
            st.floats(0, 300),
            st.booleans(),
            st.none() | st.floats(0, 1e6),
        ),
        max_size=30,
    )
)
def test_nothing_cools_for_more_than_an_hour(events: list[tuple[Kind, float, float, bool, float | None]]):
    """Whatever happens in whatever order; and what was answered last, after all failures, does not cool."""
    cooldowns, now = Cooldowns(), 0.0
    for kind, passes, took, good, hint in events:
        now += passes
        if good:
            cooldowns.succeeded(HERE, begun=at(now - took))
        else:
            fail(cooldowns, kind, now, began=now - took, hint=hint)
        assert (left(cooldowns, seconds=now) or 0) <= 3600
    cooldowns.succeeded(HERE, begun=at(now))
    assert left(cooldowns, seconds=now) is None


# --- keys over a restart -----------------------------------------------------------------------------------------


class Kept:
    """Where it is kept what cools of keys."""

    def __init__(self) -> None:
        self.rows: dict[KeyName, KeyCooling] = {}

    def keep(self, key: KeyName, kept: KeyCooling | None) -> None:
        if kept is None:
            self.rows.pop(key, None)
        else:
            self.rows[key] = kept

    def after_a_restart(self) -> Cooldowns:
        cooldowns = Cooldowns(self.keep)
        cooldowns.restore(list(self.rows.values()))
        return cooldowns


OWN = replace(HERE, key_name="profile:default", key=Key("own"), key_owner="alice")


@pytest.mark.parametrize("place", [HERE, OWN])
def test_what_a_key_cools_for_outlives_a_restart(place: Asked):
    """As long as it was to, and the next failure counts on from there; what a success ended is gone."""
    kept = Kept()
    before = Cooldowns(kept.keep)
    fail(before, Kind.WRONG_KEY, place=place)
    fail(before, Kind.WRONG_KEY, 61, place=place)
    after = kept.after_a_restart()
    assert left(after, place, 70) == before.active(at(70))[0].left(at(70)) == 291
    assert [one.name for one in after.active(at(70))] == [place.key_name]
    fail(after, Kind.WRONG_KEY, 400, place=place)
    assert left(after, place, 400) == 1500
    assert left(kept.after_a_restart(), place, 400) == 1500
    after.succeeded(place, begun=at(500))
    assert kept.rows == {}
    assert left(kept.after_a_restart(), place, 500) is None


def test_what_is_kept_is_shown_before_anybody_asks():
    """A listing right after the start has it, and once."""
    kept = Kept()
    fail(Cooldowns(kept.keep), Kind.NO_CREDIT, place=OWN)
    after = kept.after_a_restart()
    for _ in range(2):
        [shown] = after.active(at(1))
        assert (shown.owner, shown.provider, shown.name) == ("alice", "local", "profile:default")
        assert left(after, OWN, 1) == 59


def test_another_key_of_that_name_after_a_restart_is_another_key():
    """Changed while nothing ran, it starts afresh, and what was kept of the old one goes."""
    kept = Kept()
    fail(Cooldowns(kept.keep), Kind.WRONG_KEY, place=OWN)
    after = kept.after_a_restart()
    assert left(after, replace(OWN, key=Key("new"))) is None
    assert kept.rows == {}
    assert left(after, OWN) is None


def test_a_profile_of_one_agent_is_nothing_to_another_s():
    """Of the same name, the same provider, and even the same key: neither now nor after a restart."""
    kept = Kept()
    theirs = replace(OWN, key_owner="bob")
    before = Cooldowns(kept.keep)
    fail(before, Kind.WRONG_KEY, place=OWN)
    for cooldowns in (before, kept.after_a_restart()):
        assert left(cooldowns, theirs) is None
        assert left(cooldowns, replace(OWN, key_owner="")) is None
        assert left(cooldowns, OWN) == 60
        cooldowns.forget_key("local", "profile:default", "bob")
        assert left(cooldowns, OWN) == 60


def test_only_keys_are_kept():
    """A provider that was down may be up again, and a call without a key says nothing of any."""
    kept = Kept()
    cooldowns = Cooldowns(kept.keep)
    for kind in Kind:
        if kind not in {Kind.RATE_LIMITED, Kind.WRONG_KEY, Kind.NO_CREDIT}:
            fail(cooldowns, kind)
    fail(cooldowns, Kind.RATE_LIMITED, place=replace(HERE, key=None, key_name=None))
    assert kept.rows == {}


def _its_key(cooldowns: Cooldowns) -> None:
    cooldowns.forget_key("local", "profile:default", "alice")


def _its_agent(cooldowns: Cooldowns) -> None:
    cooldowns.forget_owner("alice")


def _its_provider(cooldowns: Cooldowns) -> None:
    cooldowns.forget_provider("local")


@pytest.mark.parametrize("forget", [_its_key, _its_agent, _its_provider])
@pytest.mark.parametrize("restarted", [False, True])
def test_a_key_that_is_changed_or_taken_away_is_not_kept(forget: Callable[[Cooldowns], None], restarted: bool):
    """Nor those of an agent that is gone, nor those of a provider that was set up anew."""
    kept = Kept()
    cooldowns = Cooldowns(kept.keep)
    fail(cooldowns, Kind.WRONG_KEY, place=OWN)
    forget(kept.after_a_restart() if restarted else cooldowns)
    assert kept.rows == {}


def test_what_is_kept_of_a_key_holds_nothing_to_guess_it_by():
    """Four hexadecimal digits tell it from another; the key is nowhere."""
    kept = Kept()
    fail(Cooldowns(kept.keep), Kind.WRONG_KEY, place=replace(HERE, key=Key("sk-a-long-secret")))
    [row] = kept.rows.values()
    assert len(row.mark) == 4
    assert "secret" not in repr(kept.rows)
