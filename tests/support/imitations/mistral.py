"""Mistral."""

from __future__ import annotations

import re
from datetime import date

from imitations.answering import openai_chat, openai_embeddings
from imitations.kinds import ImitatedKind, Refusal

from forebay.protocol.canonical.listed_models import Capability, ListedModel


def _wrong_tool_id(given: str) -> Refusal | None:
    if re.fullmatch("[a-zA-Z0-9]{9}", given):
        return None
    message = f"Tool call id was {given} but must be a-z, A-Z, 0-9, with a length of 9."
    return Refusal(
        status=400,
        body={
            "object": "error",
            "message": message,
            "type": "invalid_function_call",
            "param": None,
            "code": "3280",
        },
    )


TABLE = ImitatedKind(
    kind="mistral",
    address="https://api.mistral.ai/v1",
    model="mistral-small-latest",
    apis={
        "/v1/chat/completions": lambda request: openai_chat(request, usage_unasked=True),
    },
    embedding_model="mistral-embed",
    embeddings=("/v1/embeddings", openai_embeddings),
    listing=(
        "/v1/models",
        {
            "object": "list",
            "data": [
                {
                    "id": "mistral-small-latest",
                    "object": "model",
                    "created": 1790000000,
                    "owned_by": "mistralai",
                    "capabilities": {
                        "completion_chat": True,
                        "completion_fim": False,
                        "function_calling": True,
                        "fine_tuning": False,
                        "vision": True,
                        "audio": False,
                    },
                    "name": "mistral-small-2603",
                    "max_context_length": 131072,
                    "aliases": ["mistral-small-2603"],
                    "deprecation": None,
                    "type": "base",
                },
                {
                    "id": "open-old",
                    "object": "model",
                    "owned_by": "mistralai",
                    "max_context_length": 32768,
                    "deprecation": "2026-12-31T00:00:00Z",
                },
            ],
        },
    ),
    listed=(
        ListedModel(
            "mistral-small-latest",
            131072,
            "mistralai",
            capabilities=frozenset({Capability.CHAT, Capability.TOOLS, Capability.VISION}),
            lacks=frozenset({Capability.AUDIO}),
        ),
        ListedModel("open-old", 32768, "mistralai", deprecated=True, retires=date(2026, 12, 31)),
    ),
    known_fields=frozenset(
        {
            "frequency_penalty",
            "guardrails",
            "max_tokens",
            "messages",
            "metadata",
            "model",
            "n",
            "parallel_tool_calls",
            "prediction",
            "presence_penalty",
            "prompt_cache_key",
            "prompt_mode",
            "random_seed",
            "reasoning_effort",
            "response_format",
            "safe_prompt",
            "service_tier",
            "stop",
            "stream",
            "temperature",
            "tool_choice",
            "tools",
            "top_p",
        }
    ),
    unknown_field=lambda name: Refusal(
        status=422,
        body={
            "object": "error",
            "message": {
                "detail": [
                    {
                        "type": "extra_forbidden",
                        "loc": ["body", name],
                        "msg": "Extra inputs are not permitted",
                        "input": 1,
                    }
                ]
            },
            "type": "invalid_request_error",
            "param": None,
            "code": None,
        },
    ),
    bears_past_reasoning=False,
    wrong_tool_id=_wrong_tool_id,
    wrong_key=Refusal(status=401, body={"detail": "Unauthorized"}),
    unknown_path=Refusal(
        status=404, body={"message": "no Route matched with those values", "request_id": "x"}
    ),
    rate_limited=Refusal(
        status=429,
        body={
            "object": "error",
            "message": "Rate limit exceeded",
            "type": "rate_limited",
            "param": None,
            "code": "1300",
            "raw_status_code": 429,
        },
        headers={"retry-after": "12", "x-ratelimit-limit-req-minute": "50"},
    ),
    waits=12.0,
    spent=None,
    overloaded=Refusal(
        status=503,
        body={"object": "error", "message": "Service unavailable.", "type": "unavailable"},
    ),
    overflow=Refusal(
        status=400,
        body={
            "object": "error",
            "message": "Prompt contains 140000 tokens and 0 draft tokens, too large for model "
            "with 131072 maximum context length",
            "type": "invalid_request_prompt",
            "param": None,
            "code": "3051",
        },
    ),
    overflow_tokens=(140000, 131072),
    limit_headers={
        "x-ratelimit-limit-req-minute": "50",
        "x-ratelimit-remaining-req-minute": "49",
        "x-ratelimit-limit-tokens-minute": "50000",
        "x-ratelimit-remaining-tokens-minute": "47300",
        "x-ratelimit-tokens-query-cost": "1300",
    },
    told=frozenset({"req-minute", "tokens-minute"}),
)
