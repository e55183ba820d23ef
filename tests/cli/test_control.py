"""The control socket: who may speak through it, and what it makes of whatever is said."""

from __future__ import annotations

import json
import os
import socket
import stat
import time
from collections.abc import Generator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rookery.cli.wire import Failed, Wire, connect
from rookery.errors import ConfigError, NotFound
from rookery.gateway.frames import LONGEST_REQUEST
from rookery.gateway.home import Home
from rookery.gateway.operations.table import OPERATIONS
from rookery.gateway.shapes import Attach, Attached, Status, User, UserAdd
from tests.cli.command import ADDRESS, Rookery, running


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


@pytest.fixture
def gateway(home: Home) -> Generator[Home]:
    """A gateway that runs on a home."""
    with running(home):
        yield home


class Raw:
    """A client that says what it likes."""

    def __init__(self, home: Home) -> None:
        wire = connect(home)
        assert wire is not None
        wire.close()
        self.end = socket.socket(socket.AF_UNIX)
        self.end.settimeout(20)
        self.end.connect(str(home.socket))
        self.file = self.end.makefile("rb")

    def __enter__(self) -> Raw:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()
        self.end.close()

    def says(self, line: bytes) -> Any:
        """Send bytes, and read one answer; None when the gateway hung up."""
        self.end.sendall(line)
        answer = self.file.readline()
        return json.loads(answer) if answer else None


def opened(home: Home) -> Wire:
    wire = connect(home)
    assert wire is not None
    return wire


def test_the_socket_is_this_users_alone(gateway: Home) -> None:
    """Others on this machine cannot even try: 0600, from the first moment."""
    assert stat.S_IMODE(gateway.socket.stat().st_mode) == 0o600


def test_another_user_is_refused(home: Home) -> None:
    """The kernel's word on who is at the other end counts, whatever the file's mode says."""
    stranger = os.geteuid() + 1
    with (
        running(home, peer_uid=lambda _: stranger),
        opened(home) as wire,
        pytest.raises(Failed, match="another user"),
    ):
        wire.call("status", None, Status)


def test_root_and_we_ourselves_are_let_in(home: Home) -> None:
    """Whoever holds the host is the operator."""
    for uid in {0, os.geteuid()}:
        with running(home, peer_uid=lambda _, uid=uid: uid), opened(home) as wire:
            assert wire.call("status", None, Status).address == ADDRESS


@pytest.mark.parametrize(
    "line",
    [
        b"\n",
        b"hello\n",
        b"{}\n",
        b"[]\n",
        b"null\n",
        b'{"id": "1", "method": "status"}\n',
        b'{"id": 1}\n',
        b'{"id": 1, "method": 7}\n',
        b'{"id": 1.5, "method": "status"}\n',
        b"\xff\xfe\n",
        b"[" * 100_000 + b"\n",
    ],
)
def test_what_is_no_request_is_answered_with_an_error(gateway: Home, line: bytes) -> None:
    """And the connection goes on."""
    with Raw(gateway) as raw:
        answer = raw.says(line)
        assert answer["id"] is None
        assert answer["error"]["code"] == "invalid"
        assert raw.says(b'{"id": 7, "method": "status"}\n')["result"]["running"] is True


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        ({"method": "nonsense"}, "not_found"),
        ({"method": "user.add", "params": {}}, "invalid"),
        ({"method": "user.add", "params": {"id": 7}}, "invalid"),
        ({"method": "user.add", "params": {"id": "bob", "pasword": "x"}}, "invalid"),
        ({"method": "user.add", "params": {"id": "bob", "role": "king"}}, "invalid"),
        ({"method": "user.add", "params": {"id": "a b"}}, "invalid_id"),
        ({"method": "user.add", "params": []}, "invalid"),
        ({"method": "chat.say", "params": {"messageId": "1", "text": "x"}}, "invalid"),
        ({"method": "chat.attach", "params": {"userId": "nobody"}}, "not_found"),
    ],
)
def test_a_request_that_does_not_fit(gateway: Home, request_: dict[str, Any], code: str) -> None:
    """Each is answered under its id with the stable word for what is wrong."""
    with Raw(gateway) as raw:
        answer = raw.says(json.dumps({"id": 3, **request_}).encode() + b"\n")
        assert answer["id"] == 3
        assert answer["error"]["code"] == code
        assert answer["error"]["detail"]


def test_an_endless_request_is_cut_off(gateway: Home) -> None:
    """More than the largest request is not even read."""
    with Raw(gateway) as raw:
        answer = raw.says(b'{"id": 1, "method": "' + b"x" * LONGEST_REQUEST)
        assert answer["error"]["code"] == "too_large"
        assert raw.file.readline() == b""


def test_a_broken_off_request_hurts_nobody(gateway: Home) -> None:
    """A client that dies in the middle of a line is simply gone."""
    for _ in range(20):
        with Raw(gateway) as raw:
            raw.end.sendall(b'{"id": 1, "method": "stat')
    with opened(gateway) as wire:
        assert wire.call("status", None, Status).running


_ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)
_METHODS = st.sampled_from([*OPERATIONS, "chat.attach", "chat.say", "chat.ack"]) | st.text()
_FIELDS = st.sampled_from(
    [
        "id",
        "userId",
        "agentId",
        "session",
        "sharedKey",
        "channel",
        "sender",
        "account",
        "text",
        "messageId",
        "last",
    ]
)
_REQUESTS = st.fixed_dictionaries(
    {"id": st.integers(0, 9) | _ANY_JSON, "method": _METHODS | _ANY_JSON},
    optional={"params": st.dictionaries(_FIELDS, _ANY_JSON) | _ANY_JSON},
).map(lambda request: json.dumps(request).encode())
_LINES = st.one_of(st.binary(max_size=300).map(lambda data: data.replace(b"\n", b"")), _REQUESTS)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(line=_LINES)
def test_whatever_is_said_is_answered(gateway: Home, line: bytes) -> None:
    """Any line gets an answer that is no crash of the gateway's, and the next one is heard."""
    with Raw(gateway) as raw:
        answer = raw.says(line + b"\n")
        while "event" in answer:
            answer = json.loads(raw.file.readline())
        assert set(answer) in ({"id", "result"}, {"id", "error"})
        assert "error" not in answer or answer["error"]["code"] != "internal", answer
        answer = raw.says(b'{"id": -5, "method": "key.list"}\n')
        while answer["id"] != -5:
            answer = json.loads(raw.file.readline())
        assert answer["result"] == {"agents": [], "shared": []}


def test_a_socket_of_a_dead_gateway_is_replaced(home: Home) -> None:
    """The home's lock proves that nobody listens there any more."""
    home.prepare()
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(home.socket))
    left.close()
    assert connect(home) is None
    with running(home), opened(home) as wire:
        assert wire.call("status", None, Status).running
    assert not home.socket.exists()


def test_something_else_in_the_way_is_left_alone(home: Home) -> None:
    """A file under the socket's name is not ours to remove."""
    home.prepare()
    home.socket.write_text("precious")
    with pytest.raises(ConfigError, match="in the way"), running(home):
        pass
    assert home.socket.read_text() == "precious"


def test_a_home_deeper_than_a_sockets_address(tmp_path: Path) -> None:
    """An address holds 108 bytes; a path holds more, and works all the same."""
    home = Home(tmp_path / ("deep" * 20) / ("er" * 20))
    with running(home), opened(home) as wire:
        assert wire.call("status", None, Status).home == str(home.path)


def test_many_terminals_at_once(gateway: Home) -> None:
    """Any number may be attached, also as the same person; those that die are forgotten."""
    with opened(gateway) as wire:
        wire.call("user.add", UserAdd(id="alice"), User)
        attached = [opened(gateway) for _ in range(40)]
        for one in attached:
            assert one.call("chat.attach", Attach(user_id="alice"), Attached).agent_id == "alice"
        for one in attached:
            one.close()
        assert wire.call("status", None, Status).users == 1


def test_a_client_that_never_reads_holds_nobody_up(home: Home) -> None:
    """Neither the others, nor the gateway's own end, wait for a client that is stuck."""
    with ExitStack() as stack:
        with running(home):
            with opened(home) as wire:
                wire.call("user.add", UserAdd(id="alice"), User)
            stuck = stack.enter_context(Raw(home))
            stuck.end.settimeout(0.3)
            with suppress(TimeoutError):  # until the gateway reads no more, because nobody reads its answers
                while True:
                    stuck.end.sendall(b'{"id": 1, "method": "user.list"}\n' * 100)
            with opened(home) as wire:
                assert wire.call("status", None, Status).users == 1
            began = time.monotonic()
        assert time.monotonic() - began < 10  # it has ended, and the client still has not read


def test_one_connection_is_one_terminal(gateway: Home) -> None:
    """A second attach on the same connection is refused; what the first one was stays."""
    with opened(gateway) as wire:
        for name in ("alice", "bob"):
            wire.call("user.add", UserAdd(id=name), User)
        wire.call("chat.attach", Attach(user_id="alice"), Attached)
        with pytest.raises(Failed, match="attached already"):
            wire.call("chat.attach", Attach(user_id="bob"), Attached)


def test_commands_find_the_gateway(rookery: Rookery) -> None:
    """What a command changes through the socket, the gateway knows at once."""
    with running(rookery.home):
        rookery("user", "add", "alice")
        with opened(rookery.home) as wire:
            assert [user.id for user in wire.call("user.list", None, list[User])] == ["alice"]


def test_no_reading_command_makes_a_home(rookery: Rookery) -> None:
    """A mistyped --home is said, not made."""
    for arguments in (("status",), ("user", "list"), ("session", "list", "--agent", "a"), ("chat", "hi")):
        rookery(*arguments).refused_with("There is no Rookery home at", "--home")
    assert not rookery.home.path.exists()
    assert NotFound.code == "not_found"
