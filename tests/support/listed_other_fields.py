"""Every field that Anthropic and Ollama list for their APIs."""

from __future__ import annotations

from listed_field_forms import SCHEMA, X, each, talk, user

from forebay.protocol.jsontext import JsonObject

_CACHE: JsonObject = {"type": "ephemeral", "ttl": "1h"}
_TOOL: JsonObject = {"name": "f", "input_schema": {"type": "object"}}


def _block(block: JsonObject) -> JsonObject:
    return user([{"type": "text", "text": "see"}, block])


_DOCUMENTS: tuple[JsonObject, ...] = (
    {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0x"},
    {"type": "text", "media_type": "text/plain", "data": "abc"},
    {"type": "content", "content": [{"type": "text", "text": "abc"}]},
    {"type": "url", "url": "https://x.test/a.pdf"},
    {"type": "file", "file_id": "file_2"},
)


def _document(source: JsonObject) -> JsonObject:
    return _block(
        {
            "type": "document",
            "source": source,
            "title": "t",
            "context": "c",
            "citations": {"enabled": True},
        }
    )


def _said(block: JsonObject) -> JsonObject:
    return {
        "messages": [
            {"role": "user", "content": "hi"},
            {"role": "assistant", "content": [block, {"type": "text", "text": "So."}]},
            {"role": "user", "content": "go on"},
        ]
    }


_PNG: JsonObject = {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}
MESSAGES: tuple[JsonObject, ...] = (
    {"max_tokens": 0},
    {"system": "be brief"},
    {"system": [{"type": "text", "text": "be brief", "cache_control": _CACHE}]},
    {"stream": True},
    {"stop_sequences": ["END"]},
    {"temperature": 0.5},
    {"top_p": 0.5},
    {"top_k": 5},
    {"thinking": {"type": "enabled", "budget_tokens": 1024, "display": "omitted"}},
    {"thinking": {"type": "adaptive", "display": "summarized"}},
    {"thinking": {"type": "between_tools"}},
    {"thinking": {"type": "disabled"}},
    *each(
        "output_config",
        [
            {"effort": "low"},
            {"effort": "medium"},
            {"effort": "high"},
            {"effort": "xhigh"},
            {"effort": "max"},
        ],
    ),
    {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}},
    {"output_config": {"task_budget": {"type": "tokens", "total": 9}}},
    {"tools": [{**_TOOL, "description": "Does.", "type": "custom", "strict": True}]},
    {"tools": [{**_TOOL, "cache_control": _CACHE, "defer_loading": True}]},
    {"tools": [{**_TOOL, "eager_input_streaming": True, "input_examples": [{"a": 1}]}]},
    {"tools": [{**_TOOL, "allowed_callers": ["direct"]}]},
    *each(
        "tools",
        [
            [{"type": kind, "name": "x", "max_uses": 1}]
            for kind in (
                *("web_search_20260318", "web_fetch_20260318", "code_execution_20260120"),
                *("bash_20250124", "text_editor_20250728", "memory_20250818", "computer_20250124"),
                "tool_search_tool_regex_20251119",
            )
        ],
    ),
    *each(
        "tool_choice",
        [
            {"type": "auto", "disable_parallel_tool_use": True},
            {"type": "any", "disable_parallel_tool_use": False},
            {"type": "none"},
            {"type": "tool", "name": "f", "disable_parallel_tool_use": True},
        ],
        tools=[_TOOL],
    ),
    {"metadata": {"user_id": "anna@example.org"}},
    {"service_tier": "standard_only"},
    {"speed": "fast"},
    {"cache_control": _CACHE},
    {"container": "container_1"},
    {"inference_geo": "eu"},
    {"diagnostics": {"a": 1}},
    {"mcp_servers": [{"type": "url", "url": "https://x.test"}]},
    {"context_management": {"edits": []}},
    {"compaction": {"a": 1}},
    {"thread": {"id": "t"}},
    {"fallbacks": [{"model": "n"}]},
    {"billing_policy": {"a": 1}},
    X,
    # Blocks
    _block({"type": "text", "text": "b", "cache_control": _CACHE}),
    _block({"type": "image", "source": _PNG, "transformations": {"oversized_image": "error"}}),
    _block({"type": "image", "source": {"type": "url", "url": "https://x.test/a.png"}}),
    _block({"type": "image", "source": {"type": "file", "file_id": "file_1"}}),
    *(_document(source) for source in _DOCUMENTS),
    _block(
        {
            "type": "search_result",
            "source": "s",
            "title": "t",
            "content": [{"type": "text", "text": "a"}],
            "citations": {"enabled": True},
        }
    ),
    _block({"type": "container_upload", "file_id": "file_3"}),
    _said({"type": "thinking", "thinking": "Hm", "signature": "c2ln"}),
    _said({"type": "redacted_thinking", "data": "b3A="}),
    _said({"type": "text", "text": "a", "citations": [{"type": "char_location"}]}),
    _said({"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"q": 1}}),
    *(
        _said({"type": kind, "tool_use_id": "srvtoolu_1", "content": [{"a": 1}]})
        for kind in (
            *("web_search_tool_result", "web_fetch_tool_result", "code_execution_tool_result"),
            *("bash_code_execution_tool_result", "mcp_tool_result", "tool_search_tool_result"),
        )
    ),
    {
        "messages": [
            {"role": "user", "content": "hi"},
            {
                "role": "assistant",
                "content": [
                    {
                        "type": "tool_use",
                        "id": "toolu_1",
                        "name": "f",
                        "input": {"a": 1},
                        "cache_control": _CACHE,
                        "caller": {"type": "direct"},
                    }
                ],
            },
            {
                "role": "user",
                "content": [
                    {
                        "type": "tool_result",
                        "tool_use_id": "toolu_1",
                        "is_error": True,
                        "cache_control": _CACHE,
                        "content": [
                            {"type": "text", "text": "a"},
                            {"type": "image", "source": _PNG},
                        ],
                    }
                ],
            },
        ]
    },
    {
        "messages": [
            {"role": "user", "content": "hi"},
            {"role": "system", "content": [{"type": "text", "text": "be brief"}]},
            {"role": "user", "content": "go on"},
        ]
    },
)

_OPTIONS: tuple[JsonObject, ...] = (
    *each(
        "options",
        [
            {name: 3}
            for name in (
                *(
                    "num_keep",
                    "seed",
                    "num_predict",
                    "top_k",
                    "repeat_last_n",
                    "num_ctx",
                    "num_batch",
                ),
                *("num_gpu", "main_gpu", "num_thread", "draft_num_predict", "x_nobody_lists"),
            )
        ],
    ),
    *each(
        "options",
        [
            {name: 0.5}
            for name in (
                *(
                    "top_p",
                    "min_p",
                    "typical_p",
                    "temperature",
                    "repeat_penalty",
                    "presence_penalty",
                ),
                "frequency_penalty",
            )
        ],
    ),
    {"options": {"num_predict": -1}},
    {"options": {"stop": ["a", "b"]}},
    {"options": {"use_mmap": True}},
    *each("format", ["json", SCHEMA]),
    *each("keep_alive", [0, -1, 300, "5m", "1h30m"]),
    *each("think", [True, False, "low", "medium", "high", "max"]),
    {"logprobs": True, "top_logprobs": 2},
    {"truncate": False},
    {"shift": False},
    {"stream": True},
    X,
)
OLLAMA_CHAT_FIELDS: tuple[JsonObject, ...] = (
    *_OPTIONS,
    {
        "tools": [
            {
                "type": "function",
                "function": {
                    "name": "f",
                    "description": "d",
                    "parameters": {**SCHEMA, "$defs": {}},
                },
            }
        ]
    },
    user("see", images=["iVBORw0KGgo="]),
    talk(
        {
            "role": "assistant",
            "content": "a",
            "thinking": "Hm",
            "tool_calls": [
                {"id": "c1", "function": {"index": 0, "name": "f", "arguments": {"a": 1}}}
            ],
        },
        {"role": "tool", "content": "done", "tool_name": "f", "tool_call_id": "c1"},
    ),
    user("hi", **X),
)
GENERATE: tuple[JsonObject, ...] = (
    *_OPTIONS,
    {"suffix": "The end"},
    {"system": "be brief"},
    {"template": "{{ .Prompt }}"},
    {"context": [1, 2]},
    {"raw": True},
    {"images": ["iVBORw0KGgo="]},
    {"width": 64, "height": 64, "steps": 3},
)
