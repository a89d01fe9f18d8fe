"""The gateway before a real llama.cpp server, asked with the official SDKs.

What llama.cpp's imitation says it does, it does here.
"""

from __future__ import annotations

import base64
import json
import struct
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import httpx
import pytest
from live_gateway import LiveGateway, live_gateway
from real_llama import NAME, busy_slots, real_llama
from sdk_questions import City, End, Question, Said, Speaker, Tool
from sdk_speakers import CLIENTS, both_ways
from sdk_wire import as_it_comes
from tiny_gguf import WORDS

each_client = pytest.mark.parametrize("client", CLIENTS)
each_way = pytest.mark.parametrize("way", ["", "-messages"], ids=["chat", "messages"])
"""By which of the server's APIs."""
CHATS = "/v1/chat/completions"
LONG = {
    "messages": [{"role": "user", "content": "hello"}],
    "max_tokens": 1900,
    "ignore_eos": True,
}
"""What keeps a slot busy for a while."""


def get(url: str) -> dict[str, Any]:
    answer = httpx.get(url, trust_env=False, timeout=20).raise_for_status().json()
    assert isinstance(answer, dict)
    return answer


def post(url: str, body: dict[str, object]) -> httpx.Response:
    return httpx.post(url, json=body, trust_env=False, timeout=60)


def until(is_so: Callable[[], bool], *, seconds: float = 20.0) -> None:
    began = time.monotonic()
    while not is_so():
        assert time.monotonic() - began < seconds
        time.sleep(0.005)


def provider(gateway: LiveGateway, name: str) -> dict[str, Any]:
    providers = get(f"{gateway.url}/forebay/status")["providers"]
    (found,) = [each for each in providers if each["name"] == name]
    assert isinstance(found, dict)
    return found


def hear(speaker: Speaker, client: str, way: str, question: Question, *, stream: bool) -> Said:
    """Ask by one of the server's APIs; where that is the client's own, the answer is as the server
    writes it."""
    is_passed_on = (client, way) in (("openai", ""), ("anthropic", "-messages"))
    with as_it_comes() if is_passed_on else nullcontext():
        return speaker.ask(question, stream=stream)


@both_ways
@each_way
@each_client
def test_a_chat_is_answered(
    speakers: dict[str, Speaker], client: str, way: str, stream: bool
) -> None:
    question = Question(text="What is a forebay?", model=f"words{way}/{NAME}", max_tokens=12)
    said = hear(speakers[client], client, way, question, stream=stream)
    assert said.text
    assert set(said.text.split()) <= {*WORDS}
    assert said.end is (End.LENGTH if said.output_tokens == 12 else End.DONE)
    assert len(said.text.split()) in (said.output_tokens, said.output_tokens - 1)
    assert said.input_tokens > 0
    assert not stream or said.fragments > 1


@both_ways
@each_way
@each_client
def test_a_tool_is_called_and_its_result_taken(
    speakers: dict[str, Speaker], client: str, way: str, stream: bool
) -> None:
    weather = Tool("weather")
    question = Question(text="Weather in Oslo?", model=f"calls{way}/{NAME}", tools=(weather,))
    said = hear(speakers[client], client, way, question, stream=stream)
    assert [(call.name, call.arguments) for call in said.calls] == [("weather", {"city": "Oslo"})]
    assert said.end is End.TOOLS
    history = ((said, ("It rains.",)),)
    again = Question(
        text="Weather in Oslo?", model=f"words{way}/{NAME}", tools=(weather,), history=history
    )
    assert hear(speakers[client], client, way, again, stream=stream).text


@both_ways
@each_client
def test_a_schema_is_followed(speakers: dict[str, Speaker], client: str, stream: bool) -> None:
    question = Question(text="A city", model=f"city/{NAME}", wants_city=True)
    said = hear(speakers[client], client, "", question, stream=stream)
    assert City.model_validate_json(said.text) == City(name="Oslo", inhabitants=717710)


def test_a_schema_is_forced(gateway: LiveGateway) -> None:
    schema = {
        "type": "object",
        "properties": {"city": {"const": "Oslo"}},
        "required": ["city"],
        "additionalProperties": False,
    }
    form = {"type": "json_schema", "json_schema": {"name": "a", "schema": schema}}
    body = {**LONG, "model": f"words/{NAME}", "ignore_eos": False, "response_format": form}
    answer = post(gateway.url + CHATS, body)
    assert json.loads(answer.json()["choices"][0]["message"]["content"]) == {"city": "Oslo"}


@each_way
@each_client
def test_a_prompt_that_is_too_long_is_told(
    speakers: dict[str, Speaker], client: str, way: str
) -> None:
    speaker = speakers[client]
    with pytest.raises(speaker.failures) as failure:
        speaker.ask(Question(text="river " * 900, model=f"words{way}/{NAME}"), stream=False)
    assert getattr(failure.value, "status_code", None) == 400
    assert ("prompt is too long" in str(failure.value)) or client != "anthropic"


def test_vectors_are_the_servers_own(gateway: LiveGateway, servers: dict[str, str]) -> None:
    inputs = ["a river", "a mill"]
    body: dict[str, object] = {"model": NAME, "input": inputs}
    direct = post(f"{servers['embeds']}/v1/embeddings", body).json()
    expected = [item["embedding"] for item in direct["data"]]
    body["model"] = f"embeds/{NAME}"
    answer = post(f"{gateway.url}/v1/embeddings", body).json()
    assert [item["embedding"] for item in answer["data"]] == expected
    coded = post(f"{gateway.url}/v1/embeddings", {**body, "encoding_format": "base64"}).json()
    packed = base64.b64decode(coded["data"][0]["embedding"])
    numbers = struct.unpack(f"<{len(packed) // 4}f", packed)
    assert numbers == pytest.approx(expected[0], abs=1e-5)
    ollamas = post(f"{gateway.url}/api/embed", body).json()
    assert ollamas["embeddings"][1] == pytest.approx(expected[1], abs=1e-5)


