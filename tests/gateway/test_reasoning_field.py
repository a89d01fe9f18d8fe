"""Where clients of OpenAI's chats find what a model thought: in one field, whose name is set."""

from __future__ import annotations

import json

import pytest
from trio.testing import MockClock
from worlds import open_world

from forebay.actors.config import ConfigError, parse_settings

NAMES = {"reasoning_content", "reasoning"}
PROVIDERS = {"up": {"kind": "anthropic", "base_url": "http://up.test", "api_key": "k"}}
MODELS = {"fast": {"targets": ["up/sandbox-thinking"]}}


@pytest.mark.parametrize("name", [None, *sorted(NAMES)])
async def test_thoughts_are_told_under_the_one_name_that_is_set(
    name: str | None, autojump_clock: MockClock
) -> None:
    defaults = {} if name is None else {"reasoning_field": name}
    config = {"providers": PROVIDERS, "models": MODELS, "defaults": defaults}
    wanted = {name or "reasoning_content"}
    async with open_world(config) as world:
        message = (await world.ask("ponder")).json()["choices"][0]["message"]
        assert NAMES & message.keys() == wanted
        streamed = await world.ask("ponder", stream=True)
        frames = [line.removeprefix("data: ") for line in streamed.text.split("\n\n")]
        deltas = [
            json.loads(frame)["choices"][0]["delta"] for frame in frames if frame.startswith("{")
        ]
        said = [delta for delta in deltas if NAMES & delta.keys()]
        assert {field for delta in said for field in NAMES & delta.keys()} == wanted
        (field,) = wanted
        assert "".join(delta[field] for delta in said) == message[field]


def test_another_name_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"defaults\.reasoning_field"):
        parse_settings({"providers": PROVIDERS, "defaults": {"reasoning_field": "thoughts"}})
