"""Whatever an answer can be is written as the published documents have it: every feature of an
answer, as a server of every API says it, encoded for OpenAI's and Ollama's clients."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from answer_samples import answer_of
from published_documents import misfits

from forebay.protocol.canonical.answer_features import AnswerFeature
from forebay.protocol.canonical.assembly import events_of
from forebay.protocol.canonical.errors import ApiError, ErrorKind
from forebay.protocol.canonical.events import StreamError
from forebay.protocol.canonical.requests import ChatRequest, Dialect, Role, Text, Turn
from forebay.protocol.dialects.base import ChatCodec, ReplyContext
from forebay.protocol.dialects.ollama import OLLAMA
from forebay.protocol.dialects.openai import OPENAI
from forebay.protocol.dialects.registry import CODECS

WRITTEN = {api: codec for api, codec in CODECS.items() if codec.dialect in (OPENAI, OLLAMA)}
SAID_BY = sorted({codec.losses.own for codec in CODECS.values()})
"""Keys of ``extras``."""


def context(*, stream: bool) -> ReplyContext:
    turns = (Turn(role=Role.USER, parts=(Text("Hi"),)),)
    return ReplyContext(
        request=ChatRequest(model="m", turns=turns, stream=stream, stream_usage=True),
        response_id="0123abcd",
        created=1_795_000_000,
        input_tokens_estimate=3,
        elapsed_ns=lambda: 1,
    )


def is_their_own(codec: ChatCodec, said_by: str, feature: AnswerFeature) -> bool:
    """It goes through as the server says it, and the sample's is made up."""
    return said_by == codec.losses.own and feature in (
        AnswerFeature.OWN_PARTS,
        AnswerFeature.REMARKS,
    )


def path_of(codec: ChatCodec) -> str:
    return f"POST {codec.path.removeprefix('/v1')}"


def objects_in(stream: bytes) -> Iterator[object]:
    """Of an event stream, or of lines."""
    for line in stream.decode().split("\n"):
        text = line.removeprefix("data: ")
        if text.startswith("{"):
            yield json.loads(text)


to_all = pytest.mark.parametrize("codec", WRITTEN.values(), ids=map(str, WRITTEN))
every_answer = pytest.mark.parametrize(
    ("codec", "said_by", "feature"),
    [
        pytest.param(codec, said_by, feature, id=f"{api}-{said_by}-{feature}")
        for api, codec in WRITTEN.items()
        for said_by in SAID_BY
        for feature in AnswerFeature
        if not is_their_own(codec, said_by, feature)
    ],
)


@every_answer
def test_a_whole_answer_is_written_as_published(
    codec: ChatCodec, said_by: str, feature: AnswerFeature
) -> None:
    answer = answer_of(feature, Dialect(said_by))
    body = codec.encode_response(answer, context(stream=False))
    assert misfits(codec.dialect, f"{path_of(codec)} application/json", body) == []


@every_answer
def test_a_stream_is_written_as_published(
    codec: ChatCodec, said_by: str, feature: AnswerFeature
) -> None:
    """With keep-alives between all frames, where these say something."""
    encoder = codec.stream_encoder(context(stream=True))
    written = [encoder.keepalive()]
    for event in events_of(answer_of(feature, Dialect(said_by))):
        written += [encoder.encode(event), encoder.keepalive()]
    objects = list(objects_in(b"".join(written)))
    assert len(objects) > 1
    media_type = codec.stream_content_type.partition(";")[0]
    for value in objects:
        assert misfits(codec.dialect, f"{path_of(codec)} {media_type}", value) == []


@to_all
@pytest.mark.parametrize("kind", ErrorKind)
def test_an_error_in_a_stream_is_written_as_published(codec: ChatCodec, kind: ErrorKind) -> None:
    encoder = codec.stream_encoder(context(stream=True))
    said = encoder.encode(StreamError(ApiError(kind=kind, message="it broke", retry_after=2)))
    *_, last = objects_in(said)
    media_type = codec.stream_content_type.partition(";")[0]
    is_event = isinstance(last, dict) and "type" in last
    operation = f"{path_of(codec)} {media_type}" if is_event else "error"
    assert misfits(codec.dialect, operation, last) == []
