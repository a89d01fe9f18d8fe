"""``POST /v1/embeddings``, in both roles."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol, cast

import httpx2
import openai
import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types import CreateEmbeddingResponse, EmbeddingCreateParams

from forebay.protocol.canonical.embeddings import (
    EmbeddingInput,
    EmbeddingRequest,
    EmbeddingResponse,
    VectorEncoding,
    join,
    split,
)
from forebay.protocol.canonical.errors import ApiFailure, ErrorKind
from forebay.protocol.canonical.events import Usage
from forebay.protocol.canonical.requests import Dialect
from forebay.protocol.dialects.base import UpstreamTraits
from forebay.protocol.dialects.embeddings import EmbeddingContext
from forebay.protocol.dialects.openai import (
    OPENAI,
    OPENAI_EMBEDDINGS,
    OpenAIEmbeddingCodec,
    OpenAISpeech,
)
from forebay.protocol.jsontext import JsonObject, JsonValue, dumps, loads_object

CODEC = OpenAIEmbeddingCodec()
TRAITS = UpstreamTraits()


class Captured(Protocol):
    @property
    def status(self) -> int: ...

    @property
    def body(self) -> bytes: ...


def base64_of(*numbers: float) -> str:
    return base64.b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode()


def item(index: int, embedding: JsonValue) -> JsonObject:
    return {"object": "embedding", "index": index, "embedding": embedding}


def listing(*items: JsonValue, **fields: JsonValue) -> JsonObject:
    return {"object": "list", "model": "up", "data": [*items], **fields}


def context(request: EmbeddingRequest, *, estimate: int = 42) -> EmbeddingContext:
    return EmbeddingContext(
        request=request, input_tokens_estimate=estimate, elapsed_ns=lambda: 1_000
    )


def asked(*inputs: EmbeddingInput, base64: bool = False) -> EmbeddingRequest:
    return EmbeddingRequest(
        model="house/model",
        inputs=inputs,
        encoding=VectorEncoding.BASE64 if base64 else VectorEncoding.FLOAT,
    )


def embeddings_in(body: JsonObject) -> list[JsonValue]:
    data = cast("list[JsonObject]", body["data"])
    assert [entry["index"] for entry in data] == list(range(len(data)))
    return [entry["embedding"] for entry in data]


def test_it_stands_where_the_official_client_posts() -> None:
    assert (CODEC.api, CODEC.dialect, CODEC.path, CODEC.most_inputs) == (
        OPENAI_EMBEDDINGS,
        OPENAI,
        "/v1/embeddings",
        2048,
    )


# Requests


@pytest.mark.parametrize(
    ("said", "inputs"),
    [
        ("hello", ("hello",)),
        (["hello"], ("hello",)),
        (["hello", "world"], ("hello", "world")),
        ([1, 2, 3], ((1, 2, 3),)),
        ([[1, 2], [3]], ((1, 2), (3,))),
        ([[0]], ((0,),)),
    ],
)
def test_input_has_four_forms(said: JsonValue, inputs: tuple[EmbeddingInput, ...]) -> None:
    request = CODEC.decode_request({"model": "m", "input": said})
    assert request == EmbeddingRequest(model="m", inputs=inputs)
    sent = CODEC.encode_request(request, TRAITS)
    assert CODEC.decode_request(sent.body) == request
    assert sent.dropped == ()
    pydantic.TypeAdapter(EmbeddingCreateParams).validate_python(sent.body, strict=True)


def test_every_field_is_read_and_written() -> None:
    body: JsonObject = {
        "model": "m",
        "input": ["hello", "world"],
        "dimensions": 256,
        "encoding_format": "base64",
        "user": "u",
        "input_type": "query",
    }
    request = CODEC.decode_request(body)
    assert request == EmbeddingRequest(
        model="m",
        inputs=("hello", "world"),
        dimensions=256,
        encoding=VectorEncoding.BASE64,
        user_id="u",
        extras={OPENAI: {"input_type": "query"}},
    )
    assert CODEC.encode_request(request, TRAITS).body == body


def test_what_came_in_another_dialect_is_reported_where_it_is_lost() -> None:
    request = replace(asked("a"), truncate=True, extras={Dialect("ollama"): {"keep_alive": 1}})
    sent = CODEC.encode_request(request, TRAITS)
    assert sent.body == {"model": "house/model", "input": "a"}
    assert sent.dropped == ("truncate", "keep_alive")
    # To refuse what is too long is what this API does.
    assert CODEC.encode_request(replace(asked("a"), truncate=False), TRAITS).dropped == ()


@pytest.mark.parametrize(
    ("faulty", "param", "code"),
    [
        ({}, "input", "missing_required_parameter"),
        ({"input": None}, "input", "missing_required_parameter"),
        ({"model": ""}, "model", "missing_required_parameter"),
        ({"input": ""}, "input", "empty_string"),
        ({"input": []}, "input", "empty_array"),
        ({"input": ["a", ""]}, "input[1]", "empty_string"),
        ({"input": [[1], []]}, "input[1]", "empty_array"),
        ({"input": ["a"] * 2049}, "input", "array_above_max_length"),
        ({"input": 5}, "input", "invalid_type"),
        ({"input": {"text": "a"}}, "input", "invalid_type"),
        ({"input": [True]}, "input[0]", "invalid_type"),
        ({"input": [1.5]}, "input[0]", "invalid_type"),
        ({"input": [None]}, "input[0]", "invalid_type"),
        ({"input": ["a", 1]}, "input[1]", "invalid_type"),
        ({"input": ["a", [1]]}, "input[1]", "invalid_type"),
        ({"input": [[1], "a"]}, "input[1]", "invalid_type"),
        ({"input": [1, "a"]}, "input[1]", "invalid_type"),
        ({"input": [[1, True]]}, "input[0][1]", "invalid_type"),
        ({"input": [1, -1]}, "input[1]", "integer_below_min_value"),
        ({"input": "a", "dimensions": 0}, "dimensions", "integer_below_min_value"),
        ({"input": "a", "dimensions": "all"}, "dimensions", "invalid_type"),
        ({"input": "a", "encoding_format": "hex"}, "encoding_format", "invalid_value"),
        ({"input": "a", "user": 1}, "user", "invalid_type"),
    ],
)
def test_a_faulty_request_is_refused_by_the_name_of_its_field(
    faulty: JsonObject, param: str, code: str
) -> None:
    with pytest.raises(ApiFailure) as failure:
        CODEC.decode_request({"model": "m", **faulty})
    error = failure.value.error
    assert (error.kind, error.param, error.code) == (ErrorKind.BAD_REQUEST, param, code)
    assert param in error.message


def test_as_many_inputs_as_openai_takes_are_taken() -> None:
    assert len(CODEC.decode_request({"model": "m", "input": ["a"] * 2048}).inputs) == 2048
    # The tokens of one text are not so many texts.
    assert CODEC.decode_request({"model": "m", "input": [1] * 8192}).inputs == ((1,) * 8192,)


# Answers


def test_trap_71_base64_is_answered_though_the_upstream_gave_floats() -> None:
    response = CODEC.decode_response(listing(item(0, [0.5, -2, 0.1])))
    written = CODEC.encode_response(response, context(asked("a", base64=True)))
    assert embeddings_in(written) == [base64_of(0.5, -2, 0.1)]


def test_trap_72_floats_are_answered_though_the_upstream_gave_base64() -> None:
    response = CODEC.decode_response(listing(item(0, base64_of(0.5, -2.0, 0.1))))
    written = CODEC.encode_response(response, context(asked("a")))
    [numbers] = embeddings_in(written)
    assert numbers == [0.5, -2.0, struct.unpack("<f", struct.pack("<f", 0.1))[0]]


def test_numbers_that_need_no_change_are_written_as_they_came() -> None:
    """Not rounded to float32 on their way: the upstream's own digits arrive."""
    response = CODEC.decode_response(listing(item(0, [0.1, 1])))
    written = CODEC.encode_response(response, context(asked("a")))
    assert embeddings_in(written) == [[0.1, 1]]


