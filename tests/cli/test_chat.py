"""`rookery chat`: saying something, seeing the answer once and whole, and what waited meanwhile."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from functools import partial

import msgspec
import pytest

from rookery.cli.screen import Recorder, Screen
from rookery.cli.talk import Ended, Talk, fresh_id
from rookery.cli.wire import BrokenOff, Failed, Wire, connect
from rookery.gateway.home import Home
from rookery.gateway.shapes import (
    Attach,
    Attached,
    Delta,
    Finished,
    Reply,
    Said,
    Say,
    TerminalEvent,
)
from rookery.messages import ToolCallPart
from rookery.models.scripted import ScriptedModel, Step
from rookery.tools import TimeTool
from tests.cli.command import Rookery, running


def opened(home: Home) -> Wire:
    wire = connect(home)
    assert wire is not None
    return wire


def test_one_message_is_answered_on_standard_output(house: Rookery) -> None:
    """Exactly the reply, so that it can be piped on."""
    house("chat", "--user", "alice", "my locker code is 4711")
    ran = house("chat", "--user", "alice", "what is my locker code?")
    assert (ran.status, ran.out) == (0, "Your locker code is 4711.\n")


@pytest.mark.parametrize("arguments", [["-"], []])
def test_the_message_can_be_piped_in(house: Rookery, arguments: list[str]) -> None:
    """`-`, or standard input that is no terminal."""
    ran = house("chat", "--user", "alice", *arguments, stdin="my locker code is 4711\n")
    assert "Noted: your locker code is 4711." in ran.out
    house("chat", "--user", "alice", *arguments, stdin=" \n").refused_with("nothing to say")


def test_talk_is_remembered_for_the_terminal(house: Rookery) -> None:
    """The next message goes to the friend, in whatever terminal; and the one who was there is not disturbed."""
    house("agent", "add", "alice--sabrina", "--name", "Sabrina")
    house("chat", "--user", "alice", "my locker code is 4711")
    assert "Sabrina answers here from now on." in house("chat", "--user", "alice", "/talk sabrina").out
    assert "4711" not in house("chat", "--user", "alice", "what is my locker code?").out
    assert "Sabrina (alice--sabrina) answers you." in house("chat", "--user", "alice", "/whoami").out
    assert "4711" in house("chat", "--user", "alice", "--agent", "alice", "what is my locker code?").out
    house("agent", "set", "alice--sabrina", "enabled=false")
    ran = house("chat", "--user", "alice", "what is my locker code?")
    assert ran.out == "Your locker code is 4711.\n"
    assert "gone or switched off" in ran.err
    assert "gone or switched off" not in house("chat", "--user", "alice", "hello").err


def test_commands_are_answered(house: Rookery) -> None:
    """A slash command is the gateway's to answer, and ends the command well."""
    assert "You are Alice (alice)" in house("chat", "--user", "alice", "/whoami").out
    assert "/stop" in house("chat", "--user", "alice", "/help").out
    assert "I do not know /frobnicate" in house("chat", "--user", "alice", "/frobnicate").out


def test_who_is_talking_has_to_be_clear(rookery: Rookery) -> None:
    """Nobody: how to add somebody. One: that one, and it is said. Several: which there are."""
    rookery.configure("")
    rookery("chat", "hello").refused_with("rookery user add ID")
    rookery("user", "add", "alice")
    only = rookery("chat", "/whoami")
    assert "(as alice, the only user)" in only.err
    assert "(alice)" in only.out
    rookery("user", "add", "bob")
    rookery("chat", "hello").refused_with("--user", "alice, bob")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--user", "carl"], ["'carl'", "alice, bob"]),
        (["--user", "bob", "--agent", "alice"], ["'alice'", "'bob'", "there is bob"]),
        (["--user", "bob", "--agent", "nobody"], ["'nobody'", "'bob'", "there is bob"]),
        (["--user", "bob", "--session", "agent:alice:main"], ["agent:alice:main"]),
        (["--user", "bob", "--session", ""], ["session"]),
        (["--user", "bob", "--session", "nonsense"], ["'nonsense'"]),
    ],
)
def test_where_somebody_cannot_talk(house: Rookery, arguments: list[str], words: list[str]) -> None:
    """What is another person's reads like what is not there, and nothing is said there."""
    house("chat", "--user", "alice", "my locker code is 4711")
    house("chat", *arguments, "what is my locker code?").refused_with(*words)
    listed = house("session", "list", "--agent", "alice", "--json").json
    assert [session["entryCount"] for session in listed] == [2]


