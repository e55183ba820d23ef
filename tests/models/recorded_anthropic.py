"""Streams of Anthropic's Messages format as its servers write them, and what each comes to."""

from __future__ import annotations

from rookery.messages import StopReason, TextPart, ThinkingPart, ToolCallPart, Usage
from tests.models.recorded import Recorded

TEXT = Recorded(
    "Claude, text read from the prompt cache",
    b"""\
event: message_start
data: {"type":"message_start","message":{"model":"claude-sonnet-5","id":"msg_01K2","type":"message","role":\
"assistant","content":[],"stop_reason":null,"stop_sequence":null,"stop_details":null,"usage":{"input_tokens":12,\
"cache_creation_input_tokens":300,"cache_read_input_tokens":2048,"cache_creation":{"ephemeral_5m_input_tokens":300,\
"ephemeral_1h_input_tokens":0},"output_tokens":1,"service_tier":"standard","inference_geo":"not_available"}} }

event: content_block_start
data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""} }

event: ping
data: {"type": "ping"}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hello"} }

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":" there \xf0\x9f\x90\xa6"} }

event: content_block_stop
data: {"type":"content_block_stop","index":0 }

event: message_delta
data: {"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null,"stop_details":null},"usage":\
{"input_tokens":12,"cache_creation_input_tokens":300,"cache_read_input_tokens":2048,"output_tokens":21},\
"context_management":{"applied_edits":[]} }

event: message_stop
data: {"type":"message_stop" }

""",
    (TextPart("Hello there 🐦"),),
    StopReason.STOP,
    Usage(2360, 21, 2048, cache_write_tokens=300),
)

THINKING_TOOL = Recorded(
    "Claude, a thought with its signature, a sealed one, words, two calls",
    b"""\
event: message_start
data: {"type":"message_start","message":{"model":"claude-sonnet-4-5","id":"msg_02","type":"message","role":\
"assistant","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":849,\
"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":10}}}

event: content_block_start
data: {"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"They ask "}}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"for the time."}}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"EqQBCgIYAhIM1gbc"}}

event: content_block_stop
data: {"type":"content_block_stop","index":0}

event: content_block_start
data: {"type":"content_block_start","index":1,"content_block":{"type":"redacted_thinking","data":"EmwKAhgBEgy3va"}}

event: content_block_stop
data: {"type":"content_block_stop","index":1}

event: content_block_start
data: {"type":"content_block_start","index":2,"content_block":{"type":"text","text":""}}

event: content_block_delta
data: {"type":"content_block_delta","index":2,"delta":{"type":"text_delta","text":"Let me look."}}

event: content_block_stop
data: {"type":"content_block_stop","index":2}

event: content_block_start
data: {"type":"content_block_start","index":3,"content_block":{"type":"tool_use","id":"toolu_01T1","name":"time",\
"input":{}}}

event: content_block_delta
data: {"type":"content_block_delta","index":3,"delta":{"type":"input_json_delta","partial_json":""}}

event: content_block_delta
data: {"type":"content_block_delta","index":3,"delta":{"type":"input_json_delta","partial_json":\
"{\\"zone\\": \\"Eu"}}

event: content_block_delta
data: {"type":"content_block_delta","index":3,"delta":{"type":"input_json_delta","partial_json":"rope/Paris\\"}"}}

event: content_block_stop
data: {"type":"content_block_stop","index":3}

event: content_block_start
data: {"type":"content_block_start","index":4,"content_block":{"type":"tool_use","id":"toolu_01T2","name":"time",\
"input":{}}}

event: content_block_delta
data: {"type":"content_block_delta","index":4,"delta":{"type":"input_json_delta","partial_json":""}}

event: content_block_stop
data: {"type":"content_block_stop","index":4}

event: message_delta
data: {"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null},"usage":{"output_tokens":89}}

event: message_stop
data: {"type":"message_stop"}

""",
    (
        ThinkingPart("They ask for the time.", "EqQBCgIYAhIM1gbc"),
        ThinkingPart("", redacted="EmwKAhgBEgy3va"),
        TextPart("Let me look."),
        ToolCallPart("toolu_01T1", "time", {"zone": "Europe/Paris"}),
        ToolCallPart("toolu_01T2", "time", {}),
    ),
    StopReason.TOOL_CALLS,
    Usage(849, 89),
)