def test_an_answer_has_every_field_that_openai_sends() -> None:
    response = EmbeddingResponse(
        model="up", vectors=([0.5], [1.0]), usage=Usage(input_uncached=3, cache_read=2)
    )
    written = CODEC.encode_response(response, context(asked("a", "b")))
    assert written == {
        "object": "list",
        "data": [item(0, [0.5]), item(1, [1.0])],
        "model": "house/model",
        "usage": {"prompt_tokens": 5, "total_tokens": 5},
    }
    CreateEmbeddingResponse.model_validate(written, strict=True)


def test_usage_that_the_upstream_left_out_is_estimated() -> None:
    response = EmbeddingResponse(model="up", vectors=([0.5],))
    written = CODEC.encode_response(response, context(asked("a"), estimate=42))
    assert written["usage"] == {"prompt_tokens": 42, "total_tokens": 42}


@pytest.mark.parametrize(
    "data",
    [
        [item(1, [2.0]), item(0, [1.0])],
        [{"embedding": [1.0]}, {"embedding": [2.0]}],
    ],
)
def test_vectors_stand_in_the_order_of_the_inputs(data: list[JsonValue]) -> None:
    assert CODEC.decode_response(listing(*data)).vectors == ([1.0], [2.0])


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ({}, "'data'"),
        ({"data": {}}, "'data'"),
        (listing("x"), "no object"),
        (listing(item(0, None)), "no array"),
        (listing(item(0, [0.5, None])), "no number"),
        (listing(item(0, [[0.5]])), "no number"),
        (listing(item(0, "%%%")), "no base64"),
        (listing(item(0, base64.b64encode(b"12345").decode())), "inside a number"),
        (listing(item(0, [1.0]), item(0, [2.0])), "one by one"),
        (listing(item(1, [1.0]), item(2, [2.0])), "one by one"),
        (listing({"index": "0", "embedding": [1.0]}), "no number"),
    ],
)
def test_an_answer_without_embeddings_is_the_upstreams_fault(body: JsonObject, why: str) -> None:
    with pytest.raises(ApiFailure, match=why) as failure:
        CODEC.decode_response(body)
    assert failure.value.error.kind is ErrorKind.UPSTREAM_ERROR


