"""Azure's clients write OpenAI's paths in another way; they are answered alike."""

from __future__ import annotations

import httpx
import pytest
from imitation import Imitated, Imitation
from trio.testing import MockClock
from worlds import GATEWAY, open_world

from forebay.endpoints.sandbox import SandboxOptions

VERSION = {"api-version": "2024-10-21"}
QUESTION = {"messages": [{"role": "user", "content": "hello"}]}
CONFIG = {
    "providers": {"up": {"kind": "openai_compatible", "base_url": "http://up.test/v1"}},
    "models": {"fast": {"targets": ["up/sandbox-chat"]}},
    "clients": {"ana": {"key": "key-of-ana"}},
}
KEY = {"api-key": "key-of-ana"}


@pytest.mark.parametrize("body_model", [{}, {"model": "nobody-knows-it"}, {"model": None}])
@pytest.mark.parametrize("deployment", ["fast", "up/sandbox-chat", "up%2Fsandbox-chat"])
async def test_the_deployment_is_the_model(
    deployment: str, body_model: dict[str, object], autojump_clock: MockClock
) -> None:
    boxes = {"up": SandboxOptions(keep_requests=10)}
    async with open_world(CONFIG, sandboxes=boxes) as world:
        got = await world.client.post(
            f"{GATEWAY}/openai/deployments/{deployment}/chat/completions",
            params=VERSION,
            json={**QUESTION, **body_model},
            headers=KEY,
        )
        assert got.status_code == 200, got.text
        assert got.headers["x-forebay-target"] == "up/sandbox-chat"
        assert world.sandbox.requests[-1].path == "/v1/chat/completions", "without the version"


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/openai/v1/chat/completions", 200),
        ("/openai/chat/completions", 200),
        ("/openai/v1/nothing", 404),
        ("/openai/deployments/fast/messages", 404),
        ("/openai/deployments/fast/nothing", 404),
        ("/openai/deployments//chat/completions", 404),
    ],
)
async def test_paths_without_a_deployment(
    path: str, status: int, autojump_clock: MockClock
) -> None:
    async with open_world(CONFIG) as world:
        got = await world.client.post(
            GATEWAY + path, params=VERSION, json={**QUESTION, "model": "fast"}, headers=KEY
        )
        assert got.status_code == status, got.text
        if status == 404:
            assert got.json()["error"]["message"]


async def test_models_are_listed_there_as_well(autojump_clock: MockClock) -> None:
    async with open_world(CONFIG) as world:
        for path in ("/openai/models", "/openai/v1/models"):
            got = await world.client.get(GATEWAY + path, params=VERSION, headers=KEY)
            assert "fast" in [model["id"] for model in got.json()["data"]]
        got = await world.client.get(f"{GATEWAY}/openai/models/fast", params=VERSION, headers=KEY)
        assert got.json()["id"] == "fast"


async def test_nobody_comes_in_without_a_key(autojump_clock: MockClock) -> None:
    async with open_world(CONFIG) as world:
        url = f"{GATEWAY}/openai/deployments/fast/chat/completions"
        for headers in ({}, {"api-key": "wrong"}):
            got = await world.client.post(url, params=VERSION, json=QUESTION, headers=headers)
            assert got.status_code == 401


async def test_a_body_that_is_no_json_is_told_so(autojump_clock: MockClock) -> None:
    async with open_world(CONFIG) as world:
        url = f"{GATEWAY}/openai/deployments/fast/chat/completions"
        for body in (b"", b"{", b"[]"):
            got = await world.client.post(url, content=body, headers=KEY)
            assert (got.status_code, got.json()["error"]["code"]) == (400, "invalid_json")


async def test_sound_is_sent_to_the_deployment(autojump_clock: MockClock) -> None:
    imitation = Imitation({"POST /v1/audio/transcriptions": Imitated(b'{"text":"hi"}')})
    config = {
        "providers": {"up": {"kind": "openai_compatible", "base_url": "http://other.test/v1"}},
        "models": {"ears": {"targets": ["up/whisper"]}},
    }
    async with open_world(config, hosts={"other.test": imitation.serve}) as world:
        got = await world.client.post(
            f"{GATEWAY}/openai/deployments/ears/audio/transcriptions",
            params=VERSION,
            files={"file": ("a.wav", b"sound"), "model": (None, "other")},
        )
        assert got.json() == {"text": "hi"}
        sent = httpx.Request("POST", "http://x", content=imitation.last.body)
        assert b'name="model"\r\n\r\nwhisper\r\n' in sent.content
        assert imitation.last.path == "/v1/audio/transcriptions"
        # A name that would end its part, and begin another.
        got = await world.client.post(
            f"{GATEWAY}/openai/deployments/up%2Fx%0D%0A--B/audio/transcriptions",
            files={"file": ("a.wav", b"sound")},
        )
        assert got.status_code == 400
        assert "control character" in got.json()["error"]["message"]
