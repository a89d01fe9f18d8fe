"""Z.ai's coding plan: chats at a base URL of its own, the API in Anthropic's style beside it."""

from __future__ import annotations

from dataclasses import replace

from imitations.answering import anthropic_messages, openai_chat
from imitations.kinds import Refusal
from imitations.zai import TABLE as ZAI

TABLE = replace(
    ZAI,
    address=None,
    base_url="http://up.test/api/coding/paas/v4",
    model="glm-5",
    apis={
        "/api/coding/paas/v4/chat/completions": openai_chat,
        "/api/anthropic/v1/messages": anthropic_messages,
    },
    embedding_model="",
    embeddings=None,
    listing=("/api/coding/paas/v4/models", ZAI.listing[1]),
    # A key of another plan.
    spent=Refusal(
        status=429,
        body={
            "error": {
                "code": "1113",
                "message": "Insufficient balance or no resource package. Please recharge.",
            }
        },
    ),
)
