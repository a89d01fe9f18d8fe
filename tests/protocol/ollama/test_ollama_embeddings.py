"""``POST /api/embed`` and ``POST /api/embeddings``, in both roles."""

from __future__ import annotations

import struct
from dataclasses import replace

import ollama
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ollama._types import EmbeddingsRequest, EmbedRequest

from forebay.protocol.canonical.embeddings import (
    EmbeddingRequest,
    EmbeddingResponse,
    VectorEncoding,
)
from forebay.protocol.canonical.errors import ApiFailure, ErrorKind
from forebay.protocol.canonical.events import Usage
from forebay.protocol.canonical.requests import Dialect
from forebay.protocol.dialects.base import UpstreamTraits
from forebay.protocol.dialects.embeddings import EmbeddingCodec, EmbeddingContext
from forebay.protocol.dialects.ollama import (
    OLLAMA,
    OLLAMA_EMBED,
    OLLAMA_EMBEDDINGS,
    OllamaEmbedCodec,
    OllamaEmbeddingsCodec,
)
from forebay.protocol.dialects.openai import OpenAIEmbeddingCodec
from forebay.protocol.jsontext import JsonObject, JsonValue

EMBED = OllamaEmbedCodec()
LEGACY = OllamaEmbeddingsCodec()
TRAITS = UpstreamTraits()
ASKED = EmbeddingRequest(model="house/model", inputs=("a", "b"))


def context(request: EmbeddingRequest, *, elapsed_ns: int = 1_500) -> EmbeddingContext:
    return EmbeddingContext(
        request=request, input_tokens_estimate=42, elapsed_ns=lambda: elapsed_ns
    )


def test_they_stand_where_the_official_client_posts() -> None:
    assert (EMBED.api, EMBED.path, EMBED.most_inputs) == (OLLAMA_EMBED, "/api/embed", None)
    assert (LEGACY.api, LEGACY.path, LEGACY.most_inputs) == (
        OLLAMA_EMBEDDINGS,
        "/api/embeddings",
        1,
    )
    assert EMBED.dialect == LEGACY.dialect == OLLAMA


# Requests


@pytest.mark.parametrize(
    ("said", "inputs"),
    [("a", ("a",)), (["a"], ("a",)), (["a", "b"], ("a", "b")), (["", "b"], ("", "b"))],
)
def test_input_is_a_string_or_several(said: JsonValue, inputs: tuple[str, ...]) -> None:
    request = EMBED.decode_request({"model": "m", "input": said})
    assert request == EmbeddingRequest(model="m", inputs=inputs)


def test_every_field_is_read_and_written() -> None:
    body: JsonObject = {
        "model": "m",
        "input": ["a"],
        "truncate": False,
        "dimensions": 128,
        "options": {"num_ctx": 512},
        "keep_alive": "5m",
    }
    request = EMBED.decode_request(body)
    assert request == EmbeddingRequest(
        model="m",
        inputs=("a",),
        truncate=False,
        dimensions=128,
        extras={OLLAMA: {"options": {"num_ctx": 512}, "keep_alive": "5m"}},
    )
    sent = EMBED.encode_request(request, TRAITS)
    assert sent.body == body
    EmbedRequest.model_validate(sent.body, strict=True)


def test_the_older_api_reads_one_prompt() -> None:
    body: JsonObject = {"model": "m", "prompt": "a", "keep_alive": -1}
    request = LEGACY.decode_request(body)
    assert request == EmbeddingRequest(
        model="m", inputs=("a",), extras={OLLAMA: {"keep_alive": -1}}
    )
    sent = LEGACY.encode_request(request, TRAITS)
    assert sent.body == body
    EmbeddingsRequest.model_validate(sent.body, strict=True)
    # And an Ollama server of today is asked in its newer API.
    assert EMBED.encode_request(request, TRAITS).body == {
        "model": "m",
        "input": ["a"],
        "keep_alive": -1,
    }


