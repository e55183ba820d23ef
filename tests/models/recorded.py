"""Streams as known servers write them, after their documentation, and what each comes to."""

from __future__ import annotations

from dataclasses import dataclass

from rookery.messages import StopReason, TextPart, ThinkingPart, ToolCallPart, Usage

Content = tuple[TextPart | ThinkingPart | ToolCallPart, ...]


@dataclass(frozen=True)
class Recorded:
    """One server's stream and the reply in it."""

    name: str
    stream: bytes
    content: Content
    stop_reason: StopReason
    usage: Usage | None
    """None: the server sends none, so it is estimated."""


OPENAI_TEXT = Recorded(
    "OpenAI, text",
    b"""\
data: {"id":"chatcmpl-B9","object":"chat.completion.chunk","created":1741570283,"model":"gpt-4o-2024-08-06",\
"service_tier":"default","system_fingerprint":"fp_4","choices":[{"index":0,"delta":{"role":"assistant",\
"content":"","refusal":null},"logprobs":null,"finish_reason":null}],"usage":null,"obfuscation":"x7"}

data: {"id":"chatcmpl-B9","object":"chat.completion.chunk","created":1741570283,"model":"gpt-4o-2024-08-06",\
"choices":[{"index":0,"delta":{"content":"Hello"},"logprobs":null,"finish_reason":null}],"usage":null}

data: {"id":"chatcmpl-B9","object":"chat.completion.chunk","created":1741570283,"model":"gpt-4o-2024-08-06",\
"choices":[{"index":0,"delta":{"content":" there \xf0\x9f\x90\xa6"},"logprobs":null,"finish_reason":null}],\
"usage":null}

data: {"id":"chatcmpl-B9","object":"chat.completion.chunk","created":1741570283,"model":"gpt-4o-2024-08-06",\
"choices":[{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}],"usage":null}

data: {"id":"chatcmpl-B9","object":"chat.completion.chunk","created":1741570283,"model":"gpt-4o-2024-08-06",\
"choices":[],"usage":{"prompt_tokens":1117,"completion_tokens":46,"total_tokens":1163,"prompt_tokens_details":\
{"cached_tokens":1024,"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":0}}}

data: [DONE]

""",
    (TextPart("Hello there 🐦"),),
    StopReason.STOP,
    Usage(1117, 46, 1024),
)

OPENAI_TOOLS = Recorded(
    "OpenAI, two tool calls",
    b"""\
data: {"id":"chatcmpl-C1","object":"chat.completion.chunk","created":1,"model":"gpt-4o","choices":[{"index":0,\
"delta":{"role":"assistant","content":null,"tool_calls":[{"index":0,"id":"call_DdmO9","type":"function",\
"function":{"name":"time","arguments":""}}],"refusal":null},"finish_reason":null}],"usage":null}

data: {"id":"chatcmpl-C1","object":"chat.completion.chunk","created":1,"model":"gpt-4o","choices":[{"index":0,\
"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\\"zo"}}]},"finish_reason":null}],"usage":null}

data: {"id":"chatcmpl-C1","object":"chat.completion.chunk","created":1,"model":"gpt-4o","choices":[{"index":0,\
"delta":{"tool_calls":[{"index":0,"function":{"arguments":"ne\\":\\"Europe/Paris\\"}"}}]},"finish_reason":null}],\
"usage":null}

data: {"id":"chatcmpl-C1","object":"chat.completion.chunk","created":1,"model":"gpt-4o","choices":[{"index":0,\
"delta":{"tool_calls":[{"index":1,"id":"call_DdmP0","type":"function","function":{"name":"time","arguments":""}}]},\
"finish_reason":null}],"usage":null}

data: {"id":"chatcmpl-C1","object":"chat.completion.chunk","created":1,"model":"gpt-4o","choices":[{"index":0,\
"delta":{"tool_calls":[{"index":1,"function":{"arguments":"{}"}}]},"finish_reason":null}],"usage":null}

data: {"id":"chatcmpl-C1","object":"chat.completion.chunk","created":1,"model":"gpt-4o","choices":[{"index":0,\
"delta":{},"finish_reason":"tool_calls"}],"usage":null}

data: {"id":"chatcmpl-C1","object":"chat.completion.chunk","created":1,"model":"gpt-4o","choices":[],"usage":\
{"prompt_tokens":80,"completion_tokens":20,"total_tokens":100,"prompt_tokens_details":{"cached_tokens":0}}}

data: [DONE]

""",
    (ToolCallPart("call_DdmO9", "time", {"zone": "Europe/Paris"}), ToolCallPart("call_DdmP0", "time", {})),
    StopReason.TOOL_CALLS,
    Usage(80, 20),
)

