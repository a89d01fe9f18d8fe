"""The gateway that most tests here share, and the official clients that ask it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import httpx
import pytest
from anthropic_speaker import AnthropicSpeaker
from live_gateway import LiveGateway, live_gateway
from ollama_speaker import OllamaSpeaker
from openai_speaker import OpenAISpeaker
from sdk_questions import Speaker

Speakers = dict[str, Speaker]
MakeSpeakers = Callable[..., Speakers]


@pytest.fixture(autouse=True, scope="session")
def no_settings_from_outside() -> Iterator[None]:
    """Neither keys nor addresses of the machine's own reach the clients."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("OPENAI", "ANTHROPIC", "OLLAMA"):
            for what in ("API_KEY", "BASE_URL", "HOST", "AUTH_TOKEN", "ORG_ID", "PROJECT_ID"):
                patch.delenv(f"{name}_{what}", raising=False)
        yield


@pytest.fixture(scope="session")
def http() -> Iterator[httpx.Client]:
    """For what no SDK would send."""
    with httpx.Client(trust_env=False, timeout=20) as client:
        yield client


@pytest.fixture(scope="session")
def make_speakers() -> Iterator[MakeSpeakers]:
    """Makes one client of each dialect, by the dialect's name."""
    with ExitStack() as stack:

        def make(url: str, *, key: str = "any-key", max_retries: int = 0) -> Speakers:
            speakers = (
                OpenAISpeaker(url, key=key, max_retries=max_retries),
                AnthropicSpeaker(url, key=key, max_retries=max_retries),
                OllamaSpeaker(url, key=key),
            )
            return {speaker.dialect: stack.enter_context(speaker) for speaker in speakers}

        yield make


@pytest.fixture(scope="session")
def gateway() -> Iterator[LiveGateway]:
    """For tests that leave the upstreams as well as they were."""
    with live_gateway() as live:
        yield live


@pytest.fixture(scope="session")
def speakers(gateway: LiveGateway, make_speakers: MakeSpeakers) -> Speakers:
    return make_speakers(gateway.url)


@pytest.fixture(scope="session")
def direct_speakers(gateway: LiveGateway, make_speakers: MakeSpeakers) -> Speakers:
    """Ask the sandbox itself, past the gateway."""
    return make_speakers(gateway.sandbox_url)
