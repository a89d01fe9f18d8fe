"""Every field that the published references of each API list, with a value that it may have; and
one that nobody lists."""

from __future__ import annotations

from collections.abc import Mapping

from listed_field_forms import SCHEMA, talk, user
from listed_openai_fields import CHAT, CHAT_TOOL, FUNCTION, RESPONSES, TEXT
from listed_other_fields import GENERATE, MESSAGES, OLLAMA_CHAT_FIELDS

from forebay.protocol.dialects.anthropic import ANTHROPIC_MESSAGES
from forebay.protocol.dialects.base import Api
from forebay.protocol.dialects.ollama import OLLAMA_CHAT, OLLAMA_GENERATE
from forebay.protocol.dialects.openai import OPENAI_CHAT, OPENAI_COMPLETIONS
from forebay.protocol.dialects.openai.responses._names import OPENAI_RESPONSES
from forebay.protocol.jsontext import JsonObject

PLAIN: Mapping[Api, JsonObject] = {
    OPENAI_CHAT: {"model": "m", **user("hi")},
    OPENAI_COMPLETIONS: {"model": "m", "prompt": "hi"},
    OPENAI_RESPONSES: {"model": "m", "input": "hi"},
    ANTHROPIC_MESSAGES: {"model": "m", "max_tokens": 2048, **user("hi")},
    OLLAMA_CHAT: {"model": "m", "stream": False, **user("hi")},
    OLLAMA_GENERATE: {"model": "m", "stream": False, "prompt": "hi"},
}
"""What a request has at least."""

LISTED: Mapping[Api, tuple[JsonObject, ...]] = {
    OPENAI_CHAT: CHAT,
    OPENAI_COMPLETIONS: TEXT,
    OPENAI_RESPONSES: RESPONSES,
    ANTHROPIC_MESSAGES: MESSAGES,
    OLLAMA_CHAT: OLLAMA_CHAT_FIELDS,
    OLLAMA_GENERATE: GENERATE,
}
"""What each adds to the plain request, or says in the place of what that says."""

SAID_OTHERWISE: tuple[tuple[Api, JsonObject, JsonObject], ...] = (
    (OPENAI_CHAT, {"max_completion_tokens": 9}, {"max_tokens": 9}),
    (OPENAI_CHAT, {"stop": "END"}, {"stop": ["END"]}),
    (OPENAI_CHAT, {"response_format": {"type": "text"}}, {}),
    (
        OPENAI_CHAT,
        {"functions": [FUNCTION], "function_call": {"name": "f"}},
        {
            "tools": [CHAT_TOOL],
            "tool_choice": {"type": "function", "function": {"name": "f"}},
        },
    ),
    (
        OPENAI_CHAT,
        talk({"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]}),
        talk({"role": "assistant", "content": None, "refusal": "no"}),
    ),
    (OPENAI_COMPLETIONS, {"stop": "END"}, {"stop": ["END"]}),
    (
        ANTHROPIC_MESSAGES,
        {"output_format": {"type": "json_schema", "schema": SCHEMA}},
        {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}},
    ),
    (OLLAMA_CHAT, {"format": ""}, {}),
    (OLLAMA_GENERATE, {"format": ""}, {}),
)
"""What means the same in a newer or in a plainer form: an API, fields, and how they are passed
on."""