@pytest.mark.parametrize(
    ("codec", "body", "answer"),
    [
        (EMBED, {}, {"model": "m", "embeddings": []}),
        (EMBED, {"input": ""}, {"model": "m", "embeddings": []}),
        (EMBED, {"input": [], "keep_alive": 0}, {"model": "m", "embeddings": []}),
        (LEGACY, {}, {"embedding": []}),
        (LEGACY, {"prompt": ""}, {"embedding": []}),
    ],
)
def test_traps_42_and_43_what_asks_for_nothing_only_loads(
    codec: EmbeddingCodec, body: JsonObject, answer: JsonObject
) -> None:
    request = codec.decode_request({"model": "m", **body})
    assert codec.reply_without_model(request, context(request)) == answer
    assert codec.reply_without_model(ASKED, context(ASKED)) is None


@pytest.mark.parametrize(
    ("codec", "faulty", "param"),
    [
        (EMBED, {"model": None}, "model"),
        (EMBED, {"input": 5}, "input"),
        (EMBED, {"input": {"a": 1}}, "input"),
        (EMBED, {"input": ["a", 5]}, "input[1]"),
        (EMBED, {"input": [[1, 2]]}, "input[0]"),
        (EMBED, {"input": "a", "truncate": "no"}, "truncate"),
        (EMBED, {"input": "a", "dimensions": "few"}, "dimensions"),
        (EMBED, {"input": "a", "options": []}, "options"),
        (EMBED, {"input": "a", "keep_alive": "soon"}, "keep_alive"),
        (LEGACY, {"model": ""}, "model"),
        (LEGACY, {"prompt": ["a"]}, "prompt"),
        (LEGACY, {"prompt": "a", "keep_alive": True}, "keep_alive"),
    ],
)
def test_a_faulty_request_is_refused_by_the_name_of_its_field(
    codec: EmbeddingCodec, faulty: JsonObject, param: str
) -> None:
    with pytest.raises(ApiFailure) as failure:
        codec.decode_request({"model": "m", **faulty})
    error = failure.value.error
    assert (error.kind, error.param) == (ErrorKind.BAD_REQUEST, param)
    assert param in error.message


@pytest.mark.parametrize("codec", [EMBED, LEGACY])
def test_tokens_are_refused_by_name(codec: EmbeddingCodec) -> None:
    request = OpenAIEmbeddingCodec().decode_request({"model": "m", "input": [1, 2]})
    with pytest.raises(ApiFailure, match=r"array of tokens.*send strings") as failure:
        codec.encode_request(request, TRAITS)
    assert failure.value.error.param == "input"


def test_the_older_api_can_neither_take_several_nor_shorten() -> None:
    with pytest.raises(ApiFailure, match="one prompt, got 2"):
        LEGACY.encode_request(ASKED, TRAITS)
    short = replace(ASKED, inputs=("a",), dimensions=8)
    with pytest.raises(ApiFailure, match="dimensions"):
        LEGACY.encode_request(short, TRAITS)


def test_what_came_in_another_dialect_is_reported_where_it_is_lost() -> None:
    request = replace(
        ASKED,
        inputs=("a",),
        user_id="u",
        truncate=True,
        encoding=VectorEncoding.BASE64,
        extras={Dialect("elsewhere"): {"input_type": "query"}},
    )
    assert EMBED.encode_request(request, TRAITS).dropped == ("user", "input_type")
    assert LEGACY.encode_request(request, TRAITS).dropped == ("truncate", "user", "input_type")


# Answers


def test_an_answer_is_written_for_the_official_client() -> None:
    packed = struct.pack("<2f", 0.5, 2.0)
    response = EmbeddingResponse(
        model="up", vectors=(packed, [0.1, 1.0]), usage=Usage(input_uncached=3)
    )
    written = EMBED.encode_response(response, context(ASKED))
    assert written == {
        "model": "house/model",
        "embeddings": [[0.5, 2.0], [0.1, 1.0]],
        "total_duration": 1_500,
        "load_duration": 0,
        "prompt_eval_count": 3,
    }
    parsed = ollama.EmbedResponse.model_validate(written, strict=True)
    assert [list(vector) for vector in parsed.embeddings] == [[0.5, 2.0], [0.1, 1.0]]


