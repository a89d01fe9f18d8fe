"""What passes through whole, asked by the official packages: OpenAI's, Azure's and Ollama's."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator

import httpx2
import pytest
from imitation import Imitated, Imitation, Received, live_imitation
from live_gateway import LiveGateway, live_gateway
from ollama import Client, ResponseError
from openai import AzureOpenAI, BadRequestError, NotFoundError, OpenAI

SOUND = bytes(range(256)) * 300
PICTURE = base64.b64encode(b"a picture").decode()
MODELS: list[str] = []


def _picture(request: Received) -> Imitated:
    if request.headers["content-type"] == "application/json" and json.loads(request.body).get(
        "stream"
    ):
        usage = '"usage":{"input_tokens":1,"output_tokens":2,"total_tokens":3}'
        fields = f'"b64_json":"{PICTURE}","created_at":1,"background":"auto",{usage}'
        return Imitated(
            (
                f"event: image_generation.completed\ndata: "
                f'{{"type":"image_generation.completed",{fields}}}\n\n'.encode(),
            ),
            "text/event-stream",
        )
    return Imitated(f'{{"created":1,"data":[{{"b64_json":"{PICTURE}"}}]}}'.encode())


def _transcript(request: Received) -> Imitated:
    if b"\r\n\r\nsrt\r\n" in request.body:
        return Imitated(b"1\n00:00 --> 00:01\nhello\n", "text/plain")
    usage = b'{"type":"duration","seconds":3}'
    return Imitated(b'{"text":"%d bytes","usage":%b}' % (request.body.count(SOUND), usage))


def _tags(_: Received) -> Imitated:
    return Imitated(json.dumps({"models": [{"name": m, "model": m} for m in MODELS]}).encode())


def _pull(request: Received) -> Imitated:
    fields = json.loads(request.body)
    MODELS.append(fields["model"])
    if not fields.get("stream"):
        return Imitated(b'{"status":"success"}')
    lines = (b'{"status":"pulling","total":9,"completed":4}\n', b'{"status":"success"}\n')
    return Imitated(lines, "application/x-ndjson")


def _delete(request: Received) -> Imitated:
    name = json.loads(request.body)["model"]
    if name not in MODELS:
        return Imitated(b'{"error":"model not found"}', status=404)
    MODELS.remove(name)
    return Imitated(b"", "text/plain")


@pytest.fixture(scope="module")
def upstream() -> Imitation:
    moderation = (
        b'{"id":"modr-1","model":"m","results":[{"flagged":true,"categories":{},'
        b'"category_scores":{},"category_applied_input_types":{}}]}'
    )
    chat = (
        b'{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,'
        b'"finish_reason":"stop","message":{"role":"assistant","content":"hi","refusal":null}}]}'
    )
    return Imitation(
        {
            "POST /v1/images/generations": _picture,
            "POST /v1/images/edits": _picture,
            "POST /v1/images/variations": _picture,
            "POST /v1/audio/speech": Imitated((SOUND[:9], SOUND[9:]), "audio/mpeg"),
            "POST /v1/audio/transcriptions": _transcript,
            "POST /v1/audio/translations": _transcript,
            "POST /v1/moderations": Imitated(moderation),
            "POST /v1/chat/completions": Imitated(chat),
            "GET /api/tags": _tags,
            "POST /api/pull": _pull,
            "POST /api/push": Imitated(b'{"status":"success"}'),
            "POST /api/create": Imitated(b'{"status":"success"}'),
            "POST /api/copy": Imitated(b"", "text/plain"),
            "DELETE /api/delete": _delete,
        }
    )


@pytest.fixture(scope="module")
def relaying(upstream: Imitation) -> Iterator[LiveGateway]:
    with live_imitation(upstream) as url:
        providers: dict[str, dict[str, object]] = {
            "other": {"kind": "openai_compatible", "base_url": f"{url}/v1"},
            "oai": {"kind": "openai", "base_url": f"{url}/v1", "api_key": "key-of-oai"},
            # The usual one of the tests, at this server.
            "l": {"kind": "ollama", "hosts": [url]},
        }
        models = {"any": {"targets": ["other/real-model"]}}
        with live_gateway({"models": models}, providers=providers) as live:
            yield live


@pytest.fixture
def http2() -> Iterator[httpx2.Client]:
    with httpx2.Client(trust_env=False, verify=False, timeout=20) as client:
        yield client


@pytest.fixture
def openai(relaying: LiveGateway, http2: httpx2.Client) -> OpenAI:
    return OpenAI(base_url=f"{relaying.url}/v1", api_key="any", http_client=http2, max_retries=0)


@pytest.fixture
def azure(relaying: LiveGateway, http2: httpx2.Client) -> AzureOpenAI:
    return AzureOpenAI(
        azure_endpoint=relaying.url,
        api_key="any",
        api_version="2024-10-21",
        http_client=http2,
        max_retries=0,
    )


@pytest.fixture
def ollama(relaying: LiveGateway) -> Iterator[Client]:
    MODELS[:] = ["old:latest"]
    client = Client(host=relaying.url, trust_env=False, verify=False)
    with client:
        yield client


def test_openai_images(openai: OpenAI, upstream: Imitation) -> None:
    made = openai.images.generate(model="any", prompt="a cat")
    assert made.data is not None
    assert made.data[0].b64_json == PICTURE
    assert json.loads(upstream.last.body) == {"model": "real-model", "prompt": "a cat"}
    edited = openai.images.edit(model="any", image=("cat.png", SOUND), prompt="a dog")
    assert edited.data is not None
    assert SOUND in upstream.last.body
    assert b"\r\n\r\nreal-model\r\n" in upstream.last.body
    with pytest.warns(DeprecationWarning, match="deprecated"):
        varied = openai.images.create_variation(model="any", image=("cat.png", SOUND))
    assert varied.data is not None


def test_openai_streams_images(openai: OpenAI) -> None:
    events = list(openai.images.generate(model="any", prompt="a cat", stream=True))
    assert [event.type for event in events] == ["image_generation.completed"]
    assert events[0].b64_json == PICTURE


def test_openai_speech(openai: OpenAI) -> None:
    with openai.audio.speech.with_streaming_response.create(
        model="any", voice="alloy", input="hello"
    ) as speech:
        assert speech.headers["content-type"] == "audio/mpeg"
        assert b"".join(speech.iter_bytes()) == SOUND


def test_openai_transcriptions(openai: OpenAI) -> None:
    heard = openai.audio.transcriptions.create(model="any", file=("a.wav", SOUND))
    assert heard.text == "1 bytes"
    subtitles = openai.audio.transcriptions.create(
        model="any", file=("a.wav", SOUND), response_format="srt"
    )
    assert subtitles == "1\n00:00 --> 00:01\nhello\n"
    with pytest.warns(DeprecationWarning, match="deprecated"):
        translated = openai.audio.translations.create(model="any", file=("a.wav", SOUND))
    assert translated.text == "1 bytes"


def test_openai_moderations(openai: OpenAI, upstream: Imitation) -> None:
    assert openai.moderations.create(model="any", input="x").results[0].flagged
    assert json.loads(upstream.last.body)["model"] == "real-model"
    assert openai.moderations.create(input="x").results[0].flagged, "OpenAI chooses the model"
    assert json.loads(upstream.last.body) == {"input": "x"}
    assert upstream.last.headers["authorization"] == "Bearer key-of-oai"


def test_openai_is_told_what_a_model_can_not(openai: OpenAI) -> None:
    with pytest.raises(BadRequestError, match="no target that makes images") as caught:
        openai.images.generate(model="l/old", prompt="a cat")
    assert caught.value.param == "model"
    with pytest.raises(NotFoundError):
        openai.moderations.create(model="nobody", input="x")


def test_azure_clients_need_nothing_but_another_address(
    azure: AzureOpenAI, upstream: Imitation
) -> None:
    answer = azure.chat.completions.create(
        model="any", messages=[{"role": "user", "content": "hello"}]
    )
    assert answer.choices[0].message.content == "hi"
    assert upstream.last.path == "/v1/chat/completions"
    assert json.loads(upstream.last.body)["model"] == "real-model"
    made = azure.images.generate(model="other/real-model", prompt="a cat")
    assert made.data is not None
    assert azure.audio.transcriptions.create(model="any", file=("a.wav", SOUND)).text == "1 bytes"
    assert azure.moderations.create(model="any", input="x").results[0].flagged
    assert "any" in [model.id for model in azure.models.list()]


def test_an_azure_client_of_one_deployment(relaying: LiveGateway, http2: httpx2.Client) -> None:
    client = AzureOpenAI(
        azure_endpoint=relaying.url,
        azure_deployment="any",
        api_key="any",
        api_version="2024-10-21",
        http_client=http2,
        max_retries=0,
    )
    answer = client.chat.completions.create(
        model="whatever stands here", messages=[{"role": "user", "content": "hello"}]
    )
    assert answer.choices[0].message.content == "hi"
    assert client.images.edit(model="ignored", image=("c.png", SOUND), prompt="x").data is not None


def test_ollama_pulls_and_deletes(ollama: Client) -> None:
    assert ollama.pull("new:1b").status == "success"
    assert "l/new:1b" in [model.model for model in ollama.list().models]
    progress = list(ollama.pull("l/newer:1b", stream=True))
    assert [(step.status, step.completed) for step in progress] == [
        ("pulling", 4),
        ("success", None),
    ]
    assert ollama.delete("l/newer:1b").status == "success"
    assert "l/newer:1b" not in [model.model for model in ollama.list().models]
    with pytest.raises(ResponseError, match="model not found") as caught:
        ollama.delete("gone")
    assert caught.value.status_code == 404


def test_ollama_creates_copies_and_pushes(ollama: Client, upstream: Imitation) -> None:
    assert ollama.create("mine", from_="l/old", system="be brief").status == "success"
    assert json.loads(upstream.to("/api/create")[-1].body)["from"] == "old"
    assert ollama.copy("l/old", "l/kept").status == "success"
    assert json.loads(upstream.to("/api/copy")[-1].body) == {
        "source": "old",
        "destination": "kept",
    }
    assert ollama.push("l/me/mine").status == "success"
    with pytest.raises(ResponseError, match="is no Ollama server") as caught:
        ollama.pull("other/real-model")
    assert caught.value.status_code == 400
