"""The three official clients by name, and the pairs of a client and an upstream."""

from __future__ import annotations

from typing import Protocol

import pytest
from anthropic_speaker import AnthropicSpeaker
from live_gateway import UPSTREAMS
from ollama_speaker import OllamaSpeaker
from openai_speaker import OpenAISpeaker
from sdk_questions import Speaker

CLIENTS = ("openai", "anthropic", "ollama")

RELAYED = frozenset({("openai", "o"), ("anthropic", "a"), ("ollama", "l")})
"""The pairs of one dialect: the upstream's bytes pass through."""

nine_pairs = pytest.mark.parametrize(
    ("client", "upstream"),
    [
        pytest.param(client, upstream, id=f"{client}-{upstream}")
        for client in CLIENTS
        for upstream in UPSTREAMS
    ],
)

both_ways = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])


class OpenSpeaker(Protocol):
    """Opens a client that is closed when the test is over."""

    def __call__(
        self, client: str, url: str, *, key: str = "any-key", max_retries: int = 0
    ) -> Speaker:
        """
        Args:
            max_retries: how often the SDK may try again by itself. Ollama's never does.
        """


def make_speaker(client: str, url: str, *, key: str = "any-key", max_retries: int = 0) -> Speaker:
    """A client of the dialect that ``client`` names."""
    match client:
        case "openai":
            return OpenAISpeaker(url, key=key, max_retries=max_retries)
        case "anthropic":
            return AnthropicSpeaker(url, key=key, max_retries=max_retries)
        case "ollama":
            return OllamaSpeaker(url, key=key)
        case _:
            raise ValueError(f"no such client: {client!r}")
