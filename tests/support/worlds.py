"""A whole world in one process: clients, the gateway over HTTP, and sandboxes as its providers.

In memory everything runs in virtual time. Host names: the gateway is ``localhost``, each sandbox
``NAME.test``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from random import Random

import httpx
import trio
from memory_network import MemoryNetwork, Serve
from trio.testing import wait_all_tasks_blocked

from forebay.actors.gateway import Gateway, open_gateway
from forebay.actors.stores import LearnedStore
from forebay.actors.upstream import ConnectionStack, ImageFetcher
from forebay.endpoints.app import ForebayApp
from forebay.endpoints.sandbox import Sandbox, SandboxOptions, serve_connection
from forebay.endpoints.serving import ServingState, serve_stream

GATEWAY = "http://localhost"


@dataclass
class World:
    """What a test holds."""

    gateway: Gateway
    app: ForebayApp
    client: httpx.AsyncClient
    sandboxes: dict[str, Sandbox]
    network: MemoryNetwork
    serving: ServingState
    connections_to_sandboxes: ConnectionStack

    @property
    def sandbox(self) -> Sandbox:
        """The only one."""
        (sandbox,) = self.sandboxes.values()
        return sandbox

    async def ask(
        self,
        text: str = "hello",
        *,
        model: str = "fast",
        key: str | None = None,
        headers: Mapping[str, str] | None = None,
        **fields: object,
    ) -> httpx.Response:
        """One OpenAI chat request, answered whole."""
        return await self.client.post(
            f"{GATEWAY}/v1/chat/completions",
            json={"model": model, "messages": [{"role": "user", "content": text}], **fields},
            headers={**({"authorization": f"Bearer {key}"} if key else {}), **(headers or {})},
        )

    async def read_cut_stream(self, text: str) -> tuple[int, str]:
        """Status and body of a streamed answer that must break off without its proper end."""
        received = bytearray()
        request = {
            "model": "fast",
            "messages": [{"role": "user", "content": text}],
            "stream": True,
        }
        url = f"{GATEWAY}/v1/chat/completions"
        async with self.client.stream("POST", url, json=request) as answer:
            try:
                async for piece in answer.aiter_raw():
                    received += piece
            except httpx.RemoteProtocolError:
                return answer.status_code, received.decode()
        raise AssertionError(f"the stream came to its proper end: {bytes(received)!r}")

    async def is_at_rest(self) -> bool:
        """Once everybody has done what they had to do: nothing waits, is under way or held."""
        await wait_all_tasks_blocked()
        return (
            self.gateway.waiting == 0
            and self.gateway.in_flight == 0
            and self.gateway.waiting_bytes.lent == 0
            and not self.app.sessions
            and all(not model.lanes for model in self.gateway.catalog.all_models)
        )


@asynccontextmanager
async def open_world(
    config: Mapping[str, object] | None = None,
    *,
    sandboxes: Mapping[str, SandboxOptions] | None = None,
    provider: Mapping[str, object] | None = None,
    hosts: Mapping[str, Serve] | None = None,
    image_fetcher: Callable[[MemoryNetwork], ImageFetcher] | None = None,
    learned_store: LearnedStore | None = None,
) -> AsyncIterator[World]:
    """A world that lasts as long as the block.

    Args:
        config: of the gateway. None: one provider ``up`` over the first sandbox, with the
            settings of ``provider``, and a model ``fast`` that it serves.
        sandboxes: by name. None: one without limits, ``up``.
        hosts: other servers, by host name.
        learned_store: as for :func:`open_gateway`.
        image_fetcher: makes what follows links to images. None: it finds no network at all.
    """
    options = dict(sandboxes or {"up": SandboxOptions()})
    made = {name: Sandbox(option) for name, option in options.items()}
    if config is None:
        config = one_provider(**(provider or {}))
    async with trio.open_nursery() as nursery:
        network = MemoryNetwork(
            nursery,
            {f"{name}.test": partial(serve_connection, sandbox=box) for name, box in made.items()}
            | dict(hosts or {}),
        )
        upstream = ConnectionStack(network_backend=network)
        async with open_gateway(
            config,
            transport=upstream,
            random=Random(1),
            image_fetcher=(image_fetcher or _blind_fetcher)(network),
            learned_store=learned_store,
            check_waits=True,
        ) as gateway:
            app = ForebayApp(gateway)
            serving = ServingState()
            network.plug("localhost", partial(serve_stream, app, state=serving))
            async with httpx.AsyncClient(
                transport=ConnectionStack(network_backend=network), timeout=None, trust_env=False
            ) as client:
                yield World(gateway, app, client, made, network, serving, upstream)
        nursery.cancel_scope.cancel()


def one_provider(**provider: object) -> dict[str, object]:
    """A configuration with one provider of kind ``openai_compatible`` over the sandbox ``up``."""
    return {
        "wait": {"max_wait_ms": 300_000},
        "providers": {
            "up": {"kind": "openai_compatible", "base_url": "http://up.test/v1", **provider}
        },
        "models": {"fast": {"targets": ["up/sandbox-chat"]}},
    }


def _blind_fetcher(network: MemoryNetwork) -> ImageFetcher:
    """No test goes to the internet."""

    async def resolve(host: str, port: int) -> list[str]:
        await trio.lowlevel.checkpoint()
        raise OSError("no network")

    return ImageFetcher(resolve=resolve, network=network)
