"""Listings in forms of a provider's own, and base URLs beside the usual one, end to end."""

from __future__ import annotations

import json

import pytest
from imitation import Imitated, Imitation
from imitations.answering import SENTENCE
from imitations.kinds import KEY, StrictProvider
from imitations.tables import TABLES
from trio.testing import MockClock
from worlds import GATEWAY, open_world

from forebay.actors.gateway import Gateway
from forebay.protocol.canonical.listed_models import ListedModel

OPENVINO = {"kind": "openvino", "base_url": "http://up.test/v3"}


def ready(state: str) -> dict[str, object]:
    status = {"error_code": "OK", "error_message": "OK"}
    return {"model_version_status": [{"version": "1", "state": state, "status": status}]}


async def listed_by(gateway: Gateway) -> tuple[list[ListedModel], str]:
    provider = gateway.providers["up"]
    await provider.listing.first_try()
    return list(provider.listing.models.values()), provider.listing.describe()


async def test_an_older_openvino_lists_the_models_that_are_ready(
    autojump_clock: MockClock,
) -> None:
    config: dict[str, object] = {
        "llm": ready("AVAILABLE"),
        "resnet": ready("LOADING"),
        "odd": [],
        "odder": None,
    }
    server = Imitation(
        {
            "GET /v3/models": Imitated(b'{"error":"Invalid request URL"}', status=400),
            "GET /v1/config": Imitated(json.dumps(config).encode()),
        }
    )
    world_config = {"providers": {"up": OPENVINO}}
    async with open_world(world_config, sandboxes={}, hosts={"up.test": server.serve}) as world:
        models, told = await listed_by(world.gateway)
        assert models == [ListedModel("llm", owner="OVMS")]
        assert told == "1 models"


@pytest.mark.parametrize(
    "config",
    [
        Imitated(b"{}"),
        Imitated(b"[]"),
        Imitated(b'{"error":"x"}'),
        Imitated(b"<html>"),
        Imitated(b"{}", status=404),
    ],
)
async def test_where_neither_listing_is_one_the_first_is_told_of(
    config: Imitated, autojump_clock: MockClock
) -> None:
    server = Imitation({"GET /v1/config": config})
    world_config = {"providers": {"up": OPENVINO}}
    async with open_world(world_config, sandboxes={}, hosts={"up.test": server.serve}) as world:
        models, told = await listed_by(world.gateway)
        assert models == []
        assert told.startswith("failed: GET http://up.test/v3/models answered with status 404")


async def test_zais_coding_plan_has_its_chats_and_the_other_api_beside_them(
    autojump_clock: MockClock,
) -> None:
    server = StrictProvider(TABLES["zai"])
    config = {
        "providers": {
            "up": {
                "kind": "zai",
                "base_url": "http://up.test/api/coding/paas/v4",
                "api_key": KEY,
            }
        }
    }
    async with open_world(config, sandboxes={}, hosts={"up.test": server.serve}) as world:
        body = {
            "model": "up/glm-5",
            "max_tokens": 9,
            "messages": [{"role": "user", "content": "hello"}],
        }
        for path in ("/v1/chat/completions", "/v1/messages"):
            answer = await world.client.post(GATEWAY + path, json=body)
            assert SENTENCE in answer.text
        assert [call.path for call in server.calls] == [
            "/api/coding/paas/v4/chat/completions",
            "/api/anthropic/v1/messages",
        ]
        _, told = await listed_by(world.gateway)
        assert "base_url has the usual form for kind 'zai'" in told