def test_a_turn_that_fails_is_a_failure(house: Rookery) -> None:
    """The reply says why; the exit status says that it is none."""
    house("agent", "set", "alice", "model=openai/gpt-x")
    ran = house("chat", "--user", "alice", "hello")
    assert ran.status == 1
    assert "I have no key for this model yet" in ran.out


def test_what_waited_is_shown_first_and_marked(rookery: Rookery) -> None:
    """Alice left before her answer came; the next time she sees it, before the new one, and only once."""
    model = ScriptedModel([Step(text="the first answer"), Step(text="the second answer"), "the third"])
    rookery("user", "add", "alice")
    with running(rookery.home, model=model) as gateway:
        with opened(rookery.home) as wire:
            wire.call("chat.attach", Attach(user_id="alice"), Attached)
            said = wire.call("chat.say", Say(message_id="1", text="hello"), Said)
            assert said.turn_id is not None
        inner = gateway.house.gateway
        gateway.until(lambda: inner.outbox.waiting == 1 and inner.lanes.running == 0)
        second = rookery("chat", "--user", "alice", "and now?")
        third = rookery("chat", "--user", "alice", "and now?")
    assert second.out == "the second answer\n"
    assert second.err == "[A reply to an earlier message]\nthe first answer\n\n"
    assert (third.out, third.err) == ("the third\n", "")


def test_what_a_terminal_did_not_show_is_shown_by_the_next(rookery: Rookery) -> None:
    """A client that dies with the reply in its hands has not shown it: only its word counts."""
    rookery("user", "add", "alice")
    with running(rookery.home, model=ScriptedModel(["the first answer", "the second"])):
        with opened(rookery.home) as wire:
            wire.call("chat.attach", Attach(user_id="alice"), Attached)
            wire.call("chat.say", Say(message_id="1", text="hello"), Said)
            assert any(isinstance(event, Reply) for event in _events(wire))
        assert "the first answer" in rookery("chat", "--user", "alice", "and now?").err


def test_an_answer_is_streamed_as_it_is_written(rookery: Rookery) -> None:
    """A terminal hears the words while the model still writes, and then how it ended."""
    rookery("user", "add", "alice")
    gate = asyncio.Event()
    model = ScriptedModel([Step(text="one two three", after=gate)])
    with running(rookery.home, model=model) as gateway, opened(rookery.home) as wire:
        wire.call("chat.attach", Attach(user_id="alice"), Attached)
        wire.ask("chat.say", Say(message_id="1", text="count"))
        events = _events(wire)
        streamed = ""
        while streamed != "one two three":
            event = next(events)
            streamed += event.text if isinstance(event, Delta) else ""
        gateway.let(gate.set)
        finished = next(event for event in events if isinstance(event, Finished))
        assert (finished.status, finished.text, finished.deliveries) == ("done", "one two three", 1)


def _events(wire: Wire) -> Iterator[TerminalEvent]:
    for frame in wire.frames():
        if frame.event:
            yield msgspec.json.decode(frame.event, type=TerminalEvent)


