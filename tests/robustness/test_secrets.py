"""Keys are used and never shown: not in a log, an answer, the operators' view or an error."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import cast

import httpx
import pytest
import trio
from click.testing import CliRunner
from loopback_gateway import open_loopback
from spoken_errors import CHAT_PATHS, request_of
from trio.testing import MockClock
from worlds import GATEWAY, World, open_world

from forebay.actors.config import ConfigError, parse_settings
from forebay.endpoints.cli import main
from forebay.endpoints.sandbox import SandboxOptions
from forebay.protocol.jsontext import JsonObject, dumps

PROVIDER_KEY = "sk-PROVIDER-SECRET-1234567890"
CLIENT_KEY = "fk-CLIENT-SECRET-0987654321"
OTHER_HEADER = "HEADER-SECRET-55555"
SECRETS = (PROVIDER_KEY, CLIENT_KEY, OTHER_HEADER, "SECRET")

CONFIG: dict[str, object] = {
    "wait": {"max_wait_ms": 20_000},
    "providers": {
        "up": {
            "kind": "openai_compatible",
            "base_url": "http://up.test/v1",
            "api_key": PROVIDER_KEY,
            "headers": {"x-tenant": OTHER_HEADER},
            "timeouts": {"first_byte_ms": 2000, "between_bytes_ms": 2000},
        }
    },
    "models": {"fast": {"targets": ["up/sandbox-chat"]}},
    "clients": {"team": {"key": CLIENT_KEY}},
}
BEARER = {"authorization": f"Bearer {CLIENT_KEY}"}


def assert_clean(text: str) -> None:
    for secret in SECRETS:
        assert secret not in text, text[:500]


@pytest.fixture
def everything_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """All loggers, at their most talkative; looked through at the end."""
    for logger in ("", "httpcore", "httpx", "hypercorn", "h11"):
        caplog.set_level(logging.DEBUG, logger=logger)
    yield
    for record in caplog.get_records("call"):
        assert_clean(logging.Formatter().format(record) + repr(record.args))


async def look_around(world: World) -> None:
    """The views of operators and of anybody who lists models."""
    for path in ("/forebay/status", "/v1/models", "/api/tags", "/api/ps"):
        answer = await world.client.get(GATEWAY + path, headers=BEARER)
        assert answer.status_code == 200
        assert_clean(answer.text + repr(answer.headers))
    assert_clean(repr(world.gateway.settings) + str(world.gateway.settings))
    assert_clean(repr(await world.gateway.status()))


async def ask_everywhere(world: World, text: str) -> set[int]:
    statuses: set[int] = set()
    for path in CHAT_PATHS:
        for streams in (False, True):
            try:
                answer = await world.client.post(
                    GATEWAY + path, json=request_of(path, text, stream=streams), headers=BEARER
                )
            except httpx.RemoteProtocolError as cut:
                assert_clean(str(cut))
                continue
            statuses.add(answer.status_code)
            assert_clean(answer.text + repr(answer.headers))
    return statuses


@pytest.mark.usefixtures("everything_logged")
async def test_no_secret_is_shown_whatever_goes_wrong(autojump_clock: MockClock) -> None:
    faults = (
        "400", "402", "500", "503", "quota", "context", "reset", "garbage", "hang", "error-first",
        "reset-midstream=2", "cut-midstream", "garbage-midstream", "error-midstream", "429=60",
    )  # fmt: skip
    for fault in ("", *faults):
        async with open_world(CONFIG, sandboxes={"up": SandboxOptions()}) as world:
            await ask_everywhere(world, f"[[fault: {fault}]]" if fault else "hello")
            await look_around(world)


@pytest.mark.usefixtures("everything_logged")
async def test_no_secret_is_shown_when_the_provider_rejects_the_key(
    autojump_clock: MockClock,
) -> None:
    boxes = {"up": SandboxOptions(api_key="another")}
    async with open_world(CONFIG, sandboxes=boxes) as world:
        assert await ask_everywhere(world, "hello") == {503, 529}
        await look_around(world)
        assert world.gateway.providers["up"].out is not None


@pytest.mark.usefixtures("everything_logged")
async def test_no_secret_is_shown_when_the_provider_is_not_there(
    autojump_clock: MockClock,
) -> None:
    async with open_world(CONFIG) as world:
        world.network.unplug("up.test")
        await trio.sleep(120)
        assert await ask_everywhere(world, "hello") == {429}
        await look_around(world)


@pytest.mark.usefixtures("everything_logged")
async def test_no_secret_is_shown_to_somebody_with_a_wrong_key(autojump_clock: MockClock) -> None:
    async with open_world(CONFIG) as world:
        for path in (*CHAT_PATHS, "/v1/models", "/forebay/status", "/"):
            for key in (f"{CLIENT_KEY}x", CLIENT_KEY[:-1], PROVIDER_KEY, "x"):
                for headers in ({"authorization": f"Bearer {key}"}, {"x-api-key": key}):
                    answer = await world.client.post(GATEWAY + path, json={}, headers=headers)
                    assert answer.status_code == 401
                    assert_clean(answer.text + repr(answer.headers))


@pytest.mark.usefixtures("everything_logged")
async def test_an_upstream_that_says_the_key_aloud_is_not_repeated(
    autojump_clock: MockClock,
) -> None:
    """Some servers put the key that they refuse into their error."""
    said = b'{"error":{"message":"no access for %s","type":"x","code":null,"param":null}}' % (
        PROVIDER_KEY.encode()
    )

    async def say_it(stream: trio.abc.Stream, status: int) -> None:
        head = b"HTTP/1.1 %d X\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
        while await stream.receive_some():
            await stream.send_all(head % (status, len(said)) + said)

    for status in (400, 401, 402, 403, 404, 429, 500):
        async with open_world(CONFIG) as world:
            await trio.sleep(1)
            world.network.unplug("up.test")
            world.network.plug("up.test", partial(say_it, status=status))
            await trio.sleep(120)
            await ask_everywhere(world, "hello")
            await look_around(world)


async def test_bad_settings_are_told_without_the_secrets_in_them(tmp_path: Path) -> None:
    providers = dict(CONFIG["providers"])  # type: ignore[call-overload]
    wrong: list[dict[str, object]] = [
        {**CONFIG, "clients": {"team": {"key": f"{CLIENT_KEY} with spaces"}}},
        {**CONFIG, "clients": {"team": CLIENT_KEY}},
        {**CONFIG, "clients": {"a": {"key": CLIENT_KEY}, "b": {"key": CLIENT_KEY}}},
        {**CONFIG, "providers": {"up": {**providers["up"], "api_key": [PROVIDER_KEY]}}},
        {**CONFIG, "providers": {"up": {**providers["up"], "api_key": f"{PROVIDER_KEY}\n"}}},
        {**CONFIG, "providers": {"up": {**providers["up"], "headers": {"x": "é SECRET"}}}},
        {
            **CONFIG,
            "providers": {
                "up": {**providers["up"], "base_url": f"http://user:{PROVIDER_KEY}@up.test"}
            },
        },
        {
            **CONFIG,
            "providers": {
                "up": {**providers["up"], "base_url": f"http://up.test?k={PROVIDER_KEY}"}
            },
        },
        {**CONFIG, "api_key": PROVIDER_KEY},
    ]
    for number, settings in enumerate(wrong):
        with pytest.raises(ConfigError) as refused:
            parse_settings(settings)
        assert_clean(str(refused.value) + repr(refused.value))
        path = tmp_path / f"{number}.yaml"
        path.write_bytes(dumps(cast("JsonObject", settings)))  # YAML reads it
        for command in ("check", "serve"):
            result = CliRunner().invoke(main, [command, "--config", str(path)])
            assert result.exit_code == 1
            assert_clean(result.output)


@pytest.mark.usefixtures("everything_logged")
async def test_no_secret_is_shown_over_real_connections() -> None:
    """An address where nobody listens, and TLS to a server that does not answer."""
    unused = socket.socket()
    unused.bind(("127.0.0.1", 0))  # taken, but nobody listens
    with unused:
        for scheme in ("http", "https"):
            await ask_in_vain(f"{scheme}://127.0.0.1:{unused.getsockname()[1]}/v1")
    with socket.create_server(("127.0.0.1", 0)) as plain:
        await ask_in_vain(f"https://127.0.0.1:{plain.getsockname()[1]}/v1")


async def ask_in_vain(base_url: str) -> None:
    provider: dict[str, object] = {
        "base_url": base_url,
        "api_key": PROVIDER_KEY,
        "timeouts": {"connect_ms": 100},
    }
    config: dict[str, object] = {"clients": {"team": {"key": CLIENT_KEY}}}
    async with open_loopback(config, provider=provider) as gateway:
        for path in CHAT_PATHS:
            answer = await gateway.request(
                "POST",
                path,
                body=request_of(path),
                headers={**BEARER, "x-forebay-max-wait-ms": "50"},
            )
            assert answer.status == 429
            assert_clean(answer.body.decode() + repr(answer.headers))
        status = await gateway.request("GET", "/forebay/status", headers=BEARER)
        assert status.status == 200
        assert_clean(status.body.decode())