OLLAMA_THINKING = Recorded(
    "Ollama, thinking",
    b"""\
data: {"id":"chatcmpl-315","object":"chat.completion.chunk","created":1757000000,"model":"qwen3:8b",\
"system_fingerprint":"fp_ollama","choices":[{"index":0,"delta":{"role":"assistant","content":"","reasoning":"They \
greet"},"finish_reason":null}]}

data: {"id":"chatcmpl-315","object":"chat.completion.chunk","created":1757000000,"model":"qwen3:8b",\
"system_fingerprint":"fp_ollama","choices":[{"index":0,"delta":{"role":"assistant","content":"","reasoning":\
" me."},"finish_reason":null}]}

data: {"id":"chatcmpl-315","object":"chat.completion.chunk","created":1757000001,"model":"qwen3:8b",\
"system_fingerprint":"fp_ollama","choices":[{"index":0,"delta":{"role":"assistant","content":"Hi!"},\
"finish_reason":null}]}

data: {"id":"chatcmpl-315","object":"chat.completion.chunk","created":1757000001,"model":"qwen3:8b",\
"system_fingerprint":"fp_ollama","choices":[{"index":0,"delta":{"role":"assistant","content":""},\
"finish_reason":"stop"}]}

data: {"id":"chatcmpl-315","object":"chat.completion.chunk","created":1757000001,"model":"qwen3:8b",\
"system_fingerprint":"fp_ollama","choices":[],"usage":{"prompt_tokens":26,"completion_tokens":12,"total_tokens":38}}

data: [DONE]

""",
    (ThinkingPart("They greet me."), TextPart("Hi!")),
    StopReason.STOP,
    Usage(26, 12),
)

OLLAMA_TOOL = Recorded(
    "Ollama, tool call whole in one chunk",
    b"""\
data: {"id":"chatcmpl-9","object":"chat.completion.chunk","created":1,"model":"llama3.2","system_fingerprint":\
"fp_ollama","choices":[{"index":0,"delta":{"role":"assistant","content":"","tool_calls":[{"id":"call_h2wf8l3x",\
"index":0,"type":"function","function":{"name":"time","arguments":"{\\"zone\\":\\"Asia/Tokyo\\"}"}}]},\
"finish_reason":null}]}

data: {"id":"chatcmpl-9","object":"chat.completion.chunk","created":1,"model":"llama3.2","system_fingerprint":\
"fp_ollama","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":"stop"}]}

data: {"id":"chatcmpl-9","object":"chat.completion.chunk","created":1,"model":"llama3.2","system_fingerprint":\
"fp_ollama","choices":[],"usage":{"prompt_tokens":168,"completion_tokens":18,"total_tokens":186}}

data: [DONE]

""",
    (ToolCallPart("call_h2wf8l3x", "time", {"zone": "Asia/Tokyo"}),),
    StopReason.TOOL_CALLS,
    Usage(168, 18),
)

VLLM_REASONING = Recorded(
    "vLLM, reasoning_content, cut by length",
    b"""\
data: {"id":"chatcmpl-8ab","object":"chat.completion.chunk","created":1730000000,"model":"Qwen/QwQ-32B","choices":\
[{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}],"prompt_token_ids":null}

data: {"id":"chatcmpl-8ab","object":"chat.completion.chunk","created":1730000000,"model":"Qwen/QwQ-32B","choices":\
[{"index":0,"delta":{"reasoning_content":"Well"},"logprobs":null,"finish_reason":null}]}

data: {"id":"chatcmpl-8ab","object":"chat.completion.chunk","created":1730000000,"model":"Qwen/QwQ-32B","choices":\
[{"index":0,"delta":{"content":"It is"},"logprobs":null,"finish_reason":null,"token_ids":null}]}

data: {"id":"chatcmpl-8ab","object":"chat.completion.chunk","created":1730000000,"model":"Qwen/QwQ-32B","choices":\
[{"index":0,"delta":{"content":""},"logprobs":null,"finish_reason":"length","stop_reason":null}]}

data: {"id":"chatcmpl-8ab","object":"chat.completion.chunk","created":1730000000,"model":"Qwen/QwQ-32B","choices":\
[],"usage":{"prompt_tokens":9,"total_tokens":13,"completion_tokens":4,"prompt_tokens_details":null}}

data: [DONE]

""",
    (ThinkingPart("Well"), TextPart("It is")),
    StopReason.LENGTH,
    Usage(9, 4),
)