def test_an_error_inside_an_answer_is_raised_as_such() -> None:
    with pytest.raises(ApiFailure, match="try later") as failure:
        CODEC.decode_response({"error": {"message": "try later", "code": 429}})
    assert failure.value.error.kind is ErrorKind.RATE_LIMITED


@pytest.mark.parametrize("vectors", [(), ([0.5],), ([0.5], [0.5], [0.5])])
def test_a_vector_too_few_or_too_many_is_never_passed_on(
    vectors: tuple[list[float], ...],
) -> None:
    response = EmbeddingResponse(model="up", vectors=vectors)
    with pytest.raises(ApiFailure, match=f"{len(vectors)} vectors for 2 inputs"):
        CODEC.encode_response(response, context(asked("a", "b")))


@pytest.mark.parametrize(
    ("data", "base64", "fits"),
    [
        ([item(0, [0.5]), item(1, [0.5])], False, True),
        ([item(0, base64_of(0.5)), item(1, base64_of(0.5))], True, True),
        # Traps 71 and 72
        ([item(0, [0.5]), item(1, [0.5])], True, False),
        ([item(0, base64_of(0.5)), item(1, base64_of(0.5))], False, False),
        ([item(1, [0.5]), item(0, [0.5])], False, False),
        ([item(0, [0.5])], False, False),
    ],
)
def test_an_answer_is_relayed_only_as_the_client_can_read_it(
    data: list[JsonValue], base64: bool, fits: bool
) -> None:
    assert CODEC.can_relay_answer(listing(*data), asked("a", "b", base64=base64)) is fits


# Real servers, and the official client


@pytest.mark.parametrize("name", ["embeddings", "embeddings-list", "embeddings-base64"])
def test_answers_of_a_real_server_are_read_and_could_be_relayed(
    captured: Callable[[str], Captured], captured_request: Callable[[str], bytes], name: str
) -> None:
    sent = loads_object(captured_request(f"llamacpp-embeddings/{name}"))
    body = loads_object(captured(f"llamacpp-embeddings/{name}").body)
    request = CODEC.decode_request(sent)
    response = CODEC.decode_response(body)
    assert len(response.vectors) == len(request.inputs)
    assert response.usage == Usage(input_uncached=2)
    assert CODEC.can_relay_answer(body, request)
    rewritten = CODEC.encode_response(response, context(request))
    assert embeddings_in(rewritten) == embeddings_in(body)


def test_a_real_servers_two_encodings_are_one_vector_to_the_last_bit(
    captured: Callable[[str], Captured],
) -> None:
    """Traps 71 and 72, on 1152 numbers that a model made."""
    floats, packed = (
        CODEC.decode_response(loads_object(captured(f"llamacpp-embeddings/{name}").body))
        for name in ("embeddings-list", "embeddings-base64")
    )
    request = asked("hello", "world")
    for wanted in (request, replace(request, encoding=VectorEncoding.BASE64)):
        assert CODEC.encode_response(floats, context(wanted)) == CODEC.encode_response(
            packed, context(wanted)
        )


