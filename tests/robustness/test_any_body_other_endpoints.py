"""Whatever is asked of completions, embeddings and counts, over every kind of provider: it is
served, or told what is wrong with it."""

from __future__ import annotations

import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from spoken_errors import ANTHROPIC, JSON_TYPES, OLLAMA, OPENAI, error_message
from trio.testing import MockClock
from worlds import GATEWAY, open_world

from forebay.protocol.jsontext import InvalidJson, JsonObject, JsonValue, dumps

pytestmark = pytest.mark.usefixtures("no_errors_logged")

KINDS: dict[str, dict[str, object]] = {
    "openai": {"base_url": "http://up.test/v1", "api_key": "k"},
    "openai_compatible": {"base_url": "http://up.test/v1"},
    "anthropic": {"base_url": "http://up.test", "api_key": "k"},
    "ollama": {"hosts": ["http://up.test"]},
    "sandbox": {"base_url": "http://up.test"},
}
PATHS = {
    "/v1/completions": OPENAI,
    "/v1/embeddings": OPENAI,
    "/v1/messages/count_tokens": ANTHROPIC,
    "/api/embed": OLLAMA,
    "/api/embeddings": OLLAMA,
}
VALID: dict[str, JsonObject] = {
    "/v1/completions": {"model": "fast", "prompt": "x"},
    "/v1/embeddings": {"model": "fast", "input": "x"},
    "/v1/messages/count_tokens": {
        "model": "fast",
        "messages": [{"role": "user", "content": "x"}],
    },
    "/api/embed": {"model": "fast", "input": "x"},
    "/api/embeddings": {"model": "fast", "prompt": "x"},
}
_FIELDS = """
    prompt input messages system tools tool_choice thinking suffix echo n best_of logprobs stop
    max_tokens stream stream_options dimensions encoding_format user truncate options keep_alive
    seed temperature logit_bias metadata
"""
_numbers = st.integers(-2, 3) | st.integers(-(2**70), 2**70)
_scalars = (
    st.none()
    | st.booleans()
    | _numbers
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=9)
    | st.sampled_from(["user", "base64", "float", "text", "5m", "auto"])
)
_json = st.recursive(
    _scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["role", "content", "type", "text", "include_usage", "stop", "name"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=8,
)
_texts = st.lists(st.text(max_size=5) | st.lists(_numbers, max_size=3), max_size=4)


async def _hold_to_it(kind: str, path: str, changes: list[JsonObject]) -> None:
    config = {
        "providers": {"up": {"kind": kind, **KINDS[kind]}},
        "models": {"fast": {"targets": ["up/sandbox-chat"]}},
        "wait": {"max_wait_ms": 1000},
    }
    async with open_world(config) as world:
        for changed in changes:
            try:
                body = dumps({**VALID[path], **changed})
            except InvalidJson:  # integers beyond what can be written
                continue
            answer = await world.client.post(GATEWAY + path, content=body)
            if answer.status_code != 200:
                assert 400 <= answer.status_code < 500, (body, answer.text)
                assert answer.headers["content-type"] == JSON_TYPES[PATHS[path]]
                error_message(PATHS[path], answer.json(), is_whole=True)
        assert await world.is_at_rest()
        assert world.gateway.providers["up"].out is None


@pytest.mark.parametrize("kind", KINDS)
@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    path=st.sampled_from(list(PATHS)),
    changes=st.lists(
        st.dictionaries(st.sampled_from(_FIELDS.split()), _json | _texts, max_size=4),
        min_size=6,
        max_size=6,
    ),
)
def test_any_values_in_known_fields_are_served_or_told(
    kind: str, path: str, changes: list[dict[str, JsonValue]]
) -> None:
    clock = MockClock(autojump_threshold=0)
    trio.run(_hold_to_it, kind, path, changes, clock=clock)


@pytest.mark.parametrize("path", PATHS)
async def test_wrong_methods_and_slashes_are_told_in_the_dialect(
    path: str, autojump_clock: MockClock
) -> None:
    async with open_world() as world:
        for method, end, status in (("GET", "", 405), ("DELETE", "", 405), ("POST", "/x", 404)):
            answer = await world.client.request(method, GATEWAY + path + end)
            assert answer.status_code == status
            error_message(PATHS[path], answer.json(), is_whole=True)
            if status == 405:
                assert answer.headers["allow"] == "POST"
