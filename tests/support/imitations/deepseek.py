"""DeepSeek."""

from __future__ import annotations

from imitations.answering import anthropic_messages, openai_chat
from imitations.kinds import ImitatedKind, Refusal

from forebay.protocol.canonical.listed_models import ListedModel

_VERSIONED = frozenset({"anthropic-version"})


TABLE = ImitatedKind(
    kind="deepseek",
    address="https://api.deepseek.com",
    model="deepseek-flash",
    apis={
        "/chat/completions": lambda request: openai_chat(
            request, comment=b": keep-alive\n\n: keep-alive\n\n"
        ),
        "/anthropic/v1/messages": anthropic_messages,
    },
    required_headers={"/anthropic/v1/messages": _VERSIONED},
    listing=(
        "/models",
        {
            "object": "list",
            "data": [{"id": "deepseek-flash", "object": "model", "owned_by": "deepseek"}],
        },
    ),
    listed=(ListedModel("deepseek-flash", owner="deepseek"),),
    wrong_key=Refusal(
        status=401,
        body={
            "error": {
                "message": "Authentication Fails, Your api key: ****xxxx is invalid",
                "type": "authentication_error",
                "param": None,
                "code": "invalid_request_error",
            }
        },
    ),
    unknown_path=Refusal(status=404, body={"error_msg": "Not Found. Please check the docs."}),
    rate_limited=Refusal(
        status=429,
        body={
            "error": {
                "message": "Rate limit reached",
                "type": "rate_limit_error",
                "param": None,
                "code": "invalid_request_error",
            }
        },
    ),
    spent=Refusal(
        status=402,
        body={
            "error": {
                "message": "Insufficient Balance",
                "type": "unknown_error",
                "param": None,
                "code": "invalid_request_error",
            }
        },
    ),
    overloaded=Refusal(
        status=503,
        body={"error": {"message": "Service is too busy.", "type": "service_unavailable_error"}},
    ),
    overflow=Refusal(
        status=400,
        body={
            "error": {
                "message": "This model's maximum context length is 131072 tokens. However, you "
                "requested 140000 tokens (140000 in the messages, 0 in the completion). Please "
                "reduce the length of the messages or completion.",
                "type": "invalid_request_error",
                "param": None,
                "code": "invalid_request_error",
            }
        },
    ),
    overflow_tokens=(140000, 131072),
)
