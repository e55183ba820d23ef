"""A model endpoint that does everything wrong: the right person is told, and nothing hangs or is lost."""

from __future__ import annotations

import asyncio

from rookery.messages import StopReason, text_of
from tests.support.fake_openai import Canned
from tests.web.conftest import Site, check_sound

WORDS = {
    "401": "The model does not accept the key I was given. Please tell who runs this gateway.",
    "402": "The account that pays for the model has no credit left. Please tell who runs this gateway.",
    "403": "The key I was given is not for this model. Please tell who runs this gateway.",
    "404": "The model I am set to use does not exist. Please tell who runs this gateway.",
    "400": "The model did not understand the request. Please tell who runs this gateway.",
    "500": "The model is overloaded or broken at the moment. Please write again in a while.",
    "529": "The model is overloaded or broken at the moment. Please write again in ",
    "context-too-long": "This conversation has become too long for the model. "
    "/new begins another; this one is kept.",
    "garbage-html": "The model answered something that is no answer. Please write again in a while.",
    "garbage-sse": "The model answered something that is no answer. Please write again in a while.",
    "close-at-once": "The answer broke off. Please write again in a while.",
}

BROKEN_OFF = {
    "break-mid-stream": "The answer broke off. Please write again in a while.",
    "end-mid-stream": "The answer broke off. Please write again in a while.",
    "error-in-stream": "The model is overloaded or broken at the moment. Please write again in a while.",
}


async def test_every_trouble_is_told_to_who_asked_and_the_next_message_works(site: Site) -> None:
    """One conversation through all of it: each time the person's words, then an answer as if nothing had been."""
    heard = 0
    for model, words in WORDS.items():
        await site.uses("alice", model)
        await site.says("alice", f"try {model}")
        told = (await site.heard("alice", heard + 1))[heard]
        assert told.startswith(words.removesuffix("in a while.")) or told == words, (model, told)
        await site.uses("alice", "instant")
        await site.says("alice", "and again")
        heard += 2
        assert (await site.heard("alice", heard))[-1] == "word1 word2 ", model

    entries = await site.entries("alice")
    check_sound(entries)
    assert len(entries) == 4 * len(WORDS)
    assert [one.stop_reason for one in entries[1::4]] == [StopReason.ERROR] * len(WORDS)
    assert site.house.gateway.lanes.running == site.house.gateway.lanes.waiting == 0


async def test_a_rate_limit_is_passed_on_until_it_is_over(site: Site) -> None:
    """Whoever asks in the seconds that the endpoint named is told how many are left; it is not asked again."""
    await site.uses("alice", "429")
    words = "The model takes no more questions at the moment. Please write again in {} seconds."
    await site.says("alice", "hello?")
    assert await site.heard("alice", 1) == [words.format(7)]
    for person, count in (("alice", 2), ("bob", 1)):
        await site.says(person, "hello?")
        assert (await site.heard(person, count))[-1] in {words.format(left) for left in (7, 6, 5, 4)}
    assert len(site.fake.requests) == 1
    check_sound(await site.entries("alice"))


async def test_what_was_said_before_it_broke_off_is_kept(site: Site) -> None:
    """The person gets the beginning and is told; the transcript holds both; the next prompt has the beginning.

    Words that arrived in the same bytes as an error object were lost with it.
    """
    heard = 0
    for model, words in BROKEN_OFF.items():
        await site.uses("alice", model)
        await site.says("alice", "tell me")
        heard += 1
        assert (await site.heard("alice", heard))[-1] == f"word1 word2 \n\n{words}", model
    await site.uses("alice", "echo")
    await site.says("alice", "go on")
    assert (await site.heard("alice", heard + 1))[-1].count("word1 word2") == len(BROKEN_OFF)
    check_sound(await site.entries("alice"))


async def test_an_endpoint_that_is_down_is_said_so_and_works_again_when_it_is_back(site: Site) -> None:
    """Nothing listens at the address."""
    host, port = site.fake.base_url.removeprefix("http://").removesuffix("/v1").split(":")
    await site.fake.stop()
    await site.says("alice", "anybody there?")
    assert await site.heard("alice", 1) == [
        "The model cannot be reached at the moment. Please write again in a while."
    ]
    await site.fake.start(host, int(port))
    await site.says("alice", "and now?")
    assert (await site.heard("alice", 2))[1] == "word1 word2 "
    check_sound(await site.entries("alice"))


