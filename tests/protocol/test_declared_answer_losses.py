"""What an answer is declared to lose on its way to a client is what it loses, whole and streamed:
no more, no less."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

import pytest
from answer_samples import answer_of
from feature_samples import base

from forebay.protocol.canonical.answer_features import AnswerFeature
from forebay.protocol.canonical.assembly import assemble, events_of
from forebay.protocol.canonical.events import ChatResponse, StreamEvent
from forebay.protocol.dialects.base import Api, ChatCodec, ReplyContext
from forebay.protocol.dialects.registry import CODECS

Way: TypeAlias = Callable[[AnswerFeature, ChatCodec, ChatCodec], ChatResponse]


def context_of(client: ChatCodec, *, streams: bool) -> ReplyContext:
    request = replace(base(client.losses.own), stream=streams, stream_usage=streams)
    return ReplyContext(
        request=request,
        response_id="ab" * 14,
        created=1,
        input_tokens_estimate=3,
        elapsed_ns=lambda: 1,
    )


def whole(feature: AnswerFeature, source: ChatCodec, client: ChatCodec) -> ChatResponse:
    """What a client reads where a server of ``source`` answers whole."""
    answer = answer_of(feature, source.losses.own)
    context = context_of(client, streams=False)
    return client.decode_response(client.encode_response(answer, context))


def streamed(feature: AnswerFeature, source: ChatCodec, client: ChatCodec) -> ChatResponse:
    """What a client has read at the end of a stream, of a server of ``source``."""
    events = list(events_of(answer_of(feature, source.losses.own)))
    if feature not in source.answer_losses.lost_by(streams=True):
        # Else its servers have forms for it that only they write.
        events = over_the_wire(events, source)
    return assemble(over_the_wire(events, client))


def over_the_wire(events: list[StreamEvent], codec: ChatCodec) -> list[StreamEvent]:
    """Written and read again, each byte by itself."""
    encoder = codec.stream_encoder(context_of(codec, streams=True))
    decoder = codec.stream_decoder()
    data = b"".join(map(encoder.encode, events))
    read = [event for at in range(len(data)) for event in decoder.feed(data[at : at + 1])]
    return [*read, *decoder.close()]


WAYS: dict[str, Way] = {"whole": whole, "streamed": streamed}


def arrives(feature: AnswerFeature, source: ChatCodec, client: ChatCodec, way: str) -> bool:
    """Whether a client reads what a server of ``source`` said."""
    answer = answer_of(feature, source.losses.own)
    assert feature.read(answer), "the sample does not say it"
    return feature.read(WAYS[way](feature, source, client)) == feature.read(answer)


PAIRS = [(source, client) for source in CODECS for client in CODECS if source != client]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("source", "client"), PAIRS)
def test_an_answer_loses_what_is_declared(source: Api, client: Api, way: str) -> None:
    lost = {
        feature
        for feature in AnswerFeature
        if not arrives(feature, CODECS[source], CODECS[client], way)
    }
    assert lost == CODECS[client].answer_losses.lost_by(streams=way == "streamed")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("api", CODECS)
def test_an_api_tells_its_own_clients_all_that_others_can_hold(api: Api, way: str) -> None:
    losses = CODECS[api].answer_losses
    for feature in AnswerFeature:
        if feature not in losses.lost_by(streams=way == "streamed"):
            assert arrives(feature, CODECS[api], CODECS[api], way), feature
    assert losses.own <= set(losses.lost)
    assert losses.streamed <= set(losses.lost)