SEALED_THOUGHT = Recorded(
    "Claude, a thought that is not shown, cut by length",
    b"""\
event: message_start
data: {"type":"message_start","message":{"id":"msg_03","type":"message","role":"assistant","content":[],"usage":\
{"input_tokens":9,"output_tokens":1}}}

event: content_block_start
data: {"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"EosnCkYICxgC"}}

event: content_block_stop
data: {"type":"content_block_stop","index":0}

event: content_block_start
data: {"type":"content_block_start","index":1,"content_block":{"type":"text","text":""}}

event: content_block_delta
data: {"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"It is"}}

event: content_block_stop
data: {"type":"content_block_stop","index":1}

event: message_delta
data: {"type":"message_delta","delta":{"stop_reason":"max_tokens","stop_sequence":null},"usage":\
{"output_tokens":64}}

event: message_stop
data: {"type":"message_stop"}

""",
    (ThinkingPart("", "EosnCkYICxgC"), TextPart("It is")),
    StopReason.LENGTH,
    Usage(9, 64),
)

SERVER_TOOL = Recorded(
    "Claude, events and parts that are none of ours between the words",
    b"""\
event: message_start
data: {"type":"message_start","message":{"id":"msg_04","role":"assistant","content":[],"usage":{"input_tokens":5,\
"output_tokens":2}}}

event: content_block_start
data: {"type":"content_block_start","index":0,"content_block":{"type":"server_tool_use","id":"srvtoolu_1","name":\
"web_search","input":{}}}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"{\\"query\\":1}"}}

event: content_block_stop
data: {"type":"content_block_stop","index":0}

event: content_block_start
data: {"type":"content_block_start","index":1,"content_block":{"type":"web_search_tool_result","tool_use_id":\
"srvtoolu_1","content":[{"type":"web_search_result","title":"t","url":"u","encrypted_content":"x"}]}}

event: content_block_stop
data: {"type":"content_block_stop","index":1}

event: something_new
data: {"type":"something_new","index":"seven","delta":"whatever"}

event: content_block_start
data: {"type":"content_block_start","index":2,"content_block":{"type":"text","text":"Found"}}

event: content_block_delta
data: {"type":"content_block_delta","index":2,"delta":{"type":"citations_delta","citation":{"type":"x","url":"u"}}}

event: content_block_delta
data: {"type":"content_block_delta","index":2,"delta":{"type":"text_delta","text":" it."}}

event: content_block_stop
data: {"type":"content_block_stop","index":2}

event: message_delta
data: {"type":"message_delta","delta":{"stop_reason":"pause_turn"},"usage":{"input_tokens":700,"output_tokens":30,\
"server_tool_use":{"web_search_requests":1}}}

event: message_stop
data: {"type":"message_stop"}

""",
    (TextPart("Found it."),),
    StopReason.LENGTH,
    Usage(700, 30),
)

LLAMACPP = Recorded(
    "llama.cpp, thoughts without a signature, a call whose arguments come whole",
    b"""\
event: message_start
data: {"type":"message_start","message":{"id":"chatcmpl-1","type":"message","role":"assistant","content":[],\
"model":"qwen3","stop_reason":null,"stop_sequence":null,"usage":{"cache_read_input_tokens":7,"input_tokens":13,\
"output_tokens":0}}}

event: content_block_start
data: {"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":""}}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"Hm."}}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":""}}

event: content_block_stop
data: {"type":"content_block_stop","index":0}

event: content_block_start
data: {"type":"content_block_start","index":1,"content_block":{"type":"tool_use","id":"x","name":"time","input":\
{"zone":"UTC"}}}

event: content_block_stop
data: {"type":"content_block_stop","index":1}

event: message_delta
data: {"type":"message_delta","delta":{"stop_reason":"tool_use"},"usage":{"output_tokens":8}}

event: message_stop
data: {"type":"message_stop"}

""".replace(b"\n", b"\r\n"),
    (ThinkingPart("Hm.", ""), ToolCallPart("x", "time", {"zone": "UTC"})),
    StopReason.TOOL_CALLS,
    Usage(20, 8, 7),
)

ODD = Recorded(
    "everything odd at once: no beginnings, NUL in a thought, one id twice, halves of an emoji, nothing counted",
    b"""\
data: {"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"a\\u0000b"}}

data: {"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"sig"}}

data: {"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"c\\ud83d"}}

data: {"type":"content_block_start","index":2,"content_block":{"type":"tool_use","id":"same","name":"time"}}

data: {"type":"content_block_start","index":3,"content_block":{"type":"tool_use","id":"same","name":"time"}}

data: {"type":"content_block_delta","index":3,"delta":{"type":"input_json_delta","partial_json":"{oops"}}

data: {"type":"message_delta","delta":{"stop_reason":"end_turn"}}
""",
    (
        ThinkingPart("ab"),
        TextPart("c?"),
        ToolCallPart("same", "time", {}),
        ToolCallPart("call_1_1", "time", {"invalidArguments": "{oops"}),
    ),
    StopReason.TOOL_CALLS,
    None,
)

ALL = (TEXT, THINKING_TOOL, SEALED_THOUGHT, SERVER_TOOL, LLAMACPP, ODD)
