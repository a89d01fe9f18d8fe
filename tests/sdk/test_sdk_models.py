"""The lists of models, in each client's own types."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime

import anthropic
import httpx
import ollama
import openai
import pytest
from anthropic_speaker import AnthropicSpeaker
from live_gateway import LiveGateway, live_gateway
from ollama_speaker import OllamaSpeaker
from openai_speaker import OpenAISpeaker
from sdk_questions import Question

KEY = "key-of-everything"
NAMES = [
    "fast",
    "team/fast:7b",
    *(
        f"{provider}/sandbox-{kind}{tag}"
        for provider, tag in (("o", ""), ("a", ""), ("l", ":latest"), ("s", ""))
        for kind in ("chat", "thinking", "small")
    ),
]


def context_of(name: str) -> int:
    """As the sandbox lists it, in each dialect in its own way."""
    return 8192 if "small" in name else 200_000


@pytest.fixture(scope="module")
def listing_gateway(http: httpx.Client) -> Iterator[LiveGateway]:
    """With models of its own, and a client that may use only one of them."""
    config = {
        "models": {
            "fast": {"targets": ["o/sandbox-chat"]},
            "team/fast:7b": {"targets": ["a/sandbox-chat"]},
        },
        "clients": {
            "all": {"key": KEY},
            "one": {"key": "key-of-one-model", "models": ["team/fast:7b"]},
        },
    }
    with live_gateway(config) as live:
        # Whoever asks for what nobody knows waits until every provider has told what it has.
        asked = http.post(
            f"{live.url}/api/chat",
            json={"model": "nobody's", "messages": []},
            headers={"authorization": f"Bearer {KEY}"},
        )
        assert asked.status_code == 404
        yield live


def test_openai_lists_and_retrieves(listing_gateway: LiveGateway) -> None:
    """Trap 5: names with slashes and colons, which this client writes as ``%2F``."""
    with OpenAISpeaker(listing_gateway.url, key=KEY) as speaker:
        assert speaker.models() == NAMES
        for name in NAMES:
            model = speaker.client.models.retrieve(name)
            assert (model.id, model.object) == (name, "model")
            assert model.owned_by == ("forebay" if "sandbox" not in name else name[0])
            assert isinstance(model.created, int)
        with pytest.raises(openai.NotFoundError) as missing:
            speaker.client.models.retrieve("team/nobody's")
        assert missing.value.code == "model_not_found"


def test_anthropic_lists_and_retrieves(listing_gateway: LiveGateway) -> None:
    """Trap 1: the same path, told apart by the version header that this client sends."""
    with AnthropicSpeaker(listing_gateway.url, key=KEY) as speaker:
        assert speaker.models() == NAMES
        for name in NAMES:
            model = speaker.client.models.retrieve(name)
            assert (model.id, model.type, model.lifecycle) == (name, "model", "active")
            assert isinstance(model.created_at, datetime)
            assert model.display_name
            assert model.max_input_tokens == context_of(name)
        with pytest.raises(anthropic.NotFoundError) as missing:
            speaker.client.models.retrieve("team/nobody's")
        assert isinstance(missing.value.body, dict)
        assert missing.value.body["error"]["type"] == "not_found_error"


def test_ollama_lists_shows_and_tells_what_runs(listing_gateway: LiveGateway) -> None:
    """Traps 73 and 74."""
    tagged = [name if ":" in name else f"{name}:latest" for name in NAMES]
    with OllamaSpeaker(listing_gateway.url, key=KEY) as speaker:
        client = speaker.client
        assert speaker.models() == tagged
        listed = client.list().models
        for model in listed:
            assert isinstance(model.modified_at, datetime)
            assert model.modified_at.tzinfo is not None
            assert re.fullmatch(r"[0-9a-f]{64}", model.digest or "")
            assert model.details is not None
            assert model.size is not None
        assert len({model.digest for model in listed}) == len(listed)
        running = client.ps().models
        assert [model.model for model in running] == tagged
        for one in running:
            assert one.expires_at is not None
            assert one.expires_at > datetime.now(UTC)
            assert isinstance(one.context_length, int)
        for name in (*NAMES, *tagged):
            shown = client.show(name)
            assert shown.capabilities is not None
            assert "completion" in shown.capabilities
            assert shown.modelinfo is not None
            architecture = shown.modelinfo["general.architecture"]
            assert shown.modelinfo[f"{architecture}.context_length"] == context_of(name)
        contexts = [one.context_length for one in running]
        assert contexts == [context_of(name) for name in NAMES]
        with pytest.raises(ollama.ResponseError, match="not found") as missing:
            client.show("team/nobody's")
        assert missing.value.status_code == 404
        # As this client asks for a model that it took from the list.
        said = speaker.ask(Question(text="hello", model="fast:latest"), stream=True)
        assert said.model == "fast:latest"


def test_a_client_sees_only_the_models_that_it_may_use(listing_gateway: LiveGateway) -> None:
    url, key = listing_gateway.url, "key-of-one-model"
    with (
        OpenAISpeaker(url, key=key) as by_openai,
        AnthropicSpeaker(url, key=key) as by_anthropic,
        OllamaSpeaker(url, key=key) as by_ollama,
    ):
        assert by_openai.models() == by_anthropic.models() == by_ollama.models() == ["team/fast:7b"]
        assert by_openai.client.models.retrieve("team/fast:7b").id == "team/fast:7b"
        with pytest.raises(openai.NotFoundError):
            by_openai.client.models.retrieve("fast")


@pytest.mark.parametrize("path", ["/v1/models/team%2Ffast:7b", "/v1/models/team/fast%3A7b"])
def test_both_spellings_of_a_slash_find_the_model(
    listing_gateway: LiveGateway, http: httpx.Client, path: str
) -> None:
    """Trap 5."""
    answer = http.get(listing_gateway.url + path, headers={"authorization": f"Bearer {KEY}"})
    assert (answer.status_code, answer.json()["id"]) == (200, "team/fast:7b")


def test_the_version_header_decides_the_shape_of_the_list(
    listing_gateway: LiveGateway, http: httpx.Client
) -> None:
    """Trap 1."""
    url, key = f"{listing_gateway.url}/v1/models", {"x-api-key": KEY}
    by_anthropic = http.get(url, headers={**key, "anthropic-version": "2023-06-01"}).json()
    assert set(by_anthropic) == {"data", "has_more", "first_id", "last_id"}
    assert {model["type"] for model in by_anthropic["data"]} == {"model"}
    by_openai = http.get(url, headers=key, params={"stream": "true"}).json()
    assert by_openai["object"] == "list"
    assert {model["object"] for model in by_openai["data"]} == {"model"}
    assert json.dumps(by_openai).count('"id"') == len(NAMES)


def test_tools_find_an_ollama_server(listing_gateway: LiveGateway, http: httpx.Client) -> None:
    headers = {"authorization": f"Bearer {KEY}"}
    greeting = http.get(listing_gateway.url, headers=headers)
    assert (greeting.status_code, greeting.text) == (200, "Ollama is running")
    assert http.head(listing_gateway.url, headers=headers).status_code == 200
    version = http.get(f"{listing_gateway.url}/api/version", headers=headers).json()
    assert re.fullmatch(r"\d+\.\d+\.\d+", version["version"])
