"""Embeddings by the official clients over every upstream that makes them, and by those it has."""

from __future__ import annotations

import base64
import json
import math
from typing import cast

import ollama
import openai
import pytest
from anthropic_speaker import AnthropicSpeaker
from live_gateway import LiveGateway, live_gateway
from ollama_speaker import OllamaSpeaker
from openai_speaker import OpenAISpeaker
from sdk_questions import Speaker
from sdk_speakers import OpenSpeaker
from sdk_wire import read_strictly

TEXTS = ["hello", "Grüße, 世界 🌍", "hello"]
EMBEDDING = ("o", "l", "s")
"""The upstreams that make embeddings: OpenAI's dialect, Ollama's, and the sandbox's own kind."""

over_all = pytest.mark.parametrize("upstream", EMBEDDING)


@pytest.fixture
def openai_client(speakers: dict[str, Speaker]) -> OpenAISpeaker:
    return cast("OpenAISpeaker", speakers["openai"])


@pytest.fixture
def ollama_client(speakers: dict[str, Speaker]) -> OllamaSpeaker:
    return cast("OllamaSpeaker", speakers["ollama"])


@pytest.fixture
def vectors(direct_speakers: dict[str, Speaker]) -> list[list[float]]:
    """What the sandbox makes of the texts, asked directly."""
    straight = cast("OpenAISpeaker", direct_speakers["openai"])
    answer = straight.client.embeddings.create(model="sandbox-chat", input=TEXTS)
    found = [item.embedding for item in answer.data]
    assert [math.hypot(*vector) for vector in found] == [pytest.approx(1)] * 3
    assert found[0] == found[2] != found[1]
    return found


def encodings_sent(gateway: LiveGateway) -> object:
    """What the last request for embeddings asked the upstream for; None: nothing."""
    latest = [request for request in gateway.requests() if "embed" in request.path][-1]
    return json.loads(latest.body).get("encoding_format")


@over_all
def test_trap_71_the_client_asks_for_base64_by_itself_and_gets_it(
    gateway: LiveGateway, openai_client: OpenAISpeaker, upstream: str, vectors: list[list[float]]
) -> None:
    answer = openai_client.client.embeddings.create(model=f"{upstream}/sandbox-chat", input=TEXTS)
    assert [item.index for item in answer.data] == [0, 1, 2]
    assert [item.embedding for item in answer.data] == vectors
    assert answer.usage.prompt_tokens == answer.usage.total_tokens == 2 + 5 + 2
    heard = json.loads(openai_client.wire.last.body)
    written = [item["embedding"] for item in heard["data"]]
    assert all(isinstance(vector, str) for vector in written), "Node would hear an empty vector"
    assert [len(base64.b64decode(vector)) for vector in written] == [4 * 64] * 3
    # Ollama's API has floats only.
    assert encodings_sent(gateway) == (None if upstream == "l" else "base64")
    assert openai_client.wire.last.headers["x-forebay-target"].startswith(f"{upstream}/")
    assert openai_client.wire.last.headers["x-request-id"]


@over_all
def test_trap_72_floats_are_floats(
    openai_client: OpenAISpeaker, upstream: str, vectors: list[list[float]]
) -> None:
    model = f"{upstream}/sandbox-chat"
    answer = openai_client.client.embeddings.create(
        model=model, input=TEXTS, encoding_format="float"
    )
    assert [item.embedding for item in answer.data] == vectors
    read_strictly(openai.types.CreateEmbeddingResponse, openai_client.wire.last.body)


@over_all
def test_dimensions_and_single_texts(openai_client: OpenAISpeaker, upstream: str) -> None:
    for text in ("one", ["one"]):
        answer = openai_client.client.embeddings.create(
            model=f"{upstream}/sandbox-chat", input=text, dimensions=5, user="somebody"
        )
        (item,) = answer.data
        assert len(item.embedding) == 5
        assert math.hypot(*item.embedding) == pytest.approx(1)
    dropped = openai_client.wire.last.headers.get("x-forebay-dropped")
    assert dropped == ("user" if upstream == "l" else None)


def test_tokens_are_embedded_where_they_can_be_read(openai_client: OpenAISpeaker) -> None:
    embeddings = openai_client.client.embeddings
    one = embeddings.create(model="o/sandbox-chat", input=[1, 2, 3])
    several = embeddings.create(model="o/sandbox-chat", input=[[1, 2, 3], [4]])
    assert one.data[0].embedding == several.data[0].embedding
    assert several.usage.prompt_tokens == 4
    with pytest.raises(openai.BadRequestError, match="tokens"):
        embeddings.create(model="l/sandbox-chat", input=[1, 2, 3])


