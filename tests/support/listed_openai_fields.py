"""Every field that OpenAI lists for its APIs, and those that compatible servers have."""

from __future__ import annotations

from listed_field_forms import SCHEMA, X, each, talk, user

from forebay.protocol.jsontext import JsonObject

FUNCTION: JsonObject = {"name": "f", "description": "Does.", "parameters": SCHEMA, "strict": True}
CHAT_TOOL: JsonObject = {"type": "function", "function": FUNCTION}
_CUSTOM: JsonObject = {
    "type": "custom",
    "custom": {
        "name": "sql",
        "description": "Asks.",
        "format": {"type": "grammar", "grammar": {"syntax": "lark", "definition": "start: /a/"}},
    },
}
_CALL: JsonObject = {
    "id": "call_1",
    "type": "function",
    "function": {"name": "f", "arguments": '{"a":1}'},
}
_SAMPLING: tuple[JsonObject, ...] = (
    {"temperature": 0.5},
    {"top_p": 0.5},
    {"frequency_penalty": -0.5},
    {"presence_penalty": 0.5},
    {"logit_bias": {"50256": -100}},
    {"seed": 7},
)
_ACCOUNT: tuple[JsonObject, ...] = (
    {"service_tier": "flex"},
    {"metadata": {"k": "v"}},
    {"store": True},
    {"user": "u"},
    {"safety_identifier": "s"},
    {"prompt_cache_key": "k"},
    {"prompt_cache_retention": "24h"},
    {"prompt_cache_options": {"mode": "explicit", "ttl": "30m"}},
    {"moderation": {"model": "omni", "policy": "block"}},
)
_COMPATIBLE: tuple[JsonObject, ...] = (
    {"top_k": 5},
    {"min_p": 0.1},
    {"repetition_penalty": 1.1},
    {"repeat_penalty": 1.1},
    {"typical_p": 0.9},
    {"mirostat": 2, "mirostat_eta": 0.1, "mirostat_tau": 5},
    {"chat_template_kwargs": {"enable_thinking": False}},
    {"structured_outputs": {"regex": "a"}},
    {"guided_json": SCHEMA},
    {"ignore_eos": True},
    {"stop_token_ids": [1]},
    {"include_reasoning": True},
    {"enable_thinking": True},
    {"provider": {"order": ["a"]}},
    {"models": ["a", "b"]},
    {"transforms": ["middle-out"]},
    {"plugins": [{"id": "web"}]},
    {"cache_prompt": True},
    {"id_slot": 1},
    {"keep_alive": "5m"},
    {"options": {"num_ctx": 4096}},
)


def _part(part: JsonObject) -> JsonObject:
    return user([{"type": "text", "text": "see"}, part])