VLLM_TOOL = Recorded(
    "vLLM, tool call whose id comes with the name and arguments in pieces",
    b"""\
data: {"id":"chatcmpl-7","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":\
{"tool_calls":[{"id":"chatcmpl-tool-5a","type":"function","index":0,"function":{"name":"time"}}]},"logprobs":null,\
"finish_reason":null}]}

data: {"id":"chatcmpl-7","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":\
{"tool_calls":[{"index":0,"function":{"arguments":"{\\"zone\\": \\""}}]},"logprobs":null,"finish_reason":null}]}

data: {"id":"chatcmpl-7","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":\
{"tool_calls":[{"index":0,"function":{"arguments":"UTC\\"}"}}]},"logprobs":null,"finish_reason":null}]}

data: {"id":"chatcmpl-7","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":\
{"content":""},"logprobs":null,"finish_reason":"tool_calls","stop_reason":null}]}

data: [DONE]

""",
    (ToolCallPart("chatcmpl-tool-5a", "time", {"zone": "UTC"}),),
    StopReason.TOOL_CALLS,
    None,
)

LLAMACPP = Recorded(
    "llama.cpp, CRLF, a comment to keep the line open, no [DONE]",
    b"""\
: ping

data: {"choices":[{"finish_reason":null,"index":0,"delta":{"role":"assistant","content":null}}],\
"created":1750000000,"id":"chatcmpl-LqX","model":"gemma-3-4b","system_fingerprint":"b5600-abc","object":"chat.completion.chunk"}

data: {"choices":[{"finish_reason":null,"index":0,"delta":{"content":"One\\ntwo"}}],"created":1750000000,\
"id":"chatcmpl-LqX","model":"gemma-3-4b","system_fingerprint":"b5600-abc","object":"chat.completion.chunk"}

data: {"choices":[{"finish_reason":"stop","index":0,"delta":{}}],"created":1750000000,"id":"chatcmpl-LqX",\
"model":"gemma-3-4b","system_fingerprint":"b5600-abc","object":"chat.completion.chunk"}

data: {"choices":[],"created":1750000000,"id":"chatcmpl-LqX","model":"gemma-3-4b","object":\
"chat.completion.chunk","usage":{"completion_tokens":3,"prompt_tokens":14,"total_tokens":17},"timings":{"prompt_n":1,"prompt_ms":22.1,\
"predicted_n":3,"predicted_ms":60.5}}

""".replace(b"\n", b"\r\n"),
    (TextPart("One\ntwo"),),
    StopReason.STOP,
    Usage(14, 3),
)

ODD = Recorded(
    "everything odd at once: data over two lines, no space, halves of an emoji, NUL, nameless ids",
    b"""\
event: message
id: 7
data:{"choices":[{"delta":{"content":"a\\ud83d"}}],
data:"usage":{"prompt_tokens":5.0,"completion_tokens":2,"prompt_tokens_details":{"cached_tokens":9}}}

data: {"choices":[{"delta":{"content":[{"type":"text","text":"b\\u0000c"}]}}]}

data: {"choices":[{"delta":{"tool_calls":[{"function":{"name":"time","arguments":{"zone":"UTC"}}}]}}]}

data: {"choices":[{"delta":{"tool_calls":[{"index":4,"id":"","function":{"name":"time","arguments":"{oops"}}]}}]}

data: {"choices":[{"delta":null,"finish_reason":"stop"}]}

data:  [DONE]

""",
    (
        TextPart("a?bc"),
        ToolCallPart("call_1_0", "time", {"zone": "UTC"}),
        ToolCallPart("call_1_1", "time", {"invalidArguments": "{oops"}),
    ),
    StopReason.TOOL_CALLS,
    Usage(5, 2, 5),
)

ALL = (
    OPENAI_TEXT,
    OPENAI_TOOLS,
    OLLAMA_THINKING,
    OLLAMA_TOOL,
    VLLM_REASONING,
    VLLM_TOOL,
    LLAMACPP,
    ODD,
)