async def test_an_endpoint_that_hangs_is_given_up_at_its_deadline(site: Site) -> None:
    """The connection is closed, the person told; meanwhile somebody else is answered at once."""
    await site.close()
    site.configure(timeout=0.4)
    await site.open()
    await site.uses("alice", "hang")
    await site.says("alice", "hello?")
    await site.says("bob", "hello?")
    assert await site.heard("bob", 1) == ["word1 word2 "]
    assert site.bridge.heard[0].body["to"]["senderId"] == "bob"
    assert await site.heard("alice", 1) == ["The model took too long to answer. Please write again in a while."]
    await site.fake.until(lambda: site.fake.hung_up == 1)
    await site.uses("alice", "instant")
    await site.says("alice", "now?")
    assert (await site.heard("alice", 2))[1] == "word1 word2 "
    check_sound(await site.entries("alice"))


async def test_an_endpoint_that_never_finishes_is_given_up_at_its_deadline(site: Site) -> None:
    """It streams for ever; what came until then is kept and sent."""
    await site.close()
    site.configure(timeout=0.4)
    await site.open()
    await site.uses("alice", "slow")
    await site.says("alice", "hello?")
    await site.fake.until(lambda: site.fake.counts["slow"] == 1)
    site.fake.tick()
    [told] = await site.heard("alice", 1)
    assert told == "word1 \n\nThe model took too long to answer. Please write again in a while."
    check_sound(await site.entries("alice"))


async def test_one_person_s_slow_model_delays_nobody_else(site: Site) -> None:
    """Alice's answer takes as long as it takes; ten of Bob's go by meanwhile."""
    await site.uses("alice", "slow")
    await site.says("alice", "a long story, please")
    await site.fake.until(lambda: site.fake.counts["slow"] == 1)
    for number in range(10):
        await site.says("bob", f"question {number}")
        await site.heard("bob", number + 1)
    site.fake.tick()
    await site.says("alice", "/stop")
    assert await site.heard("alice", 1) == ["Stopped."]
    await site.house.gateway.idle()
    check_sound(await site.entries("alice"))


ODD: dict[str, tuple[bytes, ...]] = {
    "empty": (),
    "blank": (b"\n\n\n",),
    "done at once": (b"data: [DONE]\n\n",),
    "comments": (b": nothing\n\n",),
    "bytes": (b"\x00\xff" * 1000,),
}


async def test_an_endpoint_that_says_nothing_useful_is_told_too(site: Site) -> None:
    """Empty, comments, bytes at random: an answer in words each time, and the next message works."""
    heard = 0
    for name, parts in ODD.items():
        site.fake.serve("odd", Canned(parts))
        await site.uses("alice", "odd")
        await site.says("alice", "hello?")
        told = (await site.heard("alice", heard + 1))[-1]
        expected = ("The model answered", "(The model answered with nothing", "The answer broke off")
        assert told.startswith(expected), name
        await site.uses("alice", "instant")
        await site.says("alice", "now?")
        heard += 2
        assert (await site.heard("alice", heard))[-1] == "word1 word2 ", name
    check_sound(await site.entries("alice"))


async def test_a_tool_is_called_through_the_real_client(site: Site) -> None:
    """The call, its result, and the words after it, in a transcript that is sound."""
    await site.uses("alice", "tool:time")
    await site.says("alice", "what time is it?")
    [told] = await site.heard("alice", 1)
    assert told.startswith("time said: ")
    assert "UTC" in told
    check_sound(await site.entries("alice"))


