"""Anthropic's own API, and servers that imitate it."""

from forebay.protocol.dialects.anthropic import (
    ANTHROPIC,
    ANTHROPIC_COUNT_TOKENS,
    ANTHROPIC_MESSAGES,
)
from forebay.protocol.providers._claude_models import claude_traits
from forebay.protocol.providers.base import Greeting, KnownAs, Notes, Probe, ProviderProfile
from forebay.protocol.providers.classification import classify_by_status
from forebay.protocol.providers.limits.anthropic_headers import read_anthropic

PROFILE = ProviderProfile(
    kind="anthropic",
    known_as=KnownAs(prices="anthropic", capabilities="anthropic"),
    notes=Notes(
        title="Anthropic",
        limits=(
            "the headers `anthropic-ratelimit-*` of every answer, input and output apart; what "
            "was read from its prompt cache does not count. A 529 is an overload of its own and "
            "says nothing of your limits."
        ),
        lossy=(
            "There are no embeddings.",
            "What the Messages API can't say is in [translation.md](translation.md).",
        ),
    ),
    default_base_url="https://api.anthropic.com",
    paths={
        ANTHROPIC_MESSAGES: "/v1/messages",
        ANTHROPIC_COUNT_TOKENS: "/v1/messages/count_tokens",
    },
    listing_path="/v1/models?limit=1000",
    listing_dialect=ANTHROPIC,
    classify=classify_by_status,
    read_limits=read_anthropic,
    probe=Probe(path="/v1/models?limit=1"),
    greeting=Greeting.X_API_KEY,
    headers={"anthropic-version": "2023-06-01"},
    forwarded_headers=frozenset({"anthropic-version", "anthropic-beta"}),
    forwards_query=True,
    model_traits=claude_traits,
    charges_cache_reads=False,
)
