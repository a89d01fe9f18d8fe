"""Hugging Face's router."""

from __future__ import annotations

from imitations.answering import openai_chat
from imitations.kinds import ImitatedKind, Refusal

from forebay.protocol.canonical.listed_models import Capability, ListedModel

TABLE = ImitatedKind(
    kind="huggingface",
    address="https://router.huggingface.co/v1",
    model="deepseek-ai/DeepSeek-V3.2",
    apis={"/v1/chat/completions": openai_chat},
    listing=(
        "/v1/models",
        {
            "object": "list",
            "data": [
                {
                    "id": "deepseek-ai/DeepSeek-V3.2",
                    "object": "model",
                    "created": 1764582000,
                    "owned_by": "deepseek-ai",
                    "architecture": {
                        "input_modalities": ["text"],
                        "output_modalities": ["text"],
                    },
                    "providers": [
                        {
                            "provider": "novita",
                            "status": "live",
                            "context_length": 163840,
                            "pricing": {"input": 0.269, "output": 0.4},
                            "supports_tools": True,
                            "supports_structured_output": False,
                            "is_model_author": False,
                        },
                        {
                            "provider": "fireworks-ai",
                            "status": "live",
                            "context_length": 131072,
                            "pricing": {"input": 0.56, "output": 1.68},
                            "supports_tools": True,
                            "supports_structured_output": True,
                        },
                        {"provider": "gone", "status": "error", "context_length": 8192},
                    ],
                }
            ],
        },
    ),
    listed=(
        ListedModel(
            "deepseek-ai/DeepSeek-V3.2",
            131072,
            "deepseek-ai",
            price_input=0.56,
            price_output=1.68,
            capabilities=frozenset({Capability.CHAT, Capability.TOOLS}),
            lacks=frozenset({Capability.VISION, Capability.AUDIO}),
        ),
    ),
    open_paths=frozenset({"/v1/models"}),
    wrong_key=Refusal(status=401, body={"error": "Invalid username or password."}),
    unknown_path=Refusal(status=404, body={"error": "Not Found"}),
    rate_limited=Refusal(
        status=429,
        body={"error": "Too many requests"},
        headers={
            "retry-after": "7",
            "ratelimit": '"api";r=0;t=7',
            "ratelimit-policy": '"fixed window";"api";q=500;w=300',
        },
    ),
    waits=7.0,
    spent=Refusal(
        status=402,
        body={
            "error": "You have exceeded your monthly included credits for Inference Providers. "
            "Subscribe to PRO to get 20x more monthly included credits."
        },
    ),
    overloaded=Refusal(status=503, body={"error": "Service Unavailable"}),
    overflow=Refusal(
        status=400,
        body={
            "error": {
                "message": "This model's maximum context length is 131072 tokens. However, your "
                "request has 140000 input tokens.",
                "type": "BadRequestError",
                "code": 400,
            }
        },
    ),
    overflow_tokens=(140000, 131072),
    limit_headers={
        "ratelimit": '"api";r=499;t=30',
        "ratelimit-policy": '"fixed window";"api";q=500;w=300',
    },
    told=frozenset({"policy-api"}),
)