def test_a_real_servers_refusal_is_understood(captured: Callable[[str], Captured]) -> None:
    answer = captured("llamacpp-embeddings/embeddings-err")
    error = OpenAISpeech().decode_error(answer.status, answer.body)
    assert error.kind is ErrorKind.BAD_REQUEST
    assert "input" in error.message


@pytest.mark.parametrize("asked_for", [None, "float", "base64"])
def test_the_official_client_gets_its_numbers_whatever_the_upstream_sends(
    asked_for: str | None,
) -> None:
    """It asks for base64 where its caller names no encoding."""

    def respond(request: httpx2.Request) -> httpx2.Response:
        decoded = CODEC.decode_request(loads_object(request.content))
        upstream = CODEC.decode_response(
            listing(item(0, [0.5, 1.0]), item(1, base64_of(0.25, 2.0)))
        )
        answer = CODEC.encode_response(upstream, context(decoded))
        return httpx2.Response(
            200, headers={"content-type": "application/json"}, content=dumps(answer)
        )

    client = openai.OpenAI(
        api_key="k",
        base_url="http://gateway.invalid/v1",
        http_client=openai.DefaultHttpxClient(transport=httpx2.MockTransport(respond)),
    )
    inputs = ["a", "b"]
    if asked_for is None:
        answer = client.embeddings.create(model="m", input=inputs)
    elif asked_for == "float":
        answer = client.embeddings.create(model="m", input=inputs, encoding_format="float")
    else:
        answer = client.embeddings.create(model="m", input=inputs, encoding_format="base64")
    got: list[object] = [entry.embedding for entry in answer.data]
    if asked_for == "base64":
        assert got == [base64_of(0.5, 1.0), base64_of(0.25, 2.0)]
    else:
        assert got == [[0.5, 1.0], [0.25, 2.0]]
    assert answer.usage.total_tokens == 42


# Properties

_TEXT = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8)
_TOKENS = st.lists(st.integers(0, 2**31), min_size=1, max_size=4)
_INPUT: st.SearchStrategy[JsonValue] = st.one_of(
    _TEXT,
    st.lists(_TEXT, min_size=1, max_size=4).map(lambda texts: [*texts]),
    _TOKENS.map(lambda tokens: [*tokens]),
    st.lists(_TOKENS, min_size=1, max_size=3).map(lambda arrays: [[*array] for array in arrays]),
)
_BODY = st.fixed_dictionaries(
    {"model": st.just("m"), "input": _INPUT},
    optional={
        "dimensions": st.integers(1, 4096),
        "encoding_format": st.sampled_from(["float", "base64"]),
        "user": st.just("u"),
        "truncate_prompt_tokens": st.integers(0, 9),
    },
)


@given(_BODY)
@settings(max_examples=80, deadline=None)
def test_a_request_survives_the_way_through(body: JsonObject) -> None:
    request = CODEC.decode_request(body)
    sent = CODEC.encode_request(request, TRAITS)
    again = CODEC.decode_request(json.loads(dumps(sent.body)))
    assert again == request
    assert sent.dropped == ()


@given(
    st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1, max_size=4),
    st.integers(1, 7),
    st.integers(1, 3),
    st.booleans(),
    st.booleans(),
)
@settings(max_examples=80, deadline=None)
def test_an_answer_in_parts_is_the_answer_to_the_whole(
    numbers: list[float], count: int, most: int, upstream_packs: bool, client_packs: bool
) -> None:
    """Split, answered by a server in its own encoding, read, joined and written."""
    request = asked(*(f"text {at}" for at in range(count)), base64=client_packs)
    vectors = {entry: [at, *numbers] for at, entry in enumerate(request.inputs)}
    responses = []
    for part in split(request, most):
        said = [vectors[entry] for entry in part.inputs]
        answered = listing(
            *(
                item(at, base64_of(*vector) if upstream_packs else [*vector])
                for at, vector in enumerate(said)
            ),
            usage={"prompt_tokens": len(said), "total_tokens": len(said)},
        )
        responses.append(CODEC.decode_response(loads_object(dumps(answered))))
    written = CODEC.encode_response(join(responses), context(request))
    assert embeddings_in(written) == [
        base64_of(*vector) if client_packs else vector for vector in vectors.values()
    ]
    assert written["usage"] == {"prompt_tokens": count, "total_tokens": count}