async def test_no_error_of_one_person_reaches_another(site: Site) -> None:
    """Everything at once, for two people: each hears only of their own messages, in order."""
    troubles = ["401", "garbage-sse", "break-mid-stream", "close-at-once", "500"]

    async def suffers() -> None:
        for number, model in enumerate(troubles):
            await site.uses("alice", model)
            await site.says("alice", f"alice-canary {model}")
            await site.heard("alice", number + 1)

    async def chats() -> None:
        await site.uses("bob", "echo")
        for number in range(5):
            await site.says("bob", f"bob {number}")
            await site.heard("bob", number + 1)

    await asyncio.gather(suffers(), chats())
    assert not any("alice-canary" in text or "Please" in text for text in await site.heard("bob", 5))
    assert [one.body["from"]["agentId"] for one in site.bridge.heard if one.body["to"]["senderId"] == "bob"] == [
        "bob"
    ] * 5
    assert "alice-canary" not in site.log
    check_sound(await site.entries("bob"))


async def test_nothing_the_endpoint_says_of_itself_reaches_the_person(site: Site) -> None:
    """Its error may quote keys and prompts; the person reads our words, the log says which kind it was."""
    site.fake.serve(
        "rude", Canned((b'{"error": {"message": "key sk-123456789 of org-secret"}}',), 400, "application/json")
    )
    await site.uses("alice", "rude")
    await site.says("alice", "alice-canary")
    [told] = await site.heard("alice", 1)
    await site.house.gateway.idle()
    assert "sk-123456789" not in told + site.log
    assert "org-secret" not in told
    assert "alice-canary" not in site.log


async def test_counts_that_cannot_be_are_no_bill_and_stop_nothing(site: Site) -> None:
    """A server that says it read more tokens than there are: the answer arrives, what it counted is a guess."""
    absurd = 10**20
    answer = b'{"choices": [{"message": {"content": "hello"}, "finish_reason": "stop"}], "usage": %b}' % (
        b'{"prompt_tokens": %d, "completion_tokens": %d}' % (absurd, absurd)
    )
    site.fake.serve("absurd", Canned((answer,), content_type="application/json"))
    await site.uses("alice", "absurd")
    await site.says("alice", "hello?")
    assert await site.heard("alice", 1) == ["hello"]
    await site.house.gateway.lanes.idle()
    [used] = [one.usage for one in await site.entries("alice") if one.usage is not None]
    assert used.estimated
    assert "lane.broke" not in site.log
    await site.uses("alice", "instant")
    await site.says("alice", "and again")
    assert await site.heard("alice", 2) == ["hello", "word1 word2 "]


# --- stopping ------------------------------------------------------------------------------------------------


async def test_a_stop_in_the_middle_of_an_answer_loses_nothing(site: Site) -> None:
    """As SIGTERM does: the turn is left, and after the next start the person is answered, once."""
    await site.uses("alice", "slow")
    await site.says("alice", "hello?")
    await site.fake.until(lambda: site.fake.counts["slow"] == 1)
    site.fake.tick()
    await site.close()
    assert site.bridge.heard == []

    await site.open()
    await site.fake.until(lambda: site.fake.counts["slow"] == 2)
    await site.uses("alice", "instant")
    await site.says("alice", "/stop")
    await site.says("alice", "are you back?")
    assert await site.heard("alice", 2) == ["Stopped.", "word1 word2 "]
    entries = await site.entries("alice")
    check_sound(entries)
    assert [text_of(one) for one in entries][::2] == ["hello?", "are you back?"]


async def test_an_answer_that_ends_within_the_grace_is_delivered_before_the_end(site: Site) -> None:
    """The stop waits for it, and for its delivery."""
    await site.close()
    await site.open(grace=10)
    await site.uses("alice", "slow")
    await site.says("alice", "hello?")
    await site.fake.until(lambda: site.fake.counts["slow"] == 1)
    site.fake.tick()
    closing = asyncio.create_task(site.close())
    while site.house.gateway.accepting:
        await asyncio.sleep(0)
    site.fake.finish()
    await closing
    assert [one.text for one in site.bridge.heard] == [
        "word1 \n\nThe answer broke off. Please write again in a while."
    ]


async def test_a_callback_that_is_down_hears_everything_later(site: Site) -> None:
    """In order, under the same ids; a restart in between changes nothing."""
    await site.bridge.down()
    await site.says("alice", "one")
    await site.says("alice", "two")
    await site.house.gateway.lanes.idle()
    await site.close()
    await site.bridge.up()
    await site.open()
    heard = await site.heard("alice", 1)
    await site.house.gateway.idle()
    assert set(heard) == {"word1 word2 "}
