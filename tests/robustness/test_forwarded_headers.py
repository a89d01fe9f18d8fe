"""What of a client's headers an upstream sees: of the client's identity nothing, ever."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from spoken_errors import CHAT_PATHS, request_of
from trio.testing import MockClock
from worlds import GATEWAY, World, open_world

from forebay.endpoints.sandbox import Request, SandboxOptions

pytestmark = pytest.mark.usefixtures("no_errors_logged")

CLIENT_KEY = "client-key-of-the-gateway"
PROVIDER_KEY = "key-of-the-provider"
KINDS: dict[str, dict[str, object]] = {
    "openai": {"base_url": "http://up.test/v1"},
    "openai_compatible": {"base_url": "http://up.test/v1"},
    "anthropic": {"base_url": "http://up.test"},
    "ollama": {"hosts": ["http://up.test"]},
    "sandbox": {"base_url": "http://up.test"},
}
PRIVATE = {
    "authorization": f"Bearer {CLIENT_KEY}",
    "x-api-key": CLIENT_KEY,
    "api-key": CLIENT_KEY,
    "cookie": "session=private",
    "openai-organization": "org-private",
    "openai-project": "proj-private",
    "proxy-authorization": "Basic private",
    "x-forwarded-for": "10.0.0.private",
    "forwarded": "for=private",
    "x-real-ip": "private",
    "referer": "http://private",
    "user-agent": "private/1.0",
    "x-stainless-os": "private",
    "x-goog-api-key": "private",
    "x-forebay-max-wait-ms": "60000",
    "x-forebay-hold": "silent",
    "traceparent": "private",
    "x-anything-else": "private",
    "accept-encoding": "gzip, private",
    "te": "private",
}
SENT_BY_THE_GATEWAY = {
    "host",
    "user-agent",
    "content-type",
    "content-length",
    "accept-encoding",
    "authorization",
    "x-api-key",
    "anthropic-version",
    "anthropic-beta",
}


@asynccontextmanager
async def over(kind: str, *, clients: bool = True) -> AsyncIterator[World]:
    config: dict[str, object] = {
        "providers": {"up": {"kind": kind, "api_key": PROVIDER_KEY, **KINDS[kind]}},
        "models": {"fast": {"targets": ["up/sandbox-chat"]}},
    }
    if clients:
        config["clients"] = {"team": {"key": CLIENT_KEY}}
    sandbox = SandboxOptions(keep_requests=50, api_key=PROVIDER_KEY)
    async with open_world(config, sandboxes={"up": sandbox}) as world:
        yield world


def latest(world: World) -> Request:
    return world.sandbox.requests[-1]


@pytest.mark.parametrize("kind", KINDS)
async def test_trap_4_nothing_of_the_client_leaves_the_gateway(
    kind: str, autojump_clock: MockClock
) -> None:
    async with over(kind) as world:
        for path in CHAT_PATHS:
            for streams in (False, True):
                answer = await world.client.post(
                    GATEWAY + path, json=request_of(path, stream=streams), headers=PRIVATE
                )
                assert answer.status_code == 200
                seen = latest(world)
                assert set(seen.headers) <= SENT_BY_THE_GATEWAY
                text = str(seen.headers) + seen.body.decode()
                assert CLIENT_KEY not in text
                assert "private" not in text
                assert seen.headers["user-agent"] == "forebay"
                given = seen.headers.get("x-api-key" if kind == "anthropic" else "authorization")
                assert given in (PROVIDER_KEY, f"Bearer {PROVIDER_KEY}")
        for request in world.sandbox.requests:
            assert CLIENT_KEY not in str(request.headers)


async def test_trap_9_beta_headers_pass_to_anthropic_and_to_nobody_else(
    autojump_clock: MockClock,
) -> None:
    beta = "context-1m-2025-08-07,unheard-of-2027-01-01"
    for kind in KINDS:
        async with over(kind, clients=False) as world:
            answer = await world.client.post(
                f"{GATEWAY}/v1/messages",
                json=request_of("/v1/messages"),
                headers={"anthropic-beta": beta},
            )
            assert answer.status_code == 200
            seen = latest(world).headers.get("anthropic-beta")
            assert seen == (beta if kind in ("anthropic", "sandbox") else None)
            # Not for what is translated: it would mean something else there.
            path = "/v1/chat/completions"
            await world.client.post(
                GATEWAY + path, json=request_of(path), headers={"anthropic-beta": beta}
            )
            if kind != "sandbox":
                assert "anthropic-beta" not in latest(world).headers


async def test_trap_9_beta_headers_in_several_lines_count_as_one(
    autojump_clock: MockClock,
) -> None:
    async with over("anthropic", clients=False) as world:
        answer = await world.client.post(
            f"{GATEWAY}/v1/messages",
            json=request_of("/v1/messages"),
            headers=[("anthropic-beta", "one"), ("Anthropic-Beta", "two,three")],
        )
        assert answer.status_code == 200
        assert latest(world).headers["anthropic-beta"] == "one, two,three"


@pytest.mark.parametrize(
    ("key_header", "version"),
    [("authorization", "2026-10-21"), ("x-api-key", "2023-06-01"), ("authorization", None)],
)
async def test_trap_2_either_generation_of_anthropic_clients_is_served_over_any_provider(
    key_header: str, version: str | None, autojump_clock: MockClock
) -> None:
    key = f"Bearer {CLIENT_KEY}" if key_header == "authorization" else CLIENT_KEY
    headers = {key_header: key, **({"anthropic-version": version} if version else {})}
    for kind in KINDS:
        async with over(kind) as world:
            answer = await world.client.post(
                f"{GATEWAY}/v1/messages", json=request_of("/v1/messages"), headers=headers
            )
            assert answer.status_code == 200
            assert answer.json()["type"] == "message"
            seen = latest(world).headers
            if kind == "anthropic":
                assert seen["anthropic-version"] == (version or "2023-06-01")
                assert "authorization" not in seen
            listing = await world.client.get(f"{GATEWAY}/v1/models", headers=headers)
            assert ("has_more" in listing.json()) == (version is not None)


async def test_trap_7_what_a_new_version_refuses_is_not_masked(autojump_clock: MockClock) -> None:
    request = request_of("/v1/messages", temperature=0.2)
    async with over("anthropic", clients=False) as world:
        refused = await world.client.post(
            f"{GATEWAY}/v1/messages", json=request, headers={"anthropic-version": "2026-10-21"}
        )
        assert refused.status_code == 400
        assert "temperature" in refused.json()["error"]["message"]
        assert latest(world).headers["anthropic-version"] == "2026-10-21"
        served = await world.client.post(
            f"{GATEWAY}/v1/messages", json=request, headers={"anthropic-version": "2023-06-01"}
        )
        assert served.status_code == 200
