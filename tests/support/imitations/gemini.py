"""Gemini's endpoint in OpenAI's style."""

from __future__ import annotations

from imitations.answering import openai_chat, openai_embeddings
from imitations.kinds import ImitatedKind, Refusal

from forebay.protocol.canonical.listed_models import ListedModel

_HELP = {
    "@type": "type.googleapis.com/google.rpc.Help",
    "links": [{"description": "Learn more", "url": "https://ai.google.dev/gemini-api/docs"}],
}


def _googles(code: int, status: str, message: str, *details: object) -> object:
    return [{"error": {"code": code, "message": message, "status": status, "details": [*details]}}]


def _quota(quota: str, value: str) -> object:
    violation = {
        "quotaMetric": "generativelanguage.googleapis.com/generate_content_free_tier_requests",
        "quotaId": quota,
        "quotaDimensions": {"location": "global", "model": "gemini-3-flash"},
        "quotaValue": value,
    }
    return {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [violation]}


def _retry(delay: str) -> object:
    return {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay}


TABLE = ImitatedKind(
    kind="gemini",
    address="https://generativelanguage.googleapis.com/v1beta/openai",
    model="gemini-3-flash",
    apis={"/v1beta/openai/chat/completions": openai_chat},
    embedding_model="gemini-embedding-001",
    embeddings=("/v1beta/openai/embeddings", openai_embeddings),
    listing=(
        "/v1beta/openai/models",
        {
            "object": "list",
            "data": [
                {
                    "id": "models/gemini-3-flash",
                    "object": "model",
                    "owned_by": "google",
                    "display_name": "Gemini 3 Flash",
                }
            ],
        },
    ),
    listed=(ListedModel("gemini-3-flash", owner="google"),),
    wrong_key=Refusal(
        status=400,
        body=_googles(
            400,
            "INVALID_ARGUMENT",
            "API key not valid. Please pass a valid API key.",
            {
                "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                "reason": "API_KEY_INVALID",
                "domain": "googleapis.com",
            },
        ),
    ),
    unknown_path=Refusal(status=404, body=_googles(404, "NOT_FOUND", "Not found")),
    rate_limited=Refusal(
        status=429,
        body=_googles(
            429,
            "RESOURCE_EXHAUSTED",
            "You exceeded your current quota, please check your plan and billing details.",
            _quota("GenerateRequestsPerMinutePerProjectPerModel-FreeTier", "10"),
            _HELP,
            _retry("34.07s"),
        ),
    ),
    waits=34.0,
    spent=Refusal(
        status=429,
        body=_googles(
            429,
            "RESOURCE_EXHAUSTED",
            "You exceeded your current quota, please check your plan and billing details.",
            _quota("GenerateRequestsPerDayPerProjectPerModel-FreeTier", "250"),
            _HELP,
            _retry("18s"),
        ),
    ),
    overloaded=Refusal(
        status=503,
        body=_googles(503, "UNAVAILABLE", "The model is overloaded. Please try again later."),
    ),
    overflow=Refusal(
        status=400,
        body=_googles(
            400,
            "INVALID_ARGUMENT",
            "The input token count (1200000) exceeds the maximum number of tokens allowed "
            "(1048576).",
        ),
    ),
)
