"""What an API for embeddings is declared to lose is what its encoder loses: no more, no less, by
that name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import permutations

import pytest

from forebay.protocol.canonical.embedding_features import EmbeddingFeature
from forebay.protocol.canonical.embeddings import EmbeddingRequest, VectorEncoding
from forebay.protocol.canonical.errors import ApiFailure, ErrorKind
from forebay.protocol.canonical.requests import Dialect
from forebay.protocol.dialects.base import Api, EncodedRequest, UpstreamTraits
from forebay.protocol.dialects.embeddings import EmbeddingCodec
from forebay.protocol.dialects.losses import Fate
from forebay.protocol.dialects.registry import EMBEDDING_CODECS

PLAIN = EmbeddingRequest(model="m", inputs=("a text",))
SAYING: Mapping[EmbeddingFeature, Mapping[str, object]] = {
    EmbeddingFeature.TOKENS: {"inputs": ((1, 2),)},
    EmbeddingFeature.DIMENSIONS: {"dimensions": 8},
    EmbeddingFeature.BASE64: {"encoding": VectorEncoding.BASE64},
    EmbeddingFeature.TO_BE_CUT: {"truncate": True},
    EmbeddingFeature.NOT_TO_BE_CUT: {"truncate": False},
    EmbeddingFeature.USER_ID: {"user_id": "u-1"},
}


def saying(feature: EmbeddingFeature, own: Dialect) -> EmbeddingRequest:
    """As a client of the API with this key in its ``extras`` says it."""
    if feature is EmbeddingFeature.OWN_FIELDS:
        return replace(PLAIN, extras={own: {"x_own": 1, "keep_alive": "5m"}})
    return replace(PLAIN, **SAYING[feature])  # type: ignore[arg-type]


def encode(codec: EmbeddingCodec, request: EmbeddingRequest) -> EncodedRequest:
    return codec.encode_request(request, UpstreamTraits())


@pytest.mark.parametrize(
    ("source", "target", "feature"),
    [
        (source, target, feature)
        for source, target in permutations(EMBEDDING_CODECS, 2)
        for feature in EmbeddingFeature
        if EMBEDDING_CODECS[source].losses.can_say(feature)
    ],
)
def test_a_feature_of_one_api_fares_with_another_as_declared(
    source: Api, target: Api, feature: EmbeddingFeature
) -> None:
    asked, codec = EMBEDDING_CODECS[source].losses, EMBEDDING_CODECS[target]
    request = saying(feature, asked.own)
    assert feature.said(request)
    losses = codec.losses.of(feature, asked.own)
    refusing = [loss.named for loss in losses if loss.fate is Fate.REFUSED]
    if refusing:
        with pytest.raises(ApiFailure) as failure:
            encode(codec, request)
        told = failure.value.error
        assert (told.kind, told.param) == (ErrorKind.BAD_REQUEST, *refusing)
        return
    sent = encode(codec, request)
    named = [loss.named for loss in losses if loss.fate is Fate.DROPPED and loss.named]
    if losses and feature is EmbeddingFeature.OWN_FIELDS:
        named = ["x_own", "keep_alive"]
    assert list(sent.dropped) == named
    if losses:
        assert sent.body == encode(codec, PLAIN).body
    else:
        assert feature.read(codec.decode_request(sent.body)) == feature.read(request)


@pytest.mark.parametrize("api", EMBEDDING_CODECS)
def test_an_api_says_all_that_it_does_not_declare_as_lost(api: Api) -> None:
    codec = EMBEDDING_CODECS[api]
    for feature in EmbeddingFeature:
        if not codec.losses.can_say(feature):
            continue
        request = saying(feature, codec.losses.own)
        sent = encode(codec, request)
        assert sent.dropped == ()
        assert feature.read(codec.decode_request(sent.body)) == feature.read(request)


@pytest.mark.parametrize("api", EMBEDDING_CODECS)
def test_every_declared_loss_is_met_by_a_client_of_some_other_api(api: Api) -> None:
    losses = EMBEDDING_CODECS[api].losses
    for loss in losses:
        able = [
            other
            for other, codec in EMBEDDING_CODECS.items()
            if other != api
            and codec.losses.can_say(loss.feature)
            and losses.of(loss.feature, codec.losses.own)
        ]
        assert able, loss


def test_every_feature_is_said_by_some_api_and_lost_by_some_other() -> None:
    every = [codec.losses for codec in EMBEDDING_CODECS.values()]
    for feature in EmbeddingFeature:
        assert any(losses.can_say(feature) for losses in every), feature
        assert any(losses.of(feature) for losses in every), feature