class Interrupting(Recorder):
    """Somebody who presses Ctrl-C at the first word, `times` times."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.times = times
        self.notes: list[str] = []

    def delta(self, text: str) -> None:
        if self.times:
            self.times -= 1
            raise KeyboardInterrupt

    def broken_off(self, why: str) -> None:
        self.notes.append(why)


def test_ctrl_c_stops_the_answer(rookery: Rookery) -> None:
    """The first Ctrl-C asks the gateway to stop; the conversation goes on."""
    rookery("user", "add", "alice")
    model = ScriptedModel([Step(text="one two three", after=asyncio.Event()), "here again"])
    with running(rookery.home, model=model):
        screen = Interrupting(times=1)
        talk = Talk(opened(rookery.home), screen)
        talk.attach(Attach(user_id="alice"))
        assert talk.exchange("count") == Ended("cancelled", "stopped")
        assert screen.notes == ["Stopped."]
        assert talk.exchange("and now?").good
        assert screen.said == "here again"
        talk.close()


def test_a_second_ctrl_c_leaves(rookery: Rookery) -> None:
    """Whoever insists gets out at once; the gateway lives."""
    rookery("user", "add", "alice")
    model = ScriptedModel([Step(text="one", after=asyncio.Event()), "here again"])
    with running(rookery.home, model=model):
        talk = Talk(opened(rookery.home), _Insisting())
        talk.attach(Attach(user_id="alice"))
        with pytest.raises(KeyboardInterrupt):
            talk.exchange("count")
        talk.close()
        assert "alice" in rookery("user", "list").out


class _Insisting(Interrupting):
    """Somebody who presses Ctrl-C again at whatever comes next."""

    def __init__(self) -> None:
        super().__init__(times=1)

    def broken_off(self, why: str) -> None:
        raise KeyboardInterrupt


def test_the_same_message_twice_is_answered_once(rookery: Rookery) -> None:
    """A client that lost its connection says the same again, under the same id."""
    rookery("user", "add", "alice")
    model = ScriptedModel(["the only answer"])
    with running(rookery.home, model=model):
        message_id = fresh_id()
        with opened(rookery.home) as wire:
            wire.call("chat.attach", Attach(user_id="alice"), Attached)
            wire.call("chat.say", Say(message_id=message_id, text="hello"), Said)
        screen = Recorder()
        talk = Talk(opened(rookery.home), screen)
        talk.attach(Attach(user_id="alice"))
        talk.exchange("hello", message_id)
        talk.close()
        assert "the only answer" in [screen.said, *screen.heard_earlier]
        assert len(model.requests) == 1


def test_every_terminal_of_a_person_hears_the_answer(rookery: Rookery) -> None:
    """Alice sits at two terminals; Bob's hears nothing."""
    rookery("user", "add", "alice")
    rookery("user", "add", "bob")
    with (
        running(rookery.home, model=ScriptedModel(["for alice"])),
        opened(rookery.home) as one,
        opened(rookery.home) as other,
        opened(rookery.home) as bobs,
    ):
        for wire, user in ((one, "alice"), (other, "alice"), (bobs, "bob")):
            wire.call("chat.attach", Attach(user_id=user), Attached)
        one.call("chat.say", Say(message_id="1", text="hello"), Said)
        heard = [next(e for e in _events(wire) if isinstance(e, Reply)) for wire in (one, other)]
        assert [reply.text for reply in heard] == ["for alice", "for alice"]
        bobs.ask("status")
        assert not next(bobs.frames()).event


def test_what_joins_an_answer_ends_with_it(rookery: Rookery) -> None:
    """Said while a tool is at work, in the same terminal: one answer, which is known to be for both."""
    rookery.configure("messages: {queue: {mode: steer}}")
    rookery("user", "add", "alice")
    gate = asyncio.Event()
    model = ScriptedModel([Step(calls=(ToolCallPart("1", "time", {}),), before=gate), "for both"])
    with running(rookery.home, model=model) as gateway, opened(rookery.home) as wire:
        wire.call("chat.attach", Attach(user_id="alice"), Attached)
        said = wire.call("chat.say", Say(message_id="1", text="hello"), Said)
        gateway.until(lambda: len(model.requests) == 1)
        more = wire.call("chat.say", Say(message_id="2", text="and more"), Said)
        gateway.let(gate.set)
        events = _events(wire)
        finished = next(event for event in events if isinstance(event, Finished))
        reply = next(event for event in events if isinstance(event, Reply))
    assert (finished.turn_id, finished.turn_ids) == (said.turn_id, (said.turn_id, more.turn_id))
    assert (reply.text, reply.in_reply_to) == ("for both", "2")


def test_a_gateway_that_stops_ends_the_conversation(rookery: Rookery) -> None:
    """A terminal learns that the gateway has gone, and does not hang."""
    rookery("user", "add", "alice")
    ended: list[BaseException] = []

    def talk_on(talk: Talk) -> None:
        try:
            talk.exchange("count")
        except BrokenOff as error:
            ended.append(error)

    with running(rookery.home, model=ScriptedModel([Step(text="one", before=asyncio.Event())])) as gateway:
        talk = Talk(opened(rookery.home), Recorder())
        talk.attach(Attach(user_id="alice"))
        thread = threading.Thread(target=talk_on, args=(talk,))
        thread.start()
        gateway.until(lambda: gateway.house.gateway.lanes.running == 1)
    thread.join(10)
    talk.close()
    assert len(ended) == 1


