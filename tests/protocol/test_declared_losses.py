"""What each API is declared to lose is what its encoder loses: no more, no less, by that name.

Every feature is driven through every encoder, as a client of every other API would say it.
"""

from __future__ import annotations

from itertools import permutations
from typing import TypeAlias

import pytest
from feature_samples import Sample, base, sample_of

from forebay.protocol.canonical.errors import ApiFailure, ErrorKind
from forebay.protocol.canonical.features import Feature
from forebay.protocol.canonical.requests import ChatRequest, Dialect
from forebay.protocol.dialects.base import (
    Api,
    ChatCodec,
    EncodedRequest,
    ThinkingForm,
    UpstreamTraits,
)
from forebay.protocol.dialects.count_losses import OF_ANSWERS
from forebay.protocol.dialects.losses import Fate, Loss, Server, can_say
from forebay.protocol.dialects.openai._names import COMPLETIONS
from forebay.protocol.dialects.registry import CODECS, TOKEN_COUNT_CODECS
from forebay.protocol.dialects.token_counts import TokenCountCodec

Codec: TypeAlias = ChatCodec | TokenCountCodec

SERVERS = {
    Server.ANY: UpstreamTraits(),
    Server.COMPATIBLE: UpstreamTraits(),
    Server.OPENAI: UpstreamTraits(max_output_field="max_completion_tokens", developer_role=True),
    Server.OWN_SAMPLING: UpstreamTraits(takes_sampling=False),
    Server.THINKING: UpstreamTraits(),
    Server.WITHOUT_THINKING: UpstreamTraits(thinking=ThinkingForm.NONE),
}
PAIRS = [
    (source, target)
    for source in CODECS
    for target in CODECS
    if source != target and not CODECS[target].losses.of(Feature.CHAT, CODECS[source].losses.own)
]
NOBODY = Dialect("nobody")
ABSENT = {Feature.PROMPT, Feature.NO_LIMIT, Feature.CHAT}
"""What they ask for is what is not said."""


def samples(source: Codec) -> list[tuple[Feature, Sample]]:
    own = source.losses.own
    return [
        (feature, sample_of(feature, own)) for feature in Feature if can_say(source.losses, feature)
    ]


def concerning(codec: Codec, request: ChatRequest, traits: UpstreamTraits) -> list[Loss]:
    return [loss for loss in codec.losses if loss.concerns(request, traits)]


def encode(codec: Codec, request: ChatRequest, traits: UpstreamTraits) -> EncodedRequest:
    return codec.encode_request(request, traits)


def faults(codec: Codec, sample: Sample, feature: Feature, traits: UpstreamTraits) -> list[str]:
    """In what the encoder and the declarations disagree about ``sample``."""
    request = sample.with_it
    losses = concerning(codec, request, traits)
    refusing = {loss.named for loss in losses if loss.fate is Fate.REFUSED}
    try:
        sent = encode(codec, request, traits)
    except ApiFailure as failure:
        told = failure.error
        proper = told.kind is ErrorKind.BAD_REQUEST and told.param in refusing
        return [] if proper else [f"refused for {told.param}, and should be for {refusing}"]
    if refusing:
        return [f"should be refused for {refusing}"]
    found: list[str] = []
    named = {loss.named for loss in losses if loss.fate is Fate.DROPPED and loss.named}
    if any(loss.feature is Feature.OWN_FIELDS for loss in losses):
        named |= {name for fields in request.extras.values() for name in fields}
    if sorted(sent.dropped) != sorted(named):
        found.append(f"dropped {sent.dropped}, and should drop {named}")
    left_out = [loss.feature for loss in losses if loss.fate in (Fate.DROPPED, Fate.OMITTED)]
    if feature in left_out and feature not in ABSENT:
        without = encode(codec, sample.without, traits).body
        if sent.body != without:
            found.append(f"should be left out: {sent.body} for {without}")
    if not losses and feature not in ABSENT:
        read, meant = feature.read(codec.decode_request(sent.body)), feature.read(request)
        if read != meant:
            found.append(f"{meant!r} arrives as {read!r}: {sent.body}")
    return found


