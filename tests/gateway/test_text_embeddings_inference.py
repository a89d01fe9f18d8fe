"""Hugging Face's TEI behind a dedicated endpoint: it embeds, and nothing else."""

from __future__ import annotations

import json

import trio
from imitation import Imitated, Imitation, Received
from imitations.answering import VECTORS, openai_embeddings
from trio.testing import MockClock
from worlds import GATEWAY, World, open_world

from forebay.protocol.canonical.listed_models import Capability

INFO = {
    "model_id": "BAAI/bge-m3",
    "model_dtype": "float16",
    "model_type": {"embedding": {"pooling": "cls"}},
    "max_concurrent_requests": 2,
    "max_input_length": 512,
    "max_batch_tokens": 16384,
    "max_client_batch_size": 32,
    "version": "1.8.2",
}
OVERLOADED = Imitated(
    json.dumps({"error": "Model is overloaded", "error_type": "overloaded"}).encode(), status=429
)
CONFIG = {
    "providers": {
        "tei": {"kind": "huggingface", "base_url": "http://up.test/v1", "api_key": "hf_key"}
    },
    "models": {"vectors": {"targets": ["tei/BAAI/bge-m3"]}},
}


class Tei(Imitation):
    def __init__(self) -> None:
        listing = {"object": "list", "data": [{"id": "BAAI/bge-m3", "object": "model"}]}
        super().__init__(
            {
                "GET /v1/models": Imitated(json.dumps(listing).encode()),
                "GET /info": Imitated(json.dumps(INFO).encode()),
                "POST /v1/embeddings": self._embed,
            }
        )
        self.refuses = 0

    def _embed(self, request: Received) -> Imitated:
        assert request.headers["authorization"] == "Bearer hf_key"
        if self.refuses:
            self.refuses -= 1
            return OVERLOADED
        return Imitated(openai_embeddings(json.loads(request.body)).body, pause=5.0)


async def embed(world: World) -> list[tuple[float, ...]]:
    answer = await world.client.post(
        f"{GATEWAY}/v1/embeddings", json={"model": "vectors", "input": ["one", "two"]}
    )
    assert answer.status_code == 200, answer.text
    return [tuple(item["embedding"]) for item in answer.json()["data"]]


async def test_what_it_tells_of_itself_is_known(autojump_clock: MockClock) -> None:
    up = Tei()
    async with open_world(CONFIG, sandboxes={}, hosts={"up.test": up.serve}) as world:
        await trio.sleep(1)
        facts = world.gateway.providers["tei"].facts_of("BAAI/bge-m3")
        assert facts.can(Capability.EMBEDDING) is True
        assert facts.can(Capability.CHAT) is False
        assert facts.context_tokens == 512
        began = trio.current_time()
        async with trio.open_nursery() as nursery:
            for _ in range(4):
                nursery.start_soon(embed, world)
        assert trio.current_time() - began == 10.0, "two at a time, as it says"


async def test_an_overload_is_waited_out(autojump_clock: MockClock) -> None:
    up = Tei()
    up.refuses = 2
    async with open_world(CONFIG, sandboxes={}, hosts={"up.test": up.serve}) as world:
        assert await embed(world) == list(VECTORS)
        assert len(up.to("/v1/embeddings")) == 3


async def test_a_chat_is_not_asked_of_it(autojump_clock: MockClock) -> None:
    up = Tei()
    async with open_world(CONFIG, sandboxes={}, hosts={"up.test": up.serve}) as world:
        await trio.sleep(1)
        answer = await world.ask(model="vectors")
        assert answer.status_code == 400
        assert [each.method for each in up.requests] == ["GET", "GET"]