def test_nothing_can_be_said_before_attaching(rookery: Rookery) -> None:
    """Whose terminal it is, comes first."""
    rookery("user", "add", "alice")
    with running(rookery.home), opened(rookery.home) as wire, pytest.raises(Failed, match="Attach first"):
        wire.call("chat.say", Say(message_id="1", text="hello"), Said)


@pytest.mark.parametrize("text", ["", " ", "a\0b"])
def test_a_message_that_is_none(rookery: Rookery, text: str) -> None:
    """What no message may be is refused, and the terminal stays."""
    rookery("user", "add", "alice")
    with running(rookery.home), opened(rookery.home) as wire:
        wire.call("chat.attach", Attach(user_id="alice"), Attached)
        with pytest.raises(Failed):
            wire.call("chat.say", Say(message_id="1", text=text), Said)
        assert wire.call("chat.say", Say(message_id="2", text="hello"), Said).turn_id


# --- what is on the screen ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("streamed", "whole", "shown"),
    [
        (["one ", "two"], "one two", "one two\n"),
        (["one "], "one two", "one two\n"),
        ([], "one two", "one two\n"),
        (["one"], "one\n\nThe answer broke off.", "one\n\nThe answer broke off.\n"),
        (["one two\n"], "one two", "one two\n\n"),
        (["something"], "else", "something\nelse\n"),
    ],
)
def test_a_reply_is_shown_once_and_whole(
    capsys: pytest.CaptureFixture[str], streamed: list[str], whole: str, shown: str
) -> None:
    """What was streamed is not printed again; what is missing is added."""
    screen = Screen(terminal=True)
    for text in streamed:
        screen.delta(text)
    screen.reply(whole)
    assert capsys.readouterr().out == shown


def test_what_came_before_a_tool_is_not_the_reply(capsys: pytest.CaptureFixture[str]) -> None:
    """Each step's words stand on lines of their own."""
    screen = Screen(name="Rookery", terminal=True)
    screen.delta("Let me look.")
    screen.step("time")
    screen.delta("It is noon.")
    screen.reply("It is noon.")
    assert capsys.readouterr().out == "Rookery: Let me look.\nRookery: It is noon.\n"


def test_a_place_in_line_is_said_as_the_wait_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    """When it begins and each time it has become half as long; to nobody who is no terminal."""
    for terminal in (True, False):
        screen = Screen(terminal=terminal)
        for position in (9, 8, 7, 4, 3, 2, 1, None, 1, None):
            screen.in_line(position)
        screen.reply("done")
        said = [
            f"(waiting for a free model, {place} in line)\n" for place in ("9th", "4th", "2nd", "next", "next")
        ]
        assert capsys.readouterr() == ("done\n", "".join(said) if terminal else "")


def test_a_reply_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """A model's words are words: no escape sequence gets through to a terminal."""
    screen = Screen(terminal=True)
    screen.delta("\x1b]0;owned\x07\x1b[2J")
    screen.reply("\x1b]0;owned\x07\x1b[2Jhello\x9b31m")
    assert not set(capsys.readouterr().out) & {"\x1b", "\x07", "\x9b"}


def test_tools_are_seen_at_work(rookery: Rookery) -> None:
    """Between the model's steps the terminal is told which tool runs."""
    rookery("user", "add", "alice")
    model = ScriptedModel([Step(text="Let me look.", calls=(ToolCallPart("1", "time", {}),)), "It is noon."])
    with running(rookery.home, model=model):
        screen = _Steps()
        talk = Talk(opened(rookery.home), screen)
        talk.attach(Attach(user_id="alice"))
        assert talk.exchange("what time is it?").good
        talk.close()
    assert screen.steps == ["time"]
    assert screen.said == "It is noon."


class _Steps(Recorder):
    def __init__(self) -> None:
        super().__init__()
        self.steps: list[str] = []

    def step(self, tool: str) -> None:
        self.steps.append(tool)


@pytest.fixture
def looks_first(monkeypatch: pytest.MonkeyPatch) -> ScriptedModel:
    """The clock is looked at only with somebody's yes, and this model wants to."""

    def approval(*_: object) -> str:
        return "Look at your clock."

    monkeypatch.setattr(TimeTool, "approval", approval, raising=False)
    look = Step(text="Let me look.", calls=(ToolCallPart("1", "time", {}),))
    return ScriptedModel([look, "It is noon.", "And now?"])