def all_faults(source: Codec, target: Codec, traits: UpstreamTraits) -> list[str]:
    found: list[str] = []
    for feature, sample in samples(source):
        if not feature.said(sample.with_it):
            found.append(f"{feature.name}: the sample does not say it")
        found += (f"{feature.name}: {each}" for each in faults(target, sample, feature, traits))
    return found


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_a_feature_of_one_api_fares_with_another_as_declared(
    source: Api, target: Api, server: Server
) -> None:
    assert not all_faults(CODECS[source], CODECS[target], SERVERS[server])


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize(("source", "target"), list(permutations(TOKEN_COUNT_CODECS, 2)))
def test_a_feature_of_a_prompt_to_be_counted_fares_as_declared(
    source: Api, target: Api, server: Server
) -> None:
    asked, counting = TOKEN_COUNT_CODECS[source], TOKEN_COUNT_CODECS[target]
    assert not all_faults(asked, counting, SERVERS[server])


@pytest.mark.parametrize("api", TOKEN_COUNT_CODECS)
def test_what_shapes_an_answer_is_never_missed_in_a_count(api: Api) -> None:
    codec = TOKEN_COUNT_CODECS[api]
    for feature in OF_ANSWERS:
        sample = sample_of(feature, NOBODY)
        sent = encode(codec, sample.with_it, SERVERS[Server.OPENAI])
        assert sent.dropped == (), feature
        assert sent.body == encode(codec, sample.without, SERVERS[Server.OPENAI]).body, feature


@pytest.mark.parametrize("api", CODECS)
def test_an_api_says_all_that_it_does_not_declare_as_lost(api: Api) -> None:
    codec, traits = CODECS[api], SERVERS[Server.ANY]
    for feature in Feature:
        # Citations are a raw field, which nobody else's client can say.
        own = codec.losses.own if feature is Feature.CITATIONS else NOBODY
        sample = sample_of(feature, own, completes=codec.losses.own == COMPLETIONS)
        if sample.with_it.state is not None:
            continue  # good at the client's own provider only, and raw there
        if not can_say(codec.losses, feature) or concerning(codec, sample.with_it, traits):
            continue
        sent = encode(codec, sample.with_it, traits)
        assert sent.dropped == (), feature
        assert feature.said(codec.decode_request(sent.body)), feature


@pytest.mark.parametrize("api", CODECS)
def test_every_declared_loss_is_met_by_a_client_of_some_other_api(api: Api) -> None:
    codec = CODECS[api]
    for loss in codec.losses:
        met = [
            source
            for source, other in CODECS.items()
            if source != api
            and can_say(other.losses, loss.feature)
            and loss.concerns(
                sample_of(loss.feature, other.losses.own).with_it, SERVERS[loss.server]
            )
        ]
        assert met, f"{loss.feature} can't come from anywhere"


@pytest.mark.parametrize("api", CODECS)
def test_approximations_say_something_else(api: Api) -> None:
    """What comes back of an approximation is not what was said; else it would be no loss."""
    codec = CODECS[api]
    for loss in codec.losses:
        if loss.fate is not Fate.APPROXIMATED:
            continue
        own = next(
            other.losses.own
            for source, other in CODECS.items()
            if source != api
            and can_say(other.losses, loss.feature)
            and other.losses.own not in loss.kept_from
        )
        request = sample_of(loss.feature, own).with_it
        sent = encode(codec, request, SERVERS[loss.server])
        read = codec.decode_request(sent.body)
        assert loss.feature.read(read) != loss.feature.read(request), loss.feature


def test_every_feature_is_said_by_some_api_and_lost_by_some_other() -> None:
    for feature in Feature:
        able = [api for api, codec in CODECS.items() if can_say(codec.losses, feature)]
        assert able, feature
    never_lost = {
        feature
        for feature in Feature
        if not any(codec.losses.of(feature) for codec in CODECS.values())
    }
    assert never_lost == {Feature.EFFORT}


def test_a_plain_request_loses_nothing_anywhere() -> None:
    for source, target in PAIRS:
        request = base(CODECS[source].losses.own)
        assert encode(CODECS[target], request, UpstreamTraits()).dropped == ()
