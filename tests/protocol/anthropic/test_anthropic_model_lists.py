"""Model lists in Anthropic's shape, and those of any upstream."""

from __future__ import annotations

from collections.abc import Callable

import pydantic
import pytest
from anthropic.pagination import SyncPage
from anthropic.types import ModelInfo
from hypothesis import given
from hypothesis import strategies as st

from forebay.protocol.canonical.errors import ApiFailure, ErrorKind
from forebay.protocol.canonical.listed_models import Capability, ListedModel
from forebay.protocol.dialects.anthropic import AnthropicSpeech
from forebay.protocol.dialects.base import ModelCard

SPEECH = AnthropicSpeech()


def test_a_list_in_anthropics_shape_trap_1() -> None:
    cards = [
        ModelCard(id="a/b:c", created=1_795_000_000, owned_by="x", context_length=4096),
        ModelCard(id="d", created=0, owned_by="y"),
    ]
    body = SPEECH.encode_model_list(cards)
    assert isinstance(body["data"], list)
    assert body == {
        "data": [
            {
                "type": "model",
                "id": "a/b:c",
                "display_name": "a/b:c",
                "created_at": "2026-11-18T11:06:40Z",
                "lifecycle": "active",
                "max_input_tokens": 4096,
            },
            {
                "type": "model",
                "id": "d",
                "display_name": "d",
                "created_at": "1970-01-01T00:00:00Z",
                "lifecycle": "active",
            },
        ],
        "has_more": False,
        "first_id": "a/b:c",
        "last_id": "d",
    }
    assert SPEECH.encode_model(cards[0]) == body["data"][0]
    page = pydantic.TypeAdapter(SyncPage[ModelInfo]).validate_python(body)
    assert [model.id for model in page.data] == ["a/b:c", "d"]
    assert page.has_more is False


def test_an_empty_list_has_null_ends() -> None:
    assert SPEECH.encode_model_list([]) == {
        "data": [],
        "has_more": False,
        "first_id": None,
        "last_id": None,
    }


@pytest.mark.parametrize(
    "body",
    [
        b'{"data":[{"id":"a"},{"id":"b"}],"has_more":false}',
        b'[{"id":"a"},{"id":"b"},{"id":"a"}]',
        b'{"models":[{"name":"a"},{"model":"b"}]}',
        b'{"data":["a",{"id":"b"},{"id":5},null]}',
    ],
)
def test_lists_of_any_shape_are_read_trap_75(body: bytes) -> None:
    assert SPEECH.decode_model_list(body) == (ListedModel("a"), ListedModel("b"))


def test_a_captured_list_is_read(answer: Callable[[str], tuple[int, bytes]]) -> None:
    _, body = answer("llamacpp-0.7.0-b11669/models")
    (model,) = SPEECH.decode_model_list(body)
    assert (model.id, model.context_tokens, model.owner) == ("smollm2", 4096, "llamacpp")
    assert model.capabilities == {Capability.CHAT}
    assert model.lacks == {Capability.VISION, Capability.AUDIO}


@given(
    st.binary(max_size=30).filter(lambda body: not body.strip().startswith(b"["))
    | st.sampled_from([b'{"data":{}}', b'"x"', b"{}", b'{"models":5}'])
)
def test_what_is_no_list_is_the_upstreams_fault(body: bytes) -> None:
    with pytest.raises(ApiFailure) as caught:
        SPEECH.decode_model_list(body)
    assert caught.value.error.kind is ErrorKind.UPSTREAM_ERROR