@pytest.mark.parametrize("said", [True, False])
def test_what_a_tool_would_do_is_asked_in_the_terminal(
    rookery: Rookery, looks_first: ScriptedModel, said: bool
) -> None:
    """In the middle of the answer."""
    rookery("user", "add", "alice")
    model = looks_first
    with running(rookery.home, model=model):
        screen = _Asked(said)
        talk = Talk(opened(rookery.home), screen)
        talk.attach(Attach(user_id="alice"))
        assert talk.exchange("what time is it?").good
        talk.close()
    [question] = screen.questions
    assert "May I do this? Look at your clock." in question
    assert screen.said == "It is noon."
    told = model.requests[1].history[-1].entry
    assert told.is_error is not said
    assert screen.heard_earlier == [f"Number 1 is {'' if said else 'not '}allowed{', this once' if said else ''}."]


def test_where_nobody_can_be_asked_the_question_stays_open(rookery: Rookery, looks_first: ScriptedModel) -> None:
    """A script is not left hanging: it is told what to do and fails; the answer comes after the yes, once."""
    rookery("user", "add", "alice")
    with running(rookery.home, model=looks_first) as gateway:
        left = rookery("chat", "--user", "alice", "what time is it?")
        assert (left.status, left.out) == (1, "")
        assert "May I do this? Look at your clock." in left.err
        assert f"rookery chat --user alice --home {rookery.home.path} '/approve 1'" in left.err
        inner = gateway.house.gateway
        assert inner.lanes.running == 1

        allowed = rookery("chat", "--user", "alice", "/approve 1")
        assert (allowed.status, allowed.out) == (0, "Number 1 is allowed, this once.\n")
        gateway.until(lambda: inner.lanes.running == 0)
        ran = rookery("chat", "--user", "alice", "hello")
        assert ran.out == "And now?\n"
        assert "It is noon." in allowed.err + ran.err


@pytest.mark.parametrize("mode", ["collect", "steer"])
def test_a_terminal_goes_on_after_a_question_it_could_not_ask(
    rookery: Rookery, looks_first: ScriptedModel, mode: str
) -> None:
    """What is said next is answered as usual, and what the turn that was left says is shown once, as its own."""
    rookery.configure(f"messages: {{queue: {{mode: {mode}}}}}")
    rookery("user", "add", "alice")
    with running(rookery.home, model=looks_first):
        screen = _Asked(None)
        talk = Talk(opened(rookery.home), screen)
        talk.attach(Attach(user_id="alice"))
        assert talk.exchange("what time is it?") == Ended("waiting", asks=1)
        assert talk.exchange("/approve 1").good
        assert talk.exchange("hello").good
        talk.close()
    said = [one for one in [*screen.heard_earlier, screen.said] if one != "Number 1 is allowed, this once."]
    assert said in (["It is noon.", "And now?"], ["It is noon."]), "alone, or in the one answer that it joined"


class _Asked(Recorder):
    """Somebody who is asked, and says yes, no, or nothing."""

    def __init__(self, said: bool | None) -> None:
        super().__init__()
        self.says = said
        self.questions: list[str] = []
        self.on_question: Callable[[], object] = lambda: None

    def asked(self, question: str) -> bool | None:
        self.questions.append(question)
        self.on_question()
        return self.says


def _typed(text: str, _: str) -> str:
    return text


def test_a_question_is_read_from_the_keyboard(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Only a yes is a yes, the end of the input is none, and without a keyboard nobody is asked."""
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    answers = {"y": True, " YES ": True, "": False, "no": False, "yep": False}
    for typed, allowed in answers.items():
        monkeypatch.setattr("builtins.input", partial(_typed, typed))
        assert Screen(terminal=True).asked("May I?\x1b[2J") is allowed

    def at_the_end(_: str) -> str:
        raise EOFError

    monkeypatch.setattr("builtins.input", at_the_end)
    assert Screen(terminal=True).asked("May I?") is False
    assert Screen(terminal=False).asked("May I?") is None
    shown = capsys.readouterr().err
    assert "May I?" in shown
    assert "\x1b" not in shown
