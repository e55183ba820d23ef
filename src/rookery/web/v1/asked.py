"""What a client asks in a chat completion, read once and checked; no store is looked at."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, replace

import msgspec

from rookery.gateway.turns import Aside, Earlier
from rookery.messages import Role
from rookery.web.v1.problems import Unanswerable, invalid, unsupported

MAX_MESSAGES = 10_000
MAX_PICTURES = 20
MAX_NAME = 512
"""The longest name of a session, in bytes of UTF-8."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture that came in the request itself.

    `earlier` is the number of the earlier message that it is part of, None for one of the question's own.
    """

    content_type: str
    data: bytes
    where: str
    earlier: int | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """One question. `session` is the name the client gave to what it goes on with, None where it gave none.

    `pictures` belong to the question or to what `aside` tells of before, which has their places free.
    """

    model: str
    session: str | None
    text: str
    pictures: tuple[Picture, ...]
    aside: Aside
    stream: bool
    include_usage: bool


def read(body: bytes, header: str | None) -> Asked:
    """Read a request; `header` is the session's name in its head, which is heard before the body's `user`.

    Several messages after the last of the assistant's are one, in their order. With a name the session has what
    came before them; without, the request's own messages are the context. Raises `Unanswerable`.
    """
    try:
        wire = _decode(body)
    except msgspec.ValidationError as error:
        raise _misfit(str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise invalid(f"The body is not JSON: {error}.") from None
    _check_supported(wire)
    if not wire.messages:
        raise invalid("messages is empty; there is nothing to answer.", "messages")
    if len(wire.messages) > MAX_MESSAGES:
        raise invalid(f"messages holds more than {MAX_MESSAGES}.", "messages")
    said = [_read_message(number, message) for number, message in enumerate(wire.messages)]
    instructions = "\n\n".join(one.text for one in said if one.role is None and one.text)
    answered = next((at for at in range(len(said) - 1, -1, -1) if said[at].role is Role.ASSISTANT), -1) + 1
    # Empty messages are left out: many models refuse to be shown one.
    new = [one for one in said[answered:] if one.role is not None and one.says_something]
    if not new:
        raise invalid("messages must end with something the user says.", "messages")
    session = _session_name(header, wire.user)
    before = said[:answered] if session is None else []
    earlier = [one for one in before if one.role is not None and one.says_something]
    pictures = [picture for one in new for picture in one.pictures]
    pictures += [replace(picture, earlier=at) for at, one in enumerate(earlier) for picture in one.pictures]
    if len(pictures) > MAX_PICTURES:
        raise invalid(f"messages holds more than {MAX_PICTURES} pictures.", "messages")
    return Asked(
        model=wire.model,
        session=session,
        text="\n\n".join(one.text for one in new if one.text.strip()),
        pictures=tuple(pictures),
        aside=Aside(instructions, tuple(Earlier(one.role, one.text) for one in earlier if one.role is not None)),
        stream=bool(wire.stream),
        include_usage=wire.stream_options is not None and bool(wire.stream_options.include_usage),
    )


# --- as it is written ---------------------------------------------------------------------------------------


class _ImageUrl(msgspec.Struct):
    url: str


class _Part(msgspec.Struct):
    type: str
    text: str | None = None
    refusal: str | None = None
    image_url: _ImageUrl | None = None


class _Message(msgspec.Struct):
    role: str
    content: str | list[_Part] | None = None
    tool_calls: list[object] | None = None
    function_call: object = None

    @property
    def uses_tools(self) -> bool:
        return bool(self.tool_calls) or self.function_call is not None


class _StreamOptions(msgspec.Struct):
    include_usage: bool | None = None


class _Wire(msgspec.Struct):
    model: str
    messages: list[_Message]
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    user: str | None = None
    n: int | None = None
    tools: list[object] | None = None
    functions: list[object] | None = None
    tool_choice: object = None
    function_call: object = None


_decode = msgspec.json.Decoder(_Wire).decode


class _Said(msgspec.Struct, frozen=True):
    """One message; `role` None for instructions."""

    role: Role | None
    text: str
    pictures: tuple[Picture, ...] = ()

    @property
    def says_something(self) -> bool:
        return bool(self.text.strip() or self.pictures)


_INSTRUCTING = frozenset({"system", "developer"})
_TALKING = {"user": Role.USER, "assistant": Role.ASSISTANT}


def _misfit(detail: str) -> Unanswerable:
    """The library's words for what does not fit name the place as `$.messages[0].role`."""
    what, _, where = detail.partition(" - at `$.")
    where = where.rstrip("`")
    param = where or (what.split("`")[1] if "missing required field" in what else None)
    return invalid(f"{what} at {where}." if where else f"{what}.", param)


