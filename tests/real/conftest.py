"""Real llama.cpp servers, and a gateway before them. Without the package that brings the server
there are no tests here."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from live_gateway import LiveGateway, live_gateway
from real_llama import HAS_SERVER, real_llama
from sdk_questions import Speaker
from sdk_speakers import CLIENTS, make_speaker

CALL = '<tool_call>\n{"name": "weather", "arguments": {"city": "Oslo"}}\n</tool_call>'
CITY = '{"name": "Oslo", "inhabitants": 717710}'

collect_ignore_glob = [] if HAS_SERVER else ["test_*.py"]


@pytest.fixture(autouse=True, scope="session")
def no_settings_from_outside() -> Iterator[None]:
    """Neither keys nor addresses of the machine's own reach the clients."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("OPENAI", "ANTHROPIC", "OLLAMA"):
            for what in ("API_KEY", "BASE_URL", "HOST", "AUTH_TOKEN", "ORG_ID", "PROJECT_ID"):
                patch.delenv(f"{name}_{what}", raising=False)
        yield


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Root URLs: of a server that says ``words``, of one that ``calls`` a tool, of one that says
    JSON of a ``city``, of one that ``embeds``, and of one that asks for a ``key``."""
    with ExitStack() as stack:

        def server(name: str, says: str | None = None, **options: object) -> str:
            folder = tmp_path_factory.mktemp(name)
            return stack.enter_context(real_llama(folder, says=says, **options))

        yield {
            "words": server("words"),
            "calls": server("calls", CALL),
            "city": server("city", CITY),
            "embeds": server("embeds", embedding=True, pooling_type=1),
            "key": server("key", api_keys=["the-key"]),
        }


@pytest.fixture(scope="session")
def gateway(servers: dict[str, str]) -> Iterator[LiveGateway]:
    """Over all servers: by OpenAI's API as ``NAME``, by Anthropic's as ``NAME-messages``."""
    chats = {
        name: {"kind": "openai_compatible", "base_url": f"{url}/v1"}
        for name, url in servers.items()
    }
    messages = {
        f"{name}-messages": {"kind": "anthropic", "base_url": url, "api_key": "none"}
        for name, url in servers.items()
    }
    with live_gateway(providers={**chats, **messages}) as live:
        yield live


@pytest.fixture(scope="session")
def speakers(gateway: LiveGateway) -> Iterator[dict[str, Speaker]]:
    """One client of each dialect, by name."""
    with ExitStack() as stack:
        yield {client: stack.enter_context(make_speaker(client, gateway.url)) for client in CLIENTS}
