"""Waits between actors go down only; docs/architecture.md draws them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from trio.testing import MockClock
from worlds import open_world

from forebay.actors.gateway.opening import (
    GATEWAY_LAYER,
    MODEL_LAYER,
    PROVIDER_LAYER,
    SESSION_LAYER,
)
from forebay.actors.jobs.models import CloseModel, DescribeModel, ModelActor
from forebay.actors.kernel import Actor, Message, Ref, UpwardWait

ROOT = Path(__file__).parents[2]


def test_the_page_names_the_layers_of_the_code() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    layers = {name: int(layer) for name, layer in re.findall(r"\| (\w+) \(layer (\d)\)", page)}
    assert layers == {
        "session": SESSION_LAYER,
        "gateway": GATEWAY_LAYER,
        "model": MODEL_LAYER,
        "provider": PROVIDER_LAYER,
    }


async def test_every_actor_of_a_running_gateway_has_its_layer(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        await world.ask()
        assert await world.is_at_rest()
        layers = {
            place.name.split(":")[0]: place.layer for place in world.gateway.system.tree().children
        }
        assert layers == {
            "gateway": GATEWAY_LAYER,
            "ledger": PROVIDER_LAYER,
            "model": MODEL_LAYER,
            "provider": PROVIDER_LAYER,
        }


async def test_a_wait_upward_is_refused(autojump_clock: MockClock) -> None:
    class AskUp(Message[None]):
        pass

    class Provider(Actor[AskUp]):
        def __init__(self, above: Ref[DescribeModel | CloseModel]) -> None:
            self._above = above

        async def handle(self, message: AskUp) -> None:
            await self._above.ask(DescribeModel())

    async with open_world() as world:
        system = world.gateway.system
        (model,) = world.gateway.catalog.models.values()
        above = await system.start(
            lambda: ModelActor(lambda: model), name="above", layer=MODEL_LAYER
        )
        below = await system.start(lambda: Provider(above), name="below", layer=PROVIDER_LAYER)
        with pytest.raises(UpwardWait):
            await below.ask(AskUp())
