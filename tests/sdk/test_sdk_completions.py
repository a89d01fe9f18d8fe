"""OpenAI's older completions by the official client, over every kind of upstream."""

from __future__ import annotations

import json
from typing import Any, cast

import openai
import pytest
from live_gateway import LiveGateway, live_gateway
from openai.types import Completion
from openai_speaker import OpenAISpeaker
from sdk_questions import Speaker
from sdk_speakers import OpenSpeaker, both_ways
from sdk_wire import read_strictly

UPSTREAMS = ("o", "a", "l", "s")
over_all = pytest.mark.parametrize("upstream", UPSTREAMS)
COMPLETING = ("o", "s")
"""The upstreams with an API for it; the others chat."""


@pytest.fixture
def client(speakers: dict[str, Speaker]) -> OpenAISpeaker:
    return cast("OpenAISpeaker", speakers["openai"])


@pytest.fixture
def straight(direct_speakers: dict[str, Speaker]) -> OpenAISpeaker:
    return cast("OpenAISpeaker", direct_speakers["openai"])


def complete(client: OpenAISpeaker, *, stream: bool, **arguments: object) -> list[tuple[str, str]]:
    """Text and end of each answer."""
    completions: Any = client.client.completions
    if not stream:
        whole = completions.create(**arguments)
        said = json.loads(client.wire.last.body)
        for choice in said["choices"]:
            choice.pop("stop_reason", None)  # which stop sequence was met, as vLLM says it
        read_strictly(Completion, json.dumps(said))
        assert [choice.index for choice in whole.choices] == list(range(len(whole.choices)))
        return [(choice.text, choice.finish_reason) for choice in whole.choices]
    texts: dict[int, str] = {}
    ends: dict[int, str] = {}
    for chunk in completions.create(
        **arguments, stream=True, stream_options={"include_usage": True}
    ):
        for choice in chunk.choices:
            texts[choice.index] = texts.get(choice.index, "") + choice.text
            if choice.finish_reason is not None:
                ends[choice.index] = choice.finish_reason
    datas = [data for _, data in client.wire.last.frames]
    assert datas.pop() == "[DONE]"
    assert [json.loads(data)["usage"] is not None for data in datas].index(True) == len(datas) - 1
    assert texts.keys() == ends.keys()
    return [(texts[index], ends[index]) for index in range(len(texts))]


CASES: dict[str, dict[str, Any]] = {
    "plain": {"prompt": "hello", "max_tokens": 60},
    "unicode": {"prompt": "Grüße, 世界 🌍", "max_tokens": 60},
    "length": {"prompt": "one two three", "max_tokens": 5},
    "stop": {"prompt": "one STOP two", "stop": ["STOP"], "max_tokens": 60},
    "refusal": {"prompt": "please refuse", "max_tokens": 60},
    "two prompts": {"prompt": ["one", "two"], "max_tokens": 60},
    "two prompts, two answers": {"prompt": ["one", "two"], "max_tokens": 60, "n": 2},
}


@both_ways
@over_all
@pytest.mark.parametrize("case", CASES)
def test_completions_come_through_as_the_upstream_gives_them(
    gateway: LiveGateway,
    client: OpenAISpeaker,
    straight: OpenAISpeaker,
    upstream: str,
    case: str,
    stream: bool,
) -> None:
    arguments = CASES[case]
    before = gateway.statistics()
    heard = complete(client, stream=stream, model=f"{upstream}/sandbox-chat", **arguments)
    after = gateway.statistics()
    wanted = complete(straight, stream=stream, model="sandbox-chat", **arguments)
    if upstream == "l" and case == "refusal":
        wanted = [(text, "stop") for text, _ in wanted]  # Ollama has no word for it
    if case == "two prompts, two answers" and upstream not in COMPLETING:
        # Each is asked for by itself, and so each is the first of its prompt.
        wanted = [wanted[0], wanted[0], wanted[2], wanted[2]]
    assert heard == wanted
    split = upstream not in COMPLETING
    assert after.started - before.started == (len(heard) if split else 1)
    last = client.wire.last
    usage = (json.loads(last.frames[-2][1]) if stream else json.loads(last.body))["usage"]
    assert usage["prompt_tokens"] == after.input_tokens - before.input_tokens
    assert usage["completion_tokens"] == after.output_tokens - before.output_tokens
    assert last.headers["x-forebay-target"].startswith(f"{upstream}/sandbox-chat")


@pytest.mark.parametrize("upstream", COMPLETING)
def test_echo_and_logprobs_come_from_who_has_them(client: OpenAISpeaker, upstream: str) -> None:
    answer = client.client.completions.create(
        model=f"{upstream}/sandbox-chat", prompt="hello", echo=True, logprobs=2, max_tokens=3
    )
    (choice,) = answer.choices
    assert choice.text.startswith("helloYou said")
    assert choice.logprobs is not None
    assert choice.logprobs.tokens is not None
    assert "".join(choice.logprobs.tokens) == choice.text
    assert choice.logprobs.token_logprobs is not None
    assert choice.logprobs.token_logprobs[0] is None


@pytest.mark.parametrize("upstream", ["a", "l"])
@pytest.mark.parametrize(
    "fields",
    [{"echo": True}, {"logprobs": 2}, {"best_of": 2}, {"prompt": [1, 2]}],
    ids=lambda fields: next(iter(fields)),
)
def test_what_a_chat_cannot_do_names_the_field(
    client: OpenAISpeaker, upstream: str, fields: dict[str, Any]
) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        client.client.completions.create(
            **{"model": f"{upstream}/sandbox-chat", "prompt": "hello", **fields}
        )
    assert refused.value.param == next(iter(fields))


@over_all
def test_a_failure_in_the_stream_is_an_error_of_the_client(
    open_speaker: OpenSpeaker, upstream: str
) -> None:
    fault = "[[fault: error-midstream=2]]"
    with live_gateway() as live:
        client = cast("OpenAISpeaker", open_speaker("openai", live.url, max_retries=2))
        stream = client.client.completions.create(
            model=f"{upstream}/sandbox-chat",
            prompt=[fault, f"{fault} again"],
            max_tokens=60,
            stream=True,
        )
        assert next(stream).choices[0].text
        with pytest.raises(client.failures):
            list(stream)
        assert len(client.wire.exchanges) == 1