def _check_supported(wire: _Wire) -> None:
    if wire.n is not None and wire.n != 1:
        raise unsupported("There is one answer to a request; leave n out, or make it 1.", "n")
    for param, given in (
        ("tools", wire.tools),
        ("functions", wire.functions),
        ("tool_choice", None if wire.tool_choice == "none" else wire.tool_choice),
        ("function_call", None if wire.function_call == "none" else wire.function_call),
    ):
        if given:
            raise unsupported(f"A client's own tools cannot be used here; leave {param} out.", param)


def _read_message(number: int, message: _Message) -> _Said:
    content, known = message.content, message.role in _TALKING or message.role in _INSTRUCTING
    if known and isinstance(content, str) and not message.uses_tools and "\0" not in content:
        return _Said(_TALKING.get(message.role), content)  # as nearly all are, and there may be thousands
    return _read_closely(message, f"messages[{number}]")


def _read_closely(message: _Message, where: str) -> _Said:
    if message.role in ("tool", "function") or message.uses_tools:
        raise unsupported("A client's own tools cannot be used here; leave their calls and results out.", where)
    if message.role not in _TALKING and message.role not in _INSTRUCTING:
        raise invalid(
            f"There is no role {message.role!r}; there are system, developer, user and assistant.", f"{where}.role"
        )
    if message.content is None and message.role != "assistant":
        raise invalid("The message has no content.", f"{where}.content")
    role, content = _TALKING.get(message.role), message.content or ""
    if isinstance(content, str):
        return _Said(role, _clean(content, f"{where}.content"))
    texts: list[str] = []
    pictures: list[Picture] = []
    for at, part in enumerate(content):
        in_part = f"{where}.content[{at}]"
        if part.type == "image_url" and role is Role.USER:
            pictures.append(_picture(part, in_part))
        else:
            texts.append(_clean(_part_text(part, in_part), in_part))
    return _Said(role, "\n\n".join(texts), tuple(pictures))


def _clean(text: str, where: str) -> str:
    if "\0" in text:
        raise invalid("The text holds a NUL character, which no message may.", where)
    return text


def _part_text(part: _Part, where: str) -> str:
    if part.type not in ("text", "refusal"):
        raise unsupported(f"Parts of type {part.type!r} cannot be used here; text can.", where)
    text = part.text if part.type == "text" else part.refusal
    if text is None:
        raise invalid(f"The part has no {part.type}.", where)
    return text


def _picture(part: _Part, where: str) -> Picture:
    if part.image_url is None:
        raise invalid("The part has no image_url.", where)
    found = _DATA_URL.match(part.image_url.url)
    if found is None:
        raise unsupported(
            "A picture is sent within the request: data:image/png;base64,…", f"{where}.image_url.url"
        )
    try:
        data = base64.b64decode(part.image_url.url[found.end() :], validate=True)
    except ValueError:
        raise invalid("The picture is not valid base64.", f"{where}.image_url.url") from None
    return Picture(found[1], data, f"{where}.image_url.url")


_DATA_URL = re.compile(r"data:(image/[a-z0-9.+-]{1,40});base64,")


def _session_name(header: str | None, user: str | None) -> str | None:
    """The session's name; an empty one is none. A header's bytes are UTF-8, though HTTP reads them as Latin-1."""
    name, param = user, "user"
    if header:
        param = "X-Rookery-Session-Key"
        try:
            name = header.encode("latin-1").decode()
        except UnicodeDecodeError:
            raise invalid("The name of the session is not valid UTF-8.", param) from None
    if not name:
        return None
    if len(name.encode()) > MAX_NAME or "\0" in name:
        raise invalid(f"A session's name holds at most {MAX_NAME} bytes, and no NUL character.", param)
    return name
