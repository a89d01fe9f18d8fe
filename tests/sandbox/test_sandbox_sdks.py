"""The official clients against the sandbox, over real loopback TCP.

The clients are the synchronous ones, in a thread; the asynchronous ones would need asyncio.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Awaitable, Callable
from typing import TypeVar

import anthropic
import ollama
import openai
import pytest
import trio
from pydantic import BaseModel

from forebay.endpoints.sandbox import LimitHeaders, Sandbox, SandboxOptions

Listen = Callable[[Sandbox], Awaitable[int]]
T = TypeVar("T")

KEY = "sandbox-key"
UNICODE = "Grüße, 世界 🌍"
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(60)).decode()


class City(BaseModel):
    name: str
    inhabitants: int


async def in_thread(work: Callable[[], T]) -> T:
    with trio.fail_after(20):
        return await trio.to_thread.run_sync(work, abandon_on_cancel=True)


@pytest.fixture
async def port(listen: Listen) -> int:
    return await listen(Sandbox(SandboxOptions(api_key=KEY)))


def openai_client(port: int, key: str = KEY) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key=key, max_retries=0)


def anthropic_client(port: int, key: str = KEY) -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=f"http://127.0.0.1:{port}", api_key=key, max_retries=0)


def ollama_client(port: int, key: str = KEY) -> ollama.Client:
    return ollama.Client(
        host=f"http://127.0.0.1:{port}", headers={"authorization": f"Bearer {key}"}
    )


async def test_openai_chat_stream_and_models(port: int) -> None:
    def work() -> None:
        with openai_client(port) as client:
            answer = client.chat.completions.create(
                model="sandbox-chat", messages=[{"role": "user", "content": UNICODE}]
            )
            text = answer.choices[0].message.content
            assert text is not None
            assert text.startswith(f"You said: {UNICODE}\n")
            assert answer._request_id is not None
            with client.chat.completions.stream(
                model="sandbox-thinking",
                messages=[{"role": "user", "content": UNICODE}],
                stream_options={"include_usage": True},
            ) as stream:
                streamed = stream.get_final_completion()
            assert streamed.choices[0].message.content == text
            assert streamed.usage is not None
            assert streamed.usage.completion_tokens_details is not None
            assert streamed.usage.completion_tokens_details.reasoning_tokens
            names = [model.id for model in client.models.list()]
            assert names == ["sandbox-chat", "sandbox-thinking", "sandbox-small"]
            assert client.models.retrieve("sandbox-small").id == "sandbox-small"

    await in_thread(work)


async def test_openai_tools_schema_and_image(port: int) -> None:
    def work() -> None:
        with openai_client(port) as client:
            with client.chat.completions.stream(
                model="sandbox-chat",
                messages=[{"role": "user", "content": "use all tools"}],
                tools=[
                    {
                        "type": "function",
                        "function": {
                            "name": name,
                            "parameters": {
                                "type": "object",
                                "properties": {"city": {"type": "string"}},
                            },
                        },
                    }
                    for name in ("weather", "news")
                ],
            ) as stream:
                choice = stream.get_final_completion().choices[0]
            assert choice.finish_reason == "tool_calls"
            calls = choice.message.tool_calls
            assert calls is not None
            assert [call.function.name for call in calls] == ["weather", "news"]
            assert all(json.loads(call.function.arguments)["city"] for call in calls)
            parsed = client.chat.completions.parse(
                model="sandbox-chat",
                messages=[{"role": "user", "content": "a city"}],
                response_format=City,
            )
            assert isinstance(parsed.choices[0].message.parsed, City)
            image_url = {"url": f"data:image/png;base64,{PNG}"}
            seen = client.chat.completions.create(
                model="sandbox-chat",
                messages=[
                    {
                        "role": "user",
                        "content": [
                            {"type": "text", "text": "look"},
                            {"type": "image_url", "image_url": {"url": image_url["url"]}},
                        ],
                    }
                ],
            )
            assert "1 image: image/png (68 bytes)" in (seen.choices[0].message.content or "")

    await in_thread(work)


async def test_openai_errors_raise_their_classes(port: int) -> None:
    def work() -> None:
        with openai_client(port) as client:

            def ask(text: str, model: str = "sandbox-chat") -> None:
                client.chat.completions.create(
                    model=model, messages=[{"role": "user", "content": text}]
                )

            with pytest.raises(openai.NotFoundError):
                ask("hi", model="none")
            with pytest.raises(openai.BadRequestError) as bad:
                ask("[[fault: context]]")
            assert bad.value.code == "context_length_exceeded"
            with pytest.raises(openai.RateLimitError) as limited:
                ask("[[fault: 429=2]]")
            assert limited.value.response.headers["retry-after"] == "2"
            with pytest.raises(openai.InternalServerError):
                ask("[[fault: 503]]")
            with pytest.raises(openai.APIConnectionError):
                ask("[[fault: reset]]")
            stream = client.chat.completions.create(
                model="sandbox-chat",
                messages=[{"role": "user", "content": "[[fault: error-midstream=3]]"}],
                stream=True,
            )
            with pytest.raises(openai.APIError, match="overloaded"):
                list(stream)
        with (
            openai_client(port, "wrong") as stranger,
            pytest.raises(openai.AuthenticationError),
        ):
            stranger.models.list()

    await in_thread(work)


async def test_an_sdks_own_retry_obeys_and_gets_past_a_fault(listen: Listen) -> None:
    port = await listen(Sandbox(SandboxOptions(limit_headers=LimitHeaders.OPENAI)))

    def work() -> None:
        with openai_client(port).with_options(max_retries=2) as client:
            answer = client.chat.completions.with_raw_response.create(
                model="sandbox-chat",
                messages=[{"role": "user", "content": "[[fault: 429=0.001, times=1]]"}],
            )
            assert answer.retries_taken == 1

    await in_thread(work)


async def test_anthropic_chat_stream_tools_and_thinking(port: int) -> None:
    def work() -> None:
        with anthropic_client(port) as client:
            answer = client.messages.create(
                model="sandbox-chat",
                max_tokens=500,
                messages=[{"role": "user", "content": UNICODE}],
            )
            assert answer.content[0].type == "text"
            assert answer.content[0].text.startswith(f"You said: {UNICODE}\n")
            assert answer._request_id is not None
            with client.messages.stream(
                model="sandbox-thinking",
                max_tokens=500,
                messages=[{"role": "user", "content": "use all tools"}],
                tools=[
                    {
                        "name": name,
                        "input_schema": {
                            "type": "object",
                            "properties": {"city": {"type": "string"}},
                        },
                    }
                    for name in ("weather", "news")
                ],
            ) as stream:
                message = stream.get_final_message()
            assert [block.type for block in message.content] == ["thinking", "tool_use", "tool_use"]
            assert message.stop_reason == "tool_use"
            uses = [block for block in message.content if block.type == "tool_use"]
            assert all(isinstance(use.input, dict) and use.input["city"] for use in uses)
            again = client.messages.create(
                model="sandbox-thinking",
                max_tokens=500,
                messages=[
                    {"role": "user", "content": "use all tools"},
                    {"role": "assistant", "content": message.content},
                    {
                        "role": "user",
                        "content": [
                            {"type": "tool_result", "tool_use_id": use.id, "content": "fine"}
                            for use in uses
                        ],
                    },
                ],
            )
            assert again.content[-1].type == "text"
            assert again.content[-1].text == "The tool said: fine\nThe tool said: fine"
            assert next(iter(client.models.list())).id == "sandbox-chat"

    await in_thread(work)


async def test_anthropic_image_schema_and_errors(port: int) -> None:
    def work() -> None:
        with anthropic_client(port) as client:
            seen = client.messages.create(
                model="sandbox-chat",
                max_tokens=500,
                messages=[
                    {
                        "role": "user",
                        "content": [
                            {
                                "type": "image",
                                "source": {
                                    "type": "base64",
                                    "media_type": "image/png",
                                    "data": PNG,
                                },
                            },
                            {"type": "text", "text": "look"},
                        ],
                    }
                ],
            )
            assert seen.content[0].type == "text"
            assert "1 image: image/png (68 bytes)" in seen.content[0].text
            parsed = client.messages.parse(
                model="sandbox-chat",
                max_tokens=500,
                messages=[{"role": "user", "content": "a city"}],
                output_format=City,
            )
            assert isinstance(parsed.parsed_output, City)

            def ask(text: str) -> None:
                client.messages.create(
                    model="sandbox-chat",
                    max_tokens=100,
                    messages=[{"role": "user", "content": text}],
                )

            with pytest.raises(anthropic.RateLimitError):
                ask("[[fault: 429]]")
            with pytest.raises(anthropic.InternalServerError) as overloaded:
                ask("[[fault: 529]]")
            assert overloaded.value.status_code == 529
            with pytest.raises(anthropic.BadRequestError, match="prompt is too long"):
                ask("[[fault: context]]")
            with (
                pytest.raises(anthropic.APIStatusError, match="overloaded_error"),
                client.messages.stream(
                    model="sandbox-chat",
                    max_tokens=100,
                    messages=[{"role": "user", "content": "[[fault: error-midstream=2]]"}],
                ) as stream,
            ):
                stream.get_final_message()
        with (
            anthropic_client(port, "wrong") as stranger,
            pytest.raises(anthropic.AuthenticationError),
        ):
            stranger.models.list()

    await in_thread(work)


async def test_ollama_chat_stream_tools_and_pages(port: int) -> None:
    def work() -> None:
        with ollama_client(port) as client:
            question = [{"role": "user", "content": UNICODE}]
            answer = client.chat(model="sandbox-chat", messages=question)
            text = answer.message.content
            assert text is not None
            assert text.startswith(f"You said: {UNICODE}\n")
            parts = list(client.chat(model="sandbox-thinking", messages=question, stream=True))
            assert "".join(part.message.content or "" for part in parts) == text
            assert "".join(part.message.thinking or "" for part in parts)
            assert parts[-1].done_reason == "stop"
            generated = client.generate(model="sandbox-chat", prompt=UNICODE)
            assert generated.response == text

            def weather(city: str) -> str:
                """Tell the weather.

                Args:
                    city: Where.
                """
                return city

            called = client.chat(
                model="sandbox-chat",
                messages=[{"role": "user", "content": "use the tool"}],
                tools=[weather],
            )
            assert called.message.tool_calls is not None
            assert called.message.tool_calls[0].function.name == "weather"
            assert called.message.tool_calls[0].function.arguments["city"]
            shaped = client.chat(
                model="sandbox-chat",
                messages=[{"role": "user", "content": "a city", "images": [PNG]}],
                format=City.model_json_schema(),
            )
            City.model_validate_json(shaped.message.content or "")
            listed = client.list().models
            assert listed[0].model == "sandbox-chat:latest"
            assert listed[0].modified_at is not None
            assert client.show("sandbox-chat").capabilities == [
                "completion",
                "tools",
                "vision",
                "thinking",
            ]
            assert client.ps().models[0].context_length == 200_000

    await in_thread(work)


async def test_ollama_errors(port: int) -> None:
    def work() -> None:
        with ollama_client(port) as client:

            def ask(text: str, model: str = "sandbox-chat") -> None:
                client.chat(model=model, messages=[{"role": "user", "content": text}])

            with pytest.raises(ollama.ResponseError, match="model 'none' not found"):
                ask("hi", model="none")
            with pytest.raises(ollama.ResponseError, match="server busy") as busy:
                ask("[[fault: 503]]")
            assert busy.value.status_code == 503
            with (
                ollama_client(port, "wrong") as stranger,
                pytest.raises(ollama.ResponseError, match="unauthorized"),
            ):
                stranger.list()
            question = [{"role": "user", "content": "[[fault: error-midstream=2]]"}]
            with pytest.raises(ollama.ResponseError, match="overloaded"):
                list(client.chat(model="sandbox-chat", messages=question, stream=True))

    await in_thread(work)
