"""The gateway that most tests here share, and the official clients that ask it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import httpx
import pytest
from live_gateway import LiveGateway, live_gateway
from sdk_questions import Speaker
from sdk_speakers import CLIENTS, OpenSpeaker, make_speaker


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


@pytest.fixture
def open_speaker() -> Iterator[OpenSpeaker]:
    """Opens clients for one test."""
    with ExitStack() as stack:

        def opened(client: str, url: str, *, key: str = "any-key", max_retries: int = 0) -> Speaker:
            speaker = make_speaker(client, url, key=key, max_retries=max_retries)
            return stack.enter_context(speaker)

        yield opened


@pytest.fixture(scope="session")
def gateway() -> Iterator[LiveGateway]:
    """For tests that leave the upstreams as well as they were."""
    with live_gateway() as live:
        yield live


@pytest.fixture(scope="session")
def speakers(gateway: LiveGateway) -> Iterator[dict[str, Speaker]]:
    """One client of each dialect, by name."""
    with ExitStack() as stack:
        yield {client: stack.enter_context(make_speaker(client, gateway.url)) for client in CLIENTS}


@pytest.fixture(scope="session")
def direct_speakers(gateway: LiveGateway) -> Iterator[dict[str, Speaker]]:
    """The same, asking the sandbox itself, past the gateway."""
    with ExitStack() as stack:
        yield {
            client: stack.enter_context(make_speaker(client, gateway.sandbox_url))
            for client in CLIENTS
        }