def test_a_server_without_embeddings_says_so_to_the_client(gateway: LiveGateway) -> None:
    answer = post(f"{gateway.url}/v1/embeddings", {"model": f"words/{NAME}", "input": "a"})
    assert answer.status_code >= 400
    assert "embeddings" in answer.json()["error"]["message"]


def test_a_text_is_gone_on_with(gateway: LiveGateway) -> None:
    body: dict[str, object] = {"model": f"words/{NAME}", "prompt": "The mill", "max_tokens": 5}
    answer = post(f"{gateway.url}/v1/completions", body).json()
    assert set(answer["choices"][0]["text"].split()) <= {*WORDS}


def test_what_the_server_tells_of_itself_is_known(gateway: LiveGateway) -> None:
    post(gateway.url + CHATS, {**LONG, "model": f"words/{NAME}", "max_tokens": 1})
    until(lambda: "words: slots (told)" in str(provider(gateway, "words")))
    (target,) = [
        each for each in provider(gateway, "words")["targets"] if each["name"] == f"words/{NAME}"
    ]
    assert target["gates"]["words: slots (told)"]["limit"] == 2
    shown = post(f"{gateway.url}/api/show", {"model": f"words/{NAME}"}).json()
    assert shown["model_info"]["forebay.context_length"] == 2048
    assert "tools" in shown["capabilities"]
    assert "vision" not in shown["capabilities"]


def test_twelve_at_once_wait_here_and_not_in_the_server(
    gateway: LiveGateway, servers: dict[str, str]
) -> None:
    test_what_the_server_tells_of_itself_is_known(gateway)
    body = {**LONG, "model": f"words/{NAME}", "max_tokens": 400}

    def deferred() -> float:
        pages = httpx.get(f"{servers['words']}/metrics", trust_env=False).text
        (line,) = [
            line for line in pages.splitlines() if line.startswith("llamacpp:requests_deferred ")
        ]
        return float(line.split()[1])

    with ThreadPoolExecutor(12) as executor:
        asked = [executor.submit(post, gateway.url + CHATS, body) for _ in range(12)]
        seen = []
        while not all(each.done() for each in asked):
            seen.append(deferred())
        answers = [each.result() for each in asked]
    assert {answer.status_code for answer in answers} == {200}
    assert all(answer.json()["usage"]["completion_tokens"] == 400 for answer in answers)
    assert max(seen) == 0, "the server never made a request wait"


def test_a_client_that_leaves_frees_the_servers_slot(
    gateway: LiveGateway, servers: dict[str, str]
) -> None:
    body = {**LONG, "model": f"words/{NAME}", "stream": True}
    with (
        httpx.Client(trust_env=False, timeout=20) as client,
        client.stream("POST", gateway.url + CHATS, json=body) as answer,
    ):
        assert next(answer.iter_bytes())
    until(lambda: busy_slots(servers["words"]) == 0)
    until(lambda: get(f"{gateway.url}/forebay/status")["in_flight"] == 0)


def test_a_wrong_key_takes_the_provider_out(gateway: LiveGateway) -> None:
    answer = post(gateway.url + CHATS, {**LONG, "model": f"key/{NAME}"})
    assert answer.status_code == 503
    told = provider(gateway, "key")
    assert "401" in told["listing"] or "key" in told["listing"]
    (target,) = told["targets"]
    assert target["out"]["reason"] == "the provider rejects the key"


def test_those_who_wait_are_answered_when_a_server_comes_back(tmp_path: Path) -> None:
    with real_llama(tmp_path) as url:
        port = int(url.rpartition(":")[2])
    settings = {"kind": "openai_compatible", "base_url": f"{url}/v1"}
    with live_gateway(providers={"away": settings}) as live, ThreadPoolExecutor(3) as executor:
        body = {**LONG, "model": f"away/{NAME}", "max_tokens": 3}
        asked = [executor.submit(post, live.url + CHATS, body) for _ in range(3)]
        until(lambda: get(f"{live.url}/forebay/status")["waiting"] == 3)
        with real_llama(tmp_path, port=port):
            assert [each.result(20).status_code for each in asked] == [200] * 3


def test_tokens_are_counted_as_the_server_counts_them(
    gateway: LiveGateway, servers: dict[str, str]
) -> None:
    said = {"messages": [{"role": "user", "content": "What is a forebay?"}]}
    path = "/v1/messages/count_tokens"
    direct = post(servers["words"] + path, {**said, "model": NAME}).json()["input_tokens"]
    answer = post(gateway.url + path, {**said, "model": f"words-messages/{NAME}"})
    assert answer.json()["input_tokens"] == direct > 10
    assert "x-forebay-estimated" not in answer.headers


@each_way
def test_a_response_is_answered(gateway: LiveGateway, way: str) -> None:
    body: dict[str, object] = {
        "model": f"words{way}/{NAME}",
        "input": "What is a forebay?",
        "max_output_tokens": 30,
    }
    answer = post(f"{gateway.url}/v1/responses", body).json()
    (item,) = answer["output"]
    assert set(item["content"][0]["text"].split()) <= {*WORDS}
    again = {**body, "previous_response_id": answer["id"], "input": "And a mill?"}
    second = post(f"{gateway.url}/v1/responses", again).json()
    assert second["usage"]["input_tokens"] > answer["usage"]["input_tokens"]
