"""A model of 50,000 weights that knows a few lines by heart, as a file that llama.cpp serves like any other.

It is no random noise: each token of a line points to the next one, so what it says is known beforehand.

    count       one two three four five
    think       a thought, then words
    look        a call of the tool `time`; once there is a result: "It is noon somewhere."
    sing        la la la, until somebody stops it
    all else    Hello there.

What decides is the end of the last user message's first paragraph, so a prompt may add its context behind it.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path

CONTEXT = 1 << 16
"""How many tokens the model could hold; a server may give it less."""

_LINES: dict[str, tuple[str, ...]] = {
    "count": ("one", " two", " three", " four", " five"),
    "think": ("<think>", "\nWell,", " well.\n", "</think>", "\n\nA thought."),
    "look": ("<tool_call>", '\n{"name": "time", ', '"arguments": {', '"zone": "UTC"', "}}\n", "</tool_call>"),
    "</tool_response>": ("It is", " noon", " somewhere."),
}
_ALL_ELSE = ("Hello", " there.")
_SING = " la"

# The widths: each token that leads somewhere has a dimension of its own, and all others share the first.
_WIDTH, _HEAD, _INNER = 64, 32, 32
_CERTAIN = 4.0  # how much the one right token outweighs the others

_UNKNOWN, _BEGIN, _END = 0, 1, 2
_NORMAL_KIND, _UNKNOWN_KIND, _CONTROL, _OWN, _BYTE = 1, 2, 3, 4, 6

_TEMPLATE = """\
{%- set words = messages[0].content if messages[0].role == 'system' else '' %}
{%- if tools %}
{{- '<|im_start|>system\\n' + words + '\\n\\n# Tools\\n\\n<tools>' }}
{%- for tool in tools %}{{- '\\n' }}{{- tool | tojson }}{% endfor %}
{{- '\\n</tools>\\n\\nCall one with JSON between tags:\\n<tool_call>\\n' }}
{{- '{"name": <name>, "arguments": <object>}\\n</tool_call><|im_end|>\\n' }}
{%- elif words %}
{{- '<|im_start|>system\\n' + words + '<|im_end|>\\n' }}
{%- endif %}
{%- for message in messages %}
{%- if message.role == 'user' %}
{{- '<|im_start|>user\\n' + (message.content.split('\\n\\n') | reverse | join('\\n\\n')) }}
{%- elif message.role == 'assistant' %}
{{- '<|im_start|>assistant\\n' }}
{%- if message.reasoning_content %}{{- '<think>\\n' + message.reasoning_content + '\\n</think>\\n\\n' }}{% endif %}
{{- message.content or '' }}
{%- for call in message.tool_calls or [] %}
{%- if call.function.arguments is string %}{% set given = call.function.arguments %}
{%- else %}{% set given = call.function.arguments | tojson %}{% endif %}
{{- '<tool_call>\\n{"name": "' + call.function.name + '", "arguments": ' + given + '}\\n</tool_call>' }}
{%- endfor %}
{{- '<|im_end|>\\n' }}
{%- elif message.role == 'tool' %}
{{- '<|im_start|>user\\n<tool_response>\\n' + message.content + '\\n</tool_response>' }}
{%- endif %}
{%- endfor %}
"""


def write_tiny_model(path: Path) -> None:
    """Write the model to `path`, in the GGUF format; about 200 KB."""
    vocabulary = _Vocabulary()
    follows = _follows(vocabulary)
    count = len(vocabulary.tokens)
    facts = {
        "general.architecture": _words("llama"),
        "general.name": _words("tiny"),
        "llama.context_length": _number(CONTEXT),
        "llama.embedding_length": _number(_WIDTH),
        "llama.block_count": _number(1),
        "llama.feed_forward_length": _number(_INNER),
        "llama.attention.head_count": _number(1),
        "llama.attention.head_count_kv": _number(1),
        "llama.attention.key_length": _number(_HEAD),
        "llama.attention.value_length": _number(_HEAD),
        "llama.attention.layer_norm_rms_epsilon": struct.pack("<If", 6, 1e-5),
        "llama.rope.dimension_count": _number(_HEAD),
        "llama.vocab_size": _number(count),
        "tokenizer.ggml.model": _words("llama"),
        "tokenizer.ggml.tokens": _list(8, count, b"".join(map(_text, vocabulary.tokens))),
        "tokenizer.ggml.scores": _list(6, count, _zeros(count).tobytes()),
        "tokenizer.ggml.token_type": _list(5, count, struct.pack(f"<{count}i", *vocabulary.kinds)),
        "tokenizer.ggml.bos_token_id": _number(_BEGIN),
        "tokenizer.ggml.eos_token_id": _number(_END),
        "tokenizer.ggml.unknown_token_id": _number(_UNKNOWN),
        "tokenizer.ggml.add_bos_token": struct.pack("<I?", 7, True),
        "tokenizer.ggml.add_space_prefix": struct.pack("<I?", 7, False),
        "tokenizer.chat_template": _words(_TEMPLATE),
    }
    path.write_bytes(_gguf(facts, [*_tensors(count, follows, vocabulary.id(_ALL_ELSE[0]))]))


class _Vocabulary:
    """Every byte, so that whatever people write can be read, and the pieces of the lines."""

    def __init__(self) -> None:
        self.tokens = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
        self.kinds = [_UNKNOWN_KIND, _CONTROL, _CONTROL, *[_BYTE] * 256]
        for mark in ("<|im_start|>", "<|im_end|>"):
            self._add(mark, _CONTROL)

    def id(self, piece: str) -> int:
        """The number of this piece, which is always read as one token."""
        return self.tokens.index(piece) if piece in self.tokens else self._add(piece, _OWN)

    def _add(self, text: str, kind: int) -> int:
        self.tokens.append(text)
        self.kinds.append(kind)
        return len(self.tokens) - 1


def _follows(vocabulary: _Vocabulary) -> dict[int, int]:
    """Which token comes after which."""
    follows: dict[int, int] = {}
    for line in ((word, *said) for word, said in _LINES.items()):
        _chain(follows, [*map(vocabulary.id, line), _END])
    _chain(follows, [*map(vocabulary.id, _ALL_ELSE), _END])
    _chain(follows, [vocabulary.id("sing"), vocabulary.id(_SING), vocabulary.id(_SING)])
    return follows


def _chain(follows: dict[int, int], line: Sequence[int]) -> None:
    for before, after in pairwise(line):
        assert follows.setdefault(before, after) == after, "a token is followed by one other, always the same"


def _tensors(
    count: int, follows: dict[int, int], greeting: int
) -> Iterable[tuple[str, Sequence[int], array[float]]]:
    dimension = {token: place for place, token in enumerate(follows, start=1)}
    assert len(dimension) < _WIDTH, "the lines need more dimensions than there are"
    seen, said = _zeros(count * _WIDTH), _zeros(count * _WIDTH)
    for token in range(count):
        seen[token * _WIDTH + dimension.get(token, 0)] = 1.0
    said[greeting * _WIDTH] = _CERTAIN
    for before, after in follows.items():
        said[after * _WIDTH + dimension[before]] = _CERTAIN
    ones = array("f", [1.0] * _WIDTH)
    yield "token_embd.weight", (_WIDTH, count), seen
    yield "output_norm.weight", (_WIDTH,), ones
    yield "output.weight", (_WIDTH, count), said
    # One block that adds nothing: the llama architecture wants it, the lines do not.
    yield "blk.0.attn_norm.weight", (_WIDTH,), ones
    yield "blk.0.ffn_norm.weight", (_WIDTH,), ones
    for name in ("attn_q", "attn_k", "attn_v"):
        yield f"blk.0.{name}.weight", (_WIDTH, _HEAD), _zeros(_WIDTH * _HEAD)
    yield "blk.0.attn_output.weight", (_HEAD, _WIDTH), _zeros(_WIDTH * _HEAD)
    for name in ("ffn_gate", "ffn_up"):
        yield f"blk.0.{name}.weight", (_WIDTH, _INNER), _zeros(_WIDTH * _INNER)
    yield "blk.0.ffn_down.weight", (_INNER, _WIDTH), _zeros(_WIDTH * _INNER)


def _zeros(count: int) -> array[float]:
    return array("f", bytes(4 * count))


def _gguf(facts: dict[str, bytes], tensors: Sequence[tuple[str, Sequence[int], array[float]]]) -> bytes:
    """The file: a head, the facts, where each tensor lies, and the tensors at multiples of 32 bytes."""
    head, data = bytearray(), bytearray()
    for name, fact in facts.items():
        head += _text(name) + fact
    for name, shape, values in tensors:
        head += _text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, 0, len(data))
        data += _padded(values.tobytes())
    return _padded(b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(facts)) + head) + data


def _number(number: int) -> bytes:
    return struct.pack("<II", 4, number)


def _words(words: str) -> bytes:
    return struct.pack("<I", 8) + _text(words)


def _list(kind: int, count: int, values: bytes) -> bytes:
    return struct.pack("<IIQ", 9, kind, count) + values


def _text(text: str) -> bytes:
    encoded = text.encode()
    return struct.pack("<Q", len(encoded)) + encoded


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 32)
