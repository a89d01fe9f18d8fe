"""Groq."""

from __future__ import annotations

from imitations.answering import openai_chat
from imitations.kinds import ImitatedKind, Refusal

from forebay.protocol.canonical.listed_models import ListedModel

TABLE = ImitatedKind(
    kind="groq",
    address="https://api.groq.com/openai/v1",
    model="openai/gpt-oss-120b",
    apis={"/openai/v1/chat/completions": openai_chat},
    listing=(
        "/openai/v1/models",
        {
            "object": "list",
            "data": [
                {
                    "id": "openai/gpt-oss-120b",
                    "object": "model",
                    "created": 1754408224,
                    "owned_by": "OpenAI",
                    "active": True,
                    "context_window": 131072,
                    "public_apps": None,
                    "max_completion_tokens": 65536,
                },
                {"id": "gone", "object": "model", "active": False, "context_window": 8192},
            ],
        },
    ),
    listed=(ListedModel("openai/gpt-oss-120b", 131072, "OpenAI", max_output_tokens=65536),),
    known_fields=frozenset(
        {
            "frequency_penalty",
            "include_reasoning",
            "max_completion_tokens",
            "max_tokens",
            "messages",
            "metadata",
            "model",
            "n",
            "parallel_tool_calls",
            "presence_penalty",
            "reasoning_effort",
            "reasoning_format",
            "response_format",
            "seed",
            "service_tier",
            "stop",
            "stream",
            "stream_options",
            "temperature",
            "tool_choice",
            "tools",
            "top_p",
            "user",
        }
    ),
    unknown_field=lambda name: Refusal(
        status=400,
        body={
            "error": {
                "message": f"property '{name}' is unsupported",
                "type": "invalid_request_error",
            }
        },
    ),
    bears_past_reasoning=False,
    wrong_key=Refusal(
        status=401,
        body={
            "error": {
                "message": "Invalid API Key",
                "type": "invalid_request_error",
                "code": "invalid_api_key",
            }
        },
    ),
    unknown_path=Refusal(
        status=404,
        body={
            "error": {
                "message": "Unknown request URL: POST /x.",
                "type": "invalid_request_error",
                "code": "unknown_url",
            }
        },
    ),
    rate_limited=Refusal(
        status=429,
        body={
            "error": {
                "message": "Rate limit reached for model openai/gpt-oss-120b in organization x "
                "service tier on_demand on tokens per minute (TPM): Limit 8000, Used 7900, "
                "Requested 600. Please try again in 3.75s.",
                "type": "tokens",
                "code": "rate_limit_exceeded",
            }
        },
        headers={"retry-after": "4"},
    ),
    waits=4.0,
    spent=None,
    overloaded=Refusal(
        status=498,
        body={"error": {"message": "Flex tier capacity exceeded", "type": "flex_capacity"}},
    ),
    overflow=Refusal(
        status=400,
        body={
            "error": {
                "message": "Please reduce the length of the messages or completion.",
                "type": "invalid_request_error",
                "param": "messages",
                "code": "context_length_exceeded",
            }
        },
    ),
    limit_headers={
        "x-ratelimit-limit-requests": "14400",
        "x-ratelimit-remaining-requests": "14399",
        "x-ratelimit-reset-requests": "6s",
        "x-ratelimit-limit-tokens": "8000",
        "x-ratelimit-remaining-tokens": "7900",
        "x-ratelimit-reset-tokens": "750ms",
    },
    told=frozenset({"requests", "tokens"}),
)