@over_all
@pytest.mark.parametrize("texts", ["hello", TEXTS], ids=["one", "several"])
def test_ollamas_embed(
    ollama_client: OllamaSpeaker, upstream: str, texts: str | list[str], vectors: list[list[float]]
) -> None:
    model = f"{upstream}/sandbox-chat"
    answer = ollama_client.client.embed(model=model, input=texts)
    assert [[*vector] for vector in answer.embeddings] == (
        vectors if isinstance(texts, list) else vectors[:1]
    )
    assert answer.prompt_eval_count == (9 if isinstance(texts, list) else 2)
    assert answer.total_duration
    assert answer.load_duration is not None
    # Bytes of one API pass as they came: the target's own name of the model with them.
    assert answer.model == ("sandbox-chat" if upstream in "ls" else model)
    short = ollama_client.client.embed(model=model, input="hello", dimensions=3)
    assert len(short.embeddings[0]) == 3
    read_strictly(ollama.EmbedResponse, ollama_client.wire.last.body)


@over_all
def test_ollamas_older_embeddings(
    ollama_client: OllamaSpeaker, upstream: str, vectors: list[list[float]]
) -> None:
    answer = ollama_client.client.embeddings(model=f"{upstream}/sandbox-chat", prompt="hello")
    assert [*answer.embedding] == vectors[0]


@over_all
def test_nothing_to_embed_only_loads(
    gateway: LiveGateway, ollama_client: OllamaSpeaker, upstream: str
) -> None:
    before = gateway.statistics().received
    model = f"{upstream}/sandbox-chat"
    assert ollama_client.client.embed(model=model, input=[]).embeddings == []
    assert ollama_client.client.embeddings(model=model, keep_alive="5m").embedding == []
    assert gateway.statistics().received == before


def test_upstreams_that_make_no_embeddings_say_so(
    openai_client: OpenAISpeaker, ollama_client: OllamaSpeaker
) -> None:
    with pytest.raises(openai.BadRequestError, match="makes embeddings") as refused:
        openai_client.client.embeddings.create(model="a/sandbox-chat", input="x")
    assert refused.value.param == "model"
    with pytest.raises(ollama.ResponseError, match="makes embeddings") as told:
        ollama_client.client.embed(model="a/sandbox-chat", input="x")
    assert told.value.status_code == 400


@over_all
def test_errors_are_the_clients_own(
    openai_client: OpenAISpeaker, ollama_client: OllamaSpeaker, upstream: str
) -> None:
    embeddings = openai_client.client.embeddings
    model = f"{upstream}/sandbox-chat"
    with pytest.raises(openai.BadRequestError, match="empty"):
        embeddings.create(model=model, input="")
    with pytest.raises(openai.BadRequestError):
        embeddings.create(model=model, input=["x"] * 2049)
    with pytest.raises(openai.NotFoundError):
        embeddings.create(model=f"{upstream}/nobody", input="x")
    with pytest.raises(openai.BadRequestError):
        embeddings.create(model=model, input="[[fault: 400]]")
    with pytest.raises(ollama.ResponseError) as missing:
        ollama_client.client.embed(model=f"{upstream}/nobody", input="x")
    assert missing.value.status_code == 404


@over_all
def test_an_upstream_that_keeps_failing_is_a_502(open_speaker: OpenSpeaker, upstream: str) -> None:
    with live_gateway() as live:
        model = f"{upstream}/sandbox-chat"
        asking_openai = cast("OpenAISpeaker", open_speaker("openai", live.url, max_retries=2))
        with pytest.raises(openai.InternalServerError):
            asking_openai.client.embeddings.create(model=model, input="[[fault: garbage]]")
        (heard,) = asking_openai.wire.exchanges
        assert (heard.status, heard.headers["x-forebay-attempts"]) == (502, "3")
        asking_ollama = cast("OllamaSpeaker", open_speaker("ollama", live.url))
        with pytest.raises(ollama.ResponseError) as broken:
            asking_ollama.client.embed(model=model, input="[[fault: 500]]")
        assert broken.value.status_code == 502


def test_anthropics_client_has_none_to_ask_for(speakers: dict[str, Speaker]) -> None:
    assert not hasattr(cast("AnthropicSpeaker", speakers["anthropic"]).client, "embeddings")
