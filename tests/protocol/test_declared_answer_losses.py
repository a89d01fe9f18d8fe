"""What an answer is declared to lose on its way to a client is what it loses: no more, no less."""

from __future__ import annotations

import pytest
from answer_samples import answer_of
from feature_samples import base

from forebay.protocol.canonical.answer_features import AnswerFeature
from forebay.protocol.dialects.base import Api, ChatCodec, ReplyContext
from forebay.protocol.dialects.registry import CODECS


def arrives(feature: AnswerFeature, source: ChatCodec, client: ChatCodec) -> bool:
    """Whether a client reads what a server of ``source`` said."""
    context = ReplyContext(
        request=base(client.losses.own),
        response_id="ab" * 14,
        created=1,
        input_tokens_estimate=3,
        elapsed_ns=lambda: 1,
    )
    answer = answer_of(feature, source.losses.own)
    assert feature.read(answer), "the sample does not say it"
    read = client.decode_response(client.encode_response(answer, context))
    return feature.read(read) == feature.read(answer)


PAIRS = [(source, client) for source in CODECS for client in CODECS if source != client]


@pytest.mark.parametrize(("source", "client"), PAIRS)
def test_an_answer_loses_what_is_declared(source: Api, client: Api) -> None:
    lost = {
        feature for feature in AnswerFeature if not arrives(feature, CODECS[source], CODECS[client])
    }
    assert lost == set(CODECS[client].answer_losses.lost)


@pytest.mark.parametrize("api", CODECS)
def test_an_api_tells_its_own_clients_all_that_others_can_hold(api: Api) -> None:
    losses = CODECS[api].answer_losses
    for feature in AnswerFeature:
        if feature not in losses.lost:
            assert arrives(feature, CODECS[api], CODECS[api]), feature
    assert losses.own <= set(losses.lost)