def test_an_answer_of_the_older_api_is_one_vector() -> None:
    one = replace(ASKED, inputs=("a",))
    response = EmbeddingResponse(model="up", vectors=(struct.pack("<2f", 0.5, 2.0),))
    written = LEGACY.encode_response(response, context(one))
    assert written == {"embedding": [0.5, 2.0]}
    ollama.EmbeddingsResponse.model_validate(written, strict=True)


def test_a_count_that_the_upstream_left_out_is_estimated() -> None:
    response = EmbeddingResponse(model="up", vectors=([0.5], [0.5]))
    written = EMBED.encode_response(response, context(ASKED, elapsed_ns=0))
    assert (written["prompt_eval_count"], written["total_duration"]) == (42, 1)


@pytest.mark.parametrize("codec", [EMBED, LEGACY])
def test_a_vector_too_few_is_never_passed_on(codec: EmbeddingCodec) -> None:
    response = EmbeddingResponse(model="up", vectors=([0.5],))
    with pytest.raises(ApiFailure, match="1 vectors for 2 inputs"):
        codec.encode_response(response, context(ASKED))


def test_answers_are_read() -> None:
    assert EMBED.decode_response(
        {"model": "up", "embeddings": [[0.5], [1]], "total_duration": 5, "prompt_eval_count": 3}
    ) == EmbeddingResponse(model="up", vectors=([0.5], [1]), usage=Usage(input_uncached=3))
    assert LEGACY.decode_response({"embedding": [0.5]}) == EmbeddingResponse(
        model="", vectors=([0.5],)
    )


def test_trap_64_an_answer_without_a_count_has_no_usage() -> None:
    assert EMBED.decode_response({"model": "up", "embeddings": []}).usage is None


@pytest.mark.parametrize(
    ("codec", "body", "why"),
    [
        (EMBED, {}, "'embeddings'"),
        (EMBED, {"embeddings": [0.5]}, "no array"),
        (EMBED, {"embeddings": [["x"]]}, "no number"),
        (EMBED, {"error": "model crashed"}, "model crashed"),
        (LEGACY, {}, "no array"),
        (LEGACY, {"embedding": [None]}, "no number"),
        (LEGACY, {"error": "model crashed"}, "model crashed"),
    ],
)
def test_an_answer_without_embeddings_is_the_upstreams_fault(
    codec: EmbeddingCodec, body: JsonObject, why: str
) -> None:
    with pytest.raises(ApiFailure, match=why) as failure:
        codec.decode_response(body)
    assert failure.value.error.kind is ErrorKind.UPSTREAM_ERROR


# Properties

_BODY = st.fixed_dictionaries(
    {
        "model": st.just("m"),
        "input": st.lists(st.text(st.characters(codec="utf-8"), max_size=5), max_size=3).map(
            lambda texts: [*texts]
        )
        | st.text(st.characters(codec="utf-8"), min_size=1, max_size=5),
    },
    optional={
        "truncate": st.booleans(),
        "dimensions": st.integers(-1, 9),
        "options": st.dictionaries(st.just("num_ctx"), st.integers(1, 9)),
        "keep_alive": st.sampled_from([0, -1, "5m"]),
        "x": st.none() | st.integers(),
    },
)


@given(_BODY)
@settings(max_examples=80, deadline=None)
def test_a_request_survives_the_way_through(body: JsonObject) -> None:
    request = EMBED.decode_request(body)
    sent = EMBED.encode_request(request, TRAITS)
    assert EMBED.decode_request(sent.body) == request
    assert sent.dropped == ()


@given(st.lists(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=4), min_size=1, max_size=3))
@settings(max_examples=60, deadline=None)
def test_an_openai_clients_vectors_come_unchanged_from_an_ollama_server(
    vectors: list[list[float]],
) -> None:
    request = EmbeddingRequest(model="m", inputs=("a",) * len(vectors))
    response = EMBED.decode_response({"model": "up", "embeddings": [[*v] for v in vectors]})
    written = OpenAIEmbeddingCodec().encode_response(response, context(request))
    again = OpenAIEmbeddingCodec().decode_response(written)
    assert [*again.vectors] == vectors
    assert EMBED.encode_response(again, context(request))["embeddings"] == vectors
