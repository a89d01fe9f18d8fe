"""Anthropic's own API."""

from __future__ import annotations

from datetime import date

from imitations.answering import anthropic_messages
from imitations.kinds import KEY, ImitatedKind, Refusal

from forebay.protocol.canonical.listed_models import Capability, ListedModel

_VERSIONED = frozenset({"anthropic-version"})


def _anthropics(kind: str, message: str) -> object:
    return {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"}


TABLE = ImitatedKind(
    kind="anthropic",
    address="https://api.anthropic.com",
    model="claude-sonnet-4-5",
    apis={"/v1/messages": anthropic_messages},
    credential=("x-api-key", KEY),
    required_headers={"/v1/messages": _VERSIONED},
    listing=(
        "/v1/models?limit=1000",
        {
            "data": [
                {
                    "type": "model",
                    "id": "claude-sonnet-4-5",
                    "display_name": "Claude Sonnet 4.5",
                    "created_at": "2025-09-29T00:00:00Z",
                    "lifecycle": "active",
                    "max_input_tokens": 200000,
                    "max_tokens": 64000,
                    "capabilities": {
                        "image_input": {"supported": True},
                        "structured_outputs": {"supported": True},
                        "thinking": {"supported": True, "types": {}},
                    },
                },
                {
                    "type": "model",
                    "id": "claude-3-haiku-20240307",
                    "lifecycle": "deprecated",
                    "retires_at": "2027-02-01T00:00:00Z",
                    "max_input_tokens": 200000,
                    "max_tokens": 4096,
                },
            ],
            "has_more": False,
            "first_id": "claude-sonnet-4-5",
            "last_id": "claude-3-haiku-20240307",
        },
    ),
    listed=(
        ListedModel(
            "claude-sonnet-4-5",
            200000,
            max_output_tokens=64000,
            capabilities=frozenset(
                {Capability.VISION, Capability.JSON_SCHEMA, Capability.THINKING}
            ),
        ),
        ListedModel(
            "claude-3-haiku-20240307",
            200000,
            max_output_tokens=4096,
            deprecated=True,
            retires=date(2027, 2, 1),
        ),
    ),
    probed={"/v1/models?limit=1": {"data": [], "has_more": True}},
    wrong_key=Refusal(status=401, body=_anthropics("authentication_error", "invalid x-api-key")),
    unknown_path=Refusal(status=404, body=_anthropics("not_found_error", "Not Found")),
    rate_limited=Refusal(
        status=429,
        body=_anthropics(
            "rate_limit_error",
            "This request would exceed your organization's rate limit of 30,000 input tokens per "
            "minute.",
        ),
        headers={"retry-after": "9"},
    ),
    waits=9.0,
    spent=Refusal(
        status=400,
        body=_anthropics(
            "invalid_request_error",
            "Your credit balance is too low to access the Anthropic API. Please go to Plans & "
            "Billing to upgrade or purchase credits.",
        ),
    ),
    overloaded=Refusal(status=529, body=_anthropics("overloaded_error", "Overloaded")),
    overflow=Refusal(
        status=400,
        body=_anthropics(
            "invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum"
        ),
    ),
    overflow_tokens=(210000, 200000),
    limit_headers={
        "anthropic-ratelimit-requests-limit": "50",
        "anthropic-ratelimit-requests-remaining": "49",
        "anthropic-ratelimit-requests-reset": "2000-01-01T00:00:01Z",
        "anthropic-ratelimit-input-tokens-limit": "30000",
        "anthropic-ratelimit-input-tokens-remaining": "30000",
        "anthropic-ratelimit-input-tokens-reset": "2000-01-01T00:00:01Z",
    },
    told=frozenset({"requests", "input-tokens"}),
)
