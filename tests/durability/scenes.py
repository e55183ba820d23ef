"""What people do while the gateway is killed: each scene touches another part of a message's path."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from rookery.config.words import QueueMode
from rookery.gateway.rules import QueueRules
from tests.durability.play import Play, Scene


async def plain(play: Play) -> None:
    """Two messages, one after the other."""
    await play.says("alice", "good morning")
    await play.says("alice", "how are you")


async def keyed(play: Play) -> None:
    """On a network that takes an idempotency key."""
    await play.says("alice", "good morning", network=play.house.webhook)


async def batch(play: Play) -> None:
    """Three messages typed while the first is answered, and one more while those three are."""
    await play.says("alice", "hold on a")
    await play.model.asked(1)
    for text in ("hold b", "c", "d"):
        await play.says("alice", text)
    play.curtain.set()
    await play.says("alice", "e")


async def followup(play: Play) -> None:
    """The same, each answered alone."""
    play.house.rule(queue=QueueRules(mode=QueueMode.FOLLOWUP, debounce=0))
    for text in ("hold on a", "b", "c"):
        await play.says("alice", text)
    play.curtain.set()


async def overtaking(play: Play) -> None:
    """The second message is there before anybody can have looked what became of the first."""
    play.time_stands = True
    await play.says("alice", "a")
    await play.says("alice", "b")
    await play.comes_to_a_stand()
    play.time_stands = False


async def effects(play: Play) -> None:
    """A tool that does something outside, and the next message."""
    await play.says("alice", "do the deed")
    await play.says("alice", "thanks")


async def pure(play: Play) -> None:
    """A tool that changes nothing, together with one that does."""
    await play.says("alice", "look before the deed")


async def broken_tool(play: Play) -> None:
    """A tool that fails."""
    await play.says("alice", "a broken deed")


async def exploding_tool(play: Play) -> None:
    """A tool with a mistake in it."""
    await play.says("alice", "an explosive deed")
    await play.house.telegram.hears("alice", 1)
    await play.says("alice", "go on")


async def new(play: Play) -> None:
    """Another conversation begins between two messages."""
    await play.says("alice", "one")
    await play.says("alice", "/new Holidays")
    await play.says("alice", "two")


async def stop(play: Play) -> None:
    """An answer without end is stopped, with what waits behind it."""
    await play.says("alice", "an endless story")
    await play.model.asked(1)
    await play.says("alice", "b")
    await play.says("alice", "/stop")
    await play.says("alice", "c")


async def interrupt(play: Play) -> None:
    """A newer message cuts an answer short."""
    play.house.rule(queue=QueueRules(mode=QueueMode.INTERRUPT, debounce=0))
    await play.says("alice", "an endless story")
    await play.model.asked(1)
    await play.says("alice", "no, wait")


async def interrupt_early(play: Play) -> None:
    """A newer message comes before the older one was even shown to the model."""
    play.house.rule(queue=QueueRules(mode=QueueMode.INTERRUPT, debounce=0))
    await play.says("alice", "one")
    await play.says("alice", "two")
    await play.says("alice", "three")


async def steer(play: Play) -> None:
    """Messages join a running turn, and not what came by another route, nor what stands behind that."""
    play.house.rule(queue=QueueRules(mode=QueueMode.STEER, debounce=0))
    await play.says("alice", "hold the look")
    await play.model.asked(1)
    await play.says("alice", "then do the deed")
    await play.says("alice", "by mail", network=play.house.email)
    play.curtain.set()
    await play.model.asked(2)
    await play.says("alice", "c")


async def steer_once(play: Play) -> None:
    """One message joins a running turn."""
    play.house.rule(queue=QueueRules(mode=QueueMode.STEER, debounce=0))
    await play.says("alice", "hold the look")
    await play.model.asked(1)
    await play.says("alice", "b")
    play.curtain.set()


async def steer_and_stop(play: Play) -> None:
    """A turn is stopped after a message joined it, with what waits behind it."""
    play.house.rule(queue=QueueRules(mode=QueueMode.STEER, debounce=0))
    await play.says("alice", "hold the look")
    await play.model.asked(1)
    await play.says("alice", "an endless story")
    play.curtain.set()
    await play.model.asked(2)
    await play.says("alice", "b")
    await play.says("alice", "/stop")
    await play.says("alice", "c")


async def allowed(play: Play) -> None:
    """A deed that needs a yes, the yes, and the next message."""
    await play.says("alice", "a guarded deed")
    await play.house.telegram.hears("alice", 1)
    await play.says("alice", "thanks")
    await play.says("alice", "/approve 1")


async def allowed_once(play: Play) -> None:
    """A deed that needs a yes, and the yes."""
    await play.says("alice", "a guarded deed")
    await play.is_asked("alice", 1)
    await play.says("alice", "/approve 1")


async def denied(play: Play) -> None:
    """A look, and a deed that the person does not allow."""
    await play.says("alice", "look before the guarded deed")
    await play.house.telegram.hears("alice", 1)
    await play.says("alice", "/deny")


async def asked_apart(play: Play) -> None:
    """Alice's yes is none to what Bob is asked, though it is of the same number."""
    await play.says("bob", "a guarded deed")
    await play.is_asked("bob", 1)
    await play.says("alice", "/approve 1")
    await play.says("bob", "/deny 1")


async def asked_again(play: Play) -> None:
    """The second deed is another question, which the number of the first does not answer."""
    await play.says("alice", "a guarded deed")
    await play.is_asked("alice", 1)
    await play.says("alice", "/approve 1")
    await play.says("alice", "another guarded deed")
    await play.is_asked("alice", 2)
    await play.says("alice", "/approve 1")
    await play.says("alice", "/deny 2")


async def deleted(play: Play) -> None:
    """A conversation is put in the bin, the next one begins in its place, and the first is purged."""
    await play.says("alice", "one")
    await play.house.telegram.hears("alice", 1)
    first = await play.session_of("alice")
    await play.deletes("alice", first)
    await play.says("alice", "two")
    await play.deletes("alice", first, purge=True)


async def purged_while_answered(play: Play) -> None:
    """An answer without end is purged, with what waits behind it."""
    await play.says("alice", "an endless story")
    await play.model.asked(1)
    await play.says("alice", "b")
    await play.deletes("alice", await play.session_of("alice"), purge=True)
    await play.says("alice", "c")


async def failed_model(play: Play) -> None:
    """The model fails; the person is told so."""
    await play.says("alice", "fail, please")
    await play.says("alice", "and now")


async def chunks(play: Play) -> None:
    """A reply in several parts."""
    await play.says("alice", "a long one")


async def two_people(play: Play) -> None:
    """Two people at once, one of them on two networks."""

    async def alice() -> None:
        await play.says("alice", "alice one")
        await play.says("alice", "alice two", network=play.house.email)

    async def bob() -> None:
        await play.says("bob", "bob one", network=play.house.email)
        await play.says("bob", "bob does a deed", network=play.house.email)

    await asyncio.gather(alice(), bob())


SCENES: Mapping[str, Scene] = {
    scene.__name__: scene
    for scene in (
        plain,
        keyed,
        batch,
        followup,
        overtaking,
        effects,
        pure,
        broken_tool,
        exploding_tool,
        allowed,
        denied,
        asked_apart,
        asked_again,
        new,
        stop,
        interrupt,
        interrupt_early,
        steer,
        steer_and_stop,
        deleted,
        purged_while_answered,
        failed_model,
        chunks,
        two_people,
    )
}
