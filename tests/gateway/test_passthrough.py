"""Same dialect on both sides: bytes go through as they are, but for the model's name."""

from __future__ import annotations

import pytest
from trio.testing import MockClock
from worlds import GATEWAY, open_world

from forebay.endpoints.sandbox import SandboxOptions

# Spacing, number formats, escapes, duplicate and unknown fields that no JSON library would keep.
ODD = (
    b'{ "model" : "fast",\t"x_unknown":[1.0,1e3,-0,"\\u00e9\\/"],\n'
    b'  "messages":[{"role":"user","content":"say \\"model\\": \\u2028 {x}", "name":"n"}],'
    b'"max_tokens": 16,  "stream":%s ,"model":"fast"}\r\n'
)

PROVIDERS: dict[str, dict[str, object]] = {
    "/v1/chat/completions": {"kind": "openai_compatible", "base_url": "http://up.test/v1"},
    "/v1/messages": {"kind": "anthropic", "base_url": "http://up.test", "api_key": "k"},
    "/api/chat": {"kind": "ollama", "hosts": ["http://up.test"]},
}
TARGET = b"sandbox-chat"


@pytest.mark.parametrize("path", PROVIDERS)
@pytest.mark.parametrize("stream", [b"false", b"true"], ids=["whole", "stream"])
async def test_request_and_answer_are_byte_identical(
    path: str, stream: bytes, autojump_clock: MockClock
) -> None:
    config = {
        "providers": {"up": PROVIDERS[path]},
        "models": {"fast": {"targets": ["up/sandbox-chat"]}},
    }
    boxes = {"up": SandboxOptions(keep_requests=10)}
    async with open_world(config, sandboxes=boxes) as world:
        sent = ODD % stream
        headers = {"content-type": "application/json", "anthropic-version": "2023-06-01"}
        answer = await world.client.post(GATEWAY + path, content=sent, headers=headers)
        assert answer.status_code == 200, answer.text
        (received,) = [one for one in world.sandbox.requests if one.path == path]
        assert received.body == sent.replace(b'"fast"', b'"' + TARGET + b'"')
        # The same question once more, straight to the provider.
        world.sandbox.reset()
        direct = await world.client.post(
            "http://up.test" + path,
            content=received.body,
            headers={**headers, "x-api-key": "k"},
        )
        assert _without_times(answer.content) == _without_times(direct.content)
        assert answer.headers["content-type"] == direct.headers["content-type"]


def _without_times(body: bytes) -> bytes:
    """The sandbox counts its answers in their ids and reads the clock; all else is fixed."""
    pieces = []
    for piece in body.split(b'"'):
        is_serial = piece.startswith((b"chatcmpl-", b"msg_", b"2026-", b"20"))
        pieces.append(b"*" if is_serial else piece)
    return b'"'.join(pieces)


async def test_a_named_tag_and_plain_name_reach_the_same_ollama_model(
    autojump_clock: MockClock,
) -> None:
    config = {"providers": {"up": PROVIDERS["/api/chat"]}}
    async with open_world(config) as world:
        targets = set()
        for name in ("sandbox-chat", "sandbox-chat:latest"):
            answer = await world.client.post(
                f"{GATEWAY}/api/chat",
                json={"model": name, "messages": [{"role": "user", "content": "x"}]},
            )
            targets.add(answer.headers["x-forebay-target"])
        assert targets == {"up/sandbox-chat:latest"}