CHAT: tuple[JsonObject, ...] = (
    {"max_tokens": 9},
    {"n": 2},
    {"stop": ["a", "b"]},
    {"stream": True, "stream_options": {"include_usage": True, "include_obfuscation": False}},
    {"logprobs": True, "top_logprobs": 2},
    {"response_format": {"type": "json_object"}},
    {
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "n", "schema": SCHEMA, "strict": True, "description": "d"},
        }
    },
    {"tools": [CHAT_TOOL, _CUSTOM]},
    *each(
        "tool_choice",
        [
            "none",
            "auto",
            "required",
            {"type": "function", "function": {"name": "f"}},
            {"type": "custom", "custom": {"name": "sql"}},
            {
                "type": "allowed_tools",
                "allowed_tools": {"mode": "required", "tools": [CHAT_TOOL]},
            },
        ],
        tools=[CHAT_TOOL, _CUSTOM],
    ),
    {"tools": [CHAT_TOOL], "parallel_tool_calls": False},
    *each("reasoning_effort", ["none", "minimal", "medium", "xhigh", "max"]),
    {"reasoning": {"effort": "low", "exclude": True}},
    {"thinking": {"type": "enabled"}},
    {"verbosity": "low"},
    {"modalities": ["text", "audio"], "audio": {"voice": "alloy", "format": "wav"}},
    {"prediction": {"type": "content", "content": "Once"}},
    {"web_search_options": {"search_context_size": "low"}},
    *_SAMPLING,
    *_ACCOUNT,
    *_COMPATIBLE,
    X,
    # Messages
    {"messages": [{"role": "developer", "content": "be brief", "name": "d"}]},
    {"messages": [{"role": "system", "content": [{"type": "text", "text": "be brief"}]}]},
    user("hi", name="anna"),
    user("hi", **X),
    talk({"role": "assistant", "content": "a", "refusal": "no", "name": "b"}),
    talk({"role": "assistant", "content": "a", "audio": {"id": "audio_1"}}),
    talk(
        {"role": "assistant", "content": None, "tool_calls": [_CALL]},
        {"role": "tool", "tool_call_id": "call_1", "content": "done"},
    ),
    talk(
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "c1", "type": "custom", "custom": {"name": "q", "input": "x"}}],
        },
        {"role": "tool", "tool_call_id": "c1", "content": [{"type": "text", "text": "done"}]},
    ),
    talk({"role": "assistant", "content": "a", "reasoning_content": "Hm"}),
    talk({"role": "assistant", "content": "a", "reasoning": "Hm"}),
    talk(
        {
            "role": "assistant",
            "content": "a",
            "reasoning_details": [{"type": "reasoning.text", "text": "Hm", "signature": "s"}],
        }
    ),
    # Parts
    _part({"type": "text", "text": "b", "prompt_cache_breakpoint": {"mode": "explicit"}}),
    _part({"type": "text", "text": "b", "cache_control": {"type": "ephemeral"}}),
    _part({"type": "image_url", "image_url": {"url": "https://x.test/a.png", "detail": "low"}}),
    _part({"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}),
    _part({"type": "input_audio", "input_audio": {"data": "UklG", "format": "wav"}}),
    _part(
        {
            "type": "file",
            "file": {"file_data": "data:application/pdf;base64,JVBERi0x", "filename": "a.pdf"},
        }
    ),
    _part({"type": "file", "file": {"file_id": "file_1"}}),
    _part({"type": "video_url", "video_url": {"url": "https://x.test/a.mp4"}}),
)

TEXT: tuple[JsonObject, ...] = (
    {"max_tokens": 9},
    {"n": 2, "best_of": 3},
    {"echo": True},
    {"suffix": "The end"},
    {"logprobs": 2},
    {"stop": ["a"]},
    {"stream": True, "stream_options": {"include_usage": True}},
    {"prompt": ["a", "b"]},
    {"prompt": [1, 2]},
    {"prompt": [[1], [2]]},
    {"user": "u"},
    *_SAMPLING,
    *(fields for fields in _COMPATIBLE if "repeat_penalty" not in fields),
    X,
)

_FLAT_TOOL: JsonObject = {
    "type": "function",
    "name": "f",
    "description": "Does.",
    "parameters": SCHEMA,
    "strict": True,
    "defer_loading": True,
    "allowed_callers": ["direct"],
    "output_schema": SCHEMA,
}
_HOSTED = (
    *("web_search", "file_search", "code_interpreter", "image_generation", "mcp", "local_shell"),
    *("shell", "apply_patch", "tool_search", "programmatic_tool_calling", "computer"),
)


def _item(item: JsonObject) -> JsonObject:
    return {"input": [{"role": "user", "content": "hi"}, item]}


RESPONSES: tuple[JsonObject, ...] = (
    {"instructions": "be brief"},
    {"max_output_tokens": 20},
    {"max_tool_calls": 3},
    {"tools": [_FLAT_TOOL]},
    {"tools": [{"type": "custom", "name": "q", "description": "d", "format": {"type": "text"}}]},
    {"tools": [{"type": "namespace", "name": "n", "description": "d", "tools": [_FLAT_TOOL]}]},
    *each("tools", [[{"type": kind, "x": 1}] for kind in _HOSTED]),
    *each(
        "tool_choice",
        [
            "none",
            "auto",
            "required",
            {"type": "function", "name": "f"},
            {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "f"}]},
            {"type": "mcp", "server_label": "s", "name": "n"},
            {"type": "web_search"},
        ],
        tools=[_FLAT_TOOL],
    ),
    {
        "tools": [{"type": "custom", "name": "q"}],
        "tool_choice": {"type": "custom", "name": "q"},
    },
    {"parallel_tool_calls": False},
    {"text": {"format": {"type": "json_object"}, "verbosity": "low"}},
    {"text": {"format": {"type": "json_schema", "name": "n", "schema": SCHEMA, "strict": True}}},
    {"reasoning": {"effort": "high", "summary": "auto", "context": "all_turns", "mode": "pro"}},
    {"reasoning": {"generate_summary": "concise"}},
    {"temperature": 0.5},
    {"top_p": 0.5},
    {"top_logprobs": 2},
    {"include": ["reasoning.encrypted_content", "message.output_text.logprobs"]},
    {"previous_response_id": "resp_1"},
    {"conversation": {"id": "conv_1"}},
    {"conversation": "conv_1"},
    {"prompt": {"id": "pmpt_1", "version": "2", "variables": {"a": "b"}}},
    {"background": True},
    {"background_options": {"a": 1}},
    {"truncation": "auto"},
    {"context_management": [{"type": "compaction", "compact_threshold": 9}]},
    {"stream": True, "stream_options": {"include_obfuscation": False}},
    *_ACCOUNT,
    X,
    # Items
    _item(
        {
            "type": "message",
            "role": "assistant",
            "id": "msg_1",
            "status": "completed",
            "phase": "commentary",
            "content": [
                {
                    "type": "output_text",
                    "text": "a",
                    "annotations": [{"type": "x"}],
                    "logprobs": [],
                },
                {"type": "refusal", "refusal": "no"},
            ],
        }
    ),
    _item(
        {
            "role": "user",
            "content": [
                {"type": "input_text", "text": "a"},
                {"type": "input_image", "image_url": "https://x.test/a.png", "detail": "low"},
                {"type": "input_image", "file_id": "file_1", "detail": "auto"},
                {
                    "type": "input_file",
                    "file_data": "data:application/pdf;base64,JVBERi0x",
                    "filename": "a.pdf",
                },
                {"type": "input_file", "file_url": "https://x.test/a.pdf"},
                {"type": "input_file", "file_id": "file_2"},
                {"type": "input_audio", "input_audio": {"data": "UklG", "format": "wav"}},
            ],
        }
    ),
    _item(
        {
            "type": "reasoning",
            "id": "rs_1",
            "summary": [{"type": "summary_text", "text": "Hm"}],
            "content": [{"type": "reasoning_text", "text": "Hm"}],
            "encrypted_content": "gAAA",
            "status": "completed",
        }
    ),
    _item({"type": "item_reference", "id": "msg_1"}),
    _item({"type": "compaction", "encrypted_content": "gAAA"}),
    *(
        _item({"type": kind, "id": "x_1", "x": {"a": 1}})
        for kind in (
            *("web_search_call", "file_search_call", "code_interpreter_call"),
            *("image_generation_call", "computer_call", "computer_call_output", "mcp_list_tools"),
            *("mcp_approval_request", "mcp_approval_response", "mcp_call", "local_shell_call"),
            *("local_shell_call_output", "shell_call", "shell_call_output", "apply_patch_call"),
            *("apply_patch_call_output", "tool_search_call", "tool_search_output"),
        )
    ),
    {
        "input": [
            {"role": "user", "content": "hi"},
            {
                "type": "function_call",
                "call_id": "c1",
                "name": "f",
                "arguments": "{}",
                "id": "fc_1",
                "status": "completed",
                "namespace": "n",
            },
            {"type": "custom_tool_call", "call_id": "c2", "name": "q", "input": "x", "id": "ctc_1"},
            {
                "type": "function_call_output",
                "call_id": "c1",
                "output": [
                    {"type": "input_text", "text": "a"},
                    {"type": "input_text", "text": "b"},
                ],
            },
            {"type": "custom_tool_call_output", "call_id": "c2", "output": "done"},
        ]
    },
)
