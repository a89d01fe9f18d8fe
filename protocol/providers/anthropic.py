"""Anthropic's own API, and servers that imitate it."""

from forebay.protocol.dialects.anthropic import (
    ANTHROPIC,
    ANTHROPIC_COUNT_TOKENS,
    ANTHROPIC_MESSAGES,
)
from forebay.protocol.providers._claude_models import claude_traits
from forebay.protocol.providers.base import Greeting, ProviderProfile
from forebay.protocol.providers.classification import classify_by_status

PROFILE = ProviderProfile(
    kind="anthropic",
    default_base_url="https://api.anthropic.com",
    paths={
        ANTHROPIC_MESSAGES: "/v1/messages",
        ANTHROPIC_COUNT_TOKENS: "/v1/messages/count_tokens",
    },
    listing_path="/v1/models?limit=1000",
    listing_dialect=ANTHROPIC,
    classify=classify_by_status,
    greeting=Greeting.X_API_KEY,
    headers={"anthropic-version": "2023-06-01"},
    forwarded_headers=frozenset({"anthropic-version", "anthropic-beta"}),
    forwards_query=True,
    model_traits=claude_traits,
    charges_cache_reads=False,
)
