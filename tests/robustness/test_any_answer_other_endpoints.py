"""Whatever an upstream answers to completions, embeddings and counts: a proper answer, a 502 in the
client's dialect or an estimate; never a fault of the gateway's own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import pytest
import trio
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from imitation import Imitated, Imitation
from spoken_errors import ANTHROPIC, OLLAMA, OPENAI, error_message
from trio.testing import MockClock
from worlds import GATEWAY, open_world

from forebay.protocol.jsontext import InvalidJson, JsonObject, dumps

pytestmark = pytest.mark.usefixtures("no_errors_logged")

ASKED: dict[str, tuple[str, str, JsonObject]] = {
    "openai embeddings": (OPENAI, "/v1/embeddings", {"input": ["a", "b"]}),
    "openai embeddings packed": (
        OPENAI,
        "/v1/embeddings",
        {"input": ["a", "b"], "encoding_format": "base64"},
    ),
    "openai completions": (OPENAI, "/v1/completions", {"prompt": ["a", "b"]}),
    "anthropic count": (
        ANTHROPIC,
        "/v1/messages/count_tokens",
        {"messages": [{"role": "user", "content": "a"}]},
    ),
    "ollama embed": (OLLAMA, "/api/embed", {"input": ["a", "b"]}),
    "ollama embeddings": (OLLAMA, "/api/embeddings", {"prompt": "a"}),
}
PROVIDERS: dict[str, dict[str, object]] = {
    "openai_compatible": {"base_url": "http://up.test/v1"},
    "anthropic": {"base_url": "http://up.test", "api_key": "k"},
    "ollama": {"hosts": ["http://up.test"]},
}
UPSTREAM_PATHS = (
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/embeddings",
    "/v1/messages",
    "/v1/messages/count_tokens",
    "/api/chat",
    "/api/generate",
    "/api/embed",
    "/api/embeddings",
)
_scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
    | st.sampled_from(["AACAPw==", "AAAAwH8=", "AADAfw==", "stop", "message", "text"])
)
_vectors = st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), max_size=3)
_json = st.recursive(
    _scalars | _vectors,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["index", "embedding", "object", "text", "message", "content"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=10,
)
_answers = st.dictionaries(
    st.sampled_from(
        [
            *("data", "embeddings", "embedding", "usage", "model", "input_tokens", "error"),
            *("choices", "prompt_eval_count", "message", "content", "type"),
        ]
    ),
    _json,
    max_size=5,
)
_HUGE: JsonObject = {
    "data": [{"index": 0, "embedding": [1e300]}, {"index": 1, "embedding": [2]}],
    "embeddings": [[1e300], [2]],
    "embedding": [1e300],
}
_NO_NUMBERS: JsonObject = {
    "data": [{"index": 0, "embedding": "AADAfw=="}, {"index": 1, "embedding": "AACAfw=="}]
}


_PAIRS = [
    pytest.param(kind, asked, id=f"{asked} over {kind}")
    for kind, reached in {
        "openai_compatible": [name for name in ASKED if name != "anthropic count"],
        "ollama": [name for name in ASKED if name != "anthropic count"],
        "anthropic": ["openai completions", "anthropic count"],
    }.items()
    for asked in reached
]


async def _hold_to_it(kind: str, asked: str, body: bytes) -> None:
    dialect, path, fields = ASKED[asked]
    config = {
        "providers": {"up": {"kind": kind, **PROVIDERS[kind]}},
        "models": {"fast": {"targets": ["up/some-model"]}},
        "wait": {"max_wait_ms": 5000},
    }
    upstream = Imitation({f"POST {one}": Imitated(body) for one in UPSTREAM_PATHS})
    async with open_world(config) as world:
        world.network.plug("up.test", upstream.serve)
        await trio.sleep(90)  # until the connection that listed the models can't be used again
        answer = await world.client.post(GATEWAY + path, json={"model": "fast", **fields})
        assert upstream.requests
        assert answer.status_code != 500, answer.text
        assert answer.headers["content-type"].startswith("application/json")
        if answer.status_code != 200:
            error_message(dialect, answer.json(), is_whole=True)
        assert await world.is_at_rest()


def _written(answer: Mapping[str, object]) -> bytes:
    try:
        return dumps(cast("JsonObject", answer))
    except InvalidJson:  # integers beyond what the writer takes
        return repr(answer).replace("'", '"').encode()


@pytest.mark.parametrize(("kind", "asked"), _PAIRS)
@settings(
    max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(body=_answers.map(_written) | st.binary(max_size=60))
@example(body=_written(_HUGE))
@example(body=_written(_NO_NUMBERS))
@example(body=b'{"error":5,"input_tokens":1180591620717411303424}')
@example(body=b'{"error":"model requires more system memory"}')
def test_any_answer_is_told_or_passed_on(kind: str, asked: str, body: bytes) -> None:
    trio.run(_hold_to_it, kind, asked, body, clock=MockClock(autojump_threshold=0))
