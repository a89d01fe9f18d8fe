"""A whole gateway over a sandbox on real loopback ports, in a thread of its own.

For clients that know nothing of trio: the official SDKs. Whoever holds a :class:`LiveGateway` is
an ordinary thread; the gateway and the sandbox share one trio loop in another.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import trio

from forebay.actors.config import parse_settings
from forebay.endpoints.running import serve_gateway
from forebay.endpoints.sandbox import (
    Request,
    Sandbox,
    SandboxOptions,
    SandboxStatistics,
    serve_sandbox,
)

UPSTREAMS = ("o", "a", "l")
"""Providers by the dialect in which the sandbox is asked: OpenAI's, Anthropic's, Ollama's."""

_KINDS = (*UPSTREAMS, "s")
_DRAIN_MS = 12_000
_END_SECONDS = 8.0
"""Less than the drain would take if a session were left over."""


@dataclass(frozen=True)
class LiveGateway:
    """A gateway that listens, and the sandbox that all its providers are at."""

    url: str
    """Without a trailing slash."""
    sandbox_url: str
    sandbox: Sandbox
    token: trio.lowlevel.TrioToken

    def statistics(self) -> SandboxStatistics:
        """What the sandbox has seen until now."""
        return trio.from_thread.run_sync(self.sandbox.statistics, trio_token=self.token)

    def requests(self) -> list[Request]:
        """The latest requests that the sandbox got, listings of models among them."""
        return trio.from_thread.run_sync(lambda: list(self.sandbox.requests), trio_token=self.token)


@contextmanager
def live_gateway(
    config: Mapping[str, object] | None = None,
    *,
    sandbox: SandboxOptions | None = None,
    provider: Mapping[str, object] | None = None,
    providers: Mapping[str, Mapping[str, object]] | None = None,
) -> Iterator[LiveGateway]:
    """A gateway that serves as long as the block lasts.

    Its providers are ``o``, ``a`` and ``l`` (:data:`UPSTREAMS`) and ``s``, which takes all
    dialects as they come.

    Args:
        config: of the gateway, without providers and address.
        sandbox: what the sandbox is set to. None: as usual, and it keeps its latest requests.
        provider: settings of every provider.
        providers: settings of single providers; may add some.

    Raises:
        TimeoutError: at the end; a session was left that nobody ended.
    """
    ready: Future[LiveGateway] = Future()
    shutdown = trio.Event()
    box = Sandbox(sandbox or SandboxOptions(keep_requests=50))

    def with_providers(root: str) -> dict[str, object]:
        every = dict.fromkeys((*_KINDS, *(providers or {})), provider or {})
        return {
            "wait": {"max_wait_ms": 30_000},
            **(config or {}),
            "server": {"drain_ms": _DRAIN_MS, **_section(config or {}, "server"), "port": 0},
            "providers": {
                name: {**_kind(name, root), **settings, **(providers or {}).get(name, {})}
                for name, settings in every.items()
            },
        }

    main = partial(_serve, with_providers, box, ready, shutdown)
    with ThreadPoolExecutor(1, thread_name_prefix="gateway") as executor:
        running = executor.submit(_run, main, ready)
        live = ready.result()
        try:
            yield live
        finally:
            live.token.run_sync_soon(shutdown.set)
            running.result(timeout=_END_SECONDS)


def _run(main: Callable[[], Awaitable[None]], ready: Future[LiveGateway]) -> None:
    try:
        trio.run(main)
    except BaseException as fault:
        if ready.done():
            raise
        ready.set_exception(fault)


async def _serve(
    config: Callable[[str], dict[str, object]],
    sandbox: Sandbox,
    ready: Future[LiveGateway],
    shutdown: trio.Event,
) -> None:
    async with trio.open_nursery() as nursery:
        port = await nursery.start(serve_sandbox, sandbox)
        root = f"http://127.0.0.1:{port}"
        settings = parse_settings(config(root))
        async with trio.open_nursery() as serving:
            addresses = await serving.start(partial(serve_gateway, settings, shutdown=shutdown))
            host, gateway_port = addresses[0]
            token = trio.lowlevel.current_trio_token()
            ready.set_result(LiveGateway(f"http://{host}:{gateway_port}", root, sandbox, token))
        nursery.cancel_scope.cancel()


def _kind(name: str, root: str) -> dict[str, object]:
    match name:
        case "o":
            return {"kind": "openai_compatible", "base_url": f"{root}/v1"}
        case "a":
            return {"kind": "anthropic", "base_url": root, "api_key": "a-key"}
        case "l":
            return {"kind": "ollama", "hosts": [root]}
        case _:
            return {"kind": "sandbox", "base_url": root}


def _section(config: Mapping[str, object], name: str) -> dict[str, object]:
    section = config.get(name, {})
    assert isinstance(section, dict)
    return section
