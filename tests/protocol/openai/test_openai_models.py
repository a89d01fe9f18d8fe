"""Listings of models."""

from __future__ import annotations

from dataclasses import replace

import pytest

from forebay.protocol.canonical.errors import ApiFailure, ErrorKind
from forebay.protocol.canonical.listed_models import ListedModel
from forebay.protocol.dialects.base import ModelCard
from forebay.protocol.dialects.openai import OpenAISpeech

_SPEECH = OpenAISpeech()
_CARD = ModelCard(id="a/b:c", created=7, owned_by="forebay", context_length=4096)


def test_models_are_listed_in_openais_shape_trap_1() -> None:
    plain = ModelCard(id="m", created=8, owned_by="forebay", capabilities=("embedding",))
    assert _SPEECH.encode_model_list([_CARD, plain]) == {
        "object": "list",
        "data": [
            {
                "id": "a/b:c",
                "object": "model",
                "created": 7,
                "owned_by": "forebay",
                "context_length": 4096,
                "capabilities": ["completion", "tools"],
            },
            {
                "id": "m",
                "object": "model",
                "created": 8,
                "owned_by": "forebay",
                "capabilities": ["embedding"],
            },
        ],
    }
    assert _SPEECH.encode_model_list([]) == {"object": "list", "data": []}


def test_one_model_is_shown_as_in_the_list() -> None:
    assert [_SPEECH.encode_model(_CARD)] == _SPEECH.encode_model_list([_CARD])["data"]


@pytest.mark.parametrize(
    "body",
    [
        b'{"object":"list","data":[{"id":"a"},{"id":"b"}]}',
        b'[{"id":"a","type":"chat"},{"id":"b"}]',  # trap 75
        b'{"models":[{"name":"x"}],"data":[{"id":"a"},{"id":"b"},{"id":"a"}]}',
        b'{"models":[{"name":"a"},{"model":"b"}]}',
        b'["a","b",{},null,5,{"id":""}]',
    ],
)
def test_listings_are_read_in_every_shape(body: bytes) -> None:
    listed = _SPEECH.decode_model_list(body)
    assert [replace(model, capabilities=frozenset()) for model in listed] == [
        ListedModel("a"),
        ListedModel("b"),
    ]


@pytest.mark.parametrize("body", [b'{"data":[]}', b'{"object":"list","data":null}', b"[]"])
def test_an_empty_listing_is_a_listing(body: bytes) -> None:
    assert _SPEECH.decode_model_list(body) == ()


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"5", b"null", b"{}", b'{"data":"a"}', b'{"error":{"message":"no key"}}'],
)
def test_what_is_no_listing_is_an_error_of_the_upstream(body: bytes) -> None:
    with pytest.raises(ApiFailure) as failure:
        _SPEECH.decode_model_list(body)
    assert failure.value.error.kind is ErrorKind.UPSTREAM_ERROR


def test_the_upstreams_own_words_are_kept_when_it_refuses_to_list() -> None:
    with pytest.raises(ApiFailure, match="no key"):
        _SPEECH.decode_model_list(b'{"error":{"message":"no key"}}')
