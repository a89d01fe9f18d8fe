"""Asks in OpenAI's dialect, with the official ``openai`` client."""

from __future__ import annotations

import base64
import json
from contextlib import suppress
from typing import Any, ClassVar

import httpx2
import openai
from openai.types.chat import ChatCompletion, ChatCompletionChunk, ParsedChatCompletion
from sdk_questions import City, End, Question, Said, Speaker, ToolCall
from sdk_wire import Exchange, Wire, comes_as_it_is, read_strictly

_ENDS = {
    "stop": End.DONE,
    "length": End.LENGTH,
    "tool_calls": End.TOOLS,
    "content_filter": End.REFUSED,
}


class OpenAISpeaker(Speaker):
    """Over ``chat.completions``."""

    dialect = "openai"
    failures: ClassVar[tuple[type[Exception], ...]] = (openai.APIError, httpx2.HTTPError)

    def __init__(self, url: str, *, key: str = "any-key", max_retries: int = 0) -> None:
        super().__init__(Wire())
        self.client = openai.OpenAI(
            base_url=f"{url}/v1",
            api_key=key,
            max_retries=max_retries,
            http_client=openai.DefaultHttpxClient(
                trust_env=False, verify=False, event_hooks=self.wire.hooks
            ),
        )

    def close(self) -> None:
        self.client.close()

    def models(self) -> list[str]:
        listed = self.client.models.list()
        read_strictly(list[openai.types.Model], json.dumps(_without_our_own(self.wire.last)))
        return [model.id for model in listed]

    def ask(self, question: Question, *, stream: bool) -> Said:
        arguments = _arguments(question)
        chat = self.client.chat.completions
        if stream:
            with chat.stream(**arguments, stream_options={"include_usage": True}) as answer:
                # How this helper tells that an answer was cut at its limit, or refused.
                with suppress(
                    openai.LengthFinishReasonError, openai.ContentFilterFinishReasonError
                ):
                    answer.until_done()
                completion = answer.current_completion_snapshot
            fragments = _read_chunks(self.wire.last)
        else:
            ask = chat.parse if question.wants_city else chat.create
            completion = ask(**arguments)
            assert self.wire.last.headers["content-type"].startswith("application/json")
            read_strictly(ChatCompletion, _plain(bytes(self.wire.last.body)))
            fragments = 0
        return _said(completion, fragments, self.wire.last)


def _arguments(question: Question) -> dict[str, Any]:
    messages: list[dict[str, Any]] = []
    if question.system is not None:
        messages.append({"role": "system", "content": question.system})
    content: object = question.text
    if question.image is not None:
        url = "data:image/png;base64," + base64.b64encode(question.image).decode()
        content = [
            {"type": "text", "text": question.text},
            {"type": "image_url", "image_url": {"url": url}},
        ]
    messages.append({"role": "user", "content": content})
    for said, results in question.history:
        assert isinstance(said.turn, dict)
        messages.append(said.turn)
        messages += [
            {"role": "tool", "tool_call_id": call.id, "content": result}
            for call, result in zip(said.calls, results, strict=True)
        ]
    arguments: dict[str, Any] = {"model": question.model, "messages": messages}
    if question.tools:
        arguments["tools"] = [
            {"type": "function", "function": {"name": tool.name, "parameters": tool.schema}}
            for tool in question.tools
        ]
    if question.must_call:
        arguments["tool_choice"] = "required"
    if question.wants_city:
        arguments["response_format"] = City
    if question.thinks:
        arguments["reasoning_effort"] = "medium"
    if question.stop:
        arguments["stop"] = list(question.stop)
    if question.max_tokens is not None:
        arguments["max_tokens"] = question.max_tokens
    if question.headers:
        arguments["extra_headers"] = question.headers
    return arguments


def _said(
    completion: ChatCompletion | ParsedChatCompletion[City], fragments: int, heard: Exchange
) -> Said:
    assert completion.usage is not None
    assert completion.usage.total_tokens == (
        completion.usage.prompt_tokens + completion.usage.completion_tokens
    )
    (choice,) = completion.choices
    message = choice.message
    assert message.role == "assistant"
    calls = []
    for call in message.tool_calls or []:
        assert call.type == "function"
        calls.append(ToolCall(call.id, call.function.name, json.loads(call.function.arguments)))
    return Said(
        text=message.content or "",
        thinking=getattr(message, "reasoning_content", None) or "",
        calls=tuple(calls),
        end=_ENDS[choice.finish_reason],
        stop_sequence=None,
        input_tokens=completion.usage.prompt_tokens,
        output_tokens=completion.usage.completion_tokens,
        id=completion.id,
        model=completion.model,
        parsed=getattr(message, "parsed", None),
        fragments=fragments,
        turn=message.model_dump(exclude_none=True, exclude={"parsed"}),
        heard=heard,
    )


def _read_chunks(heard: Exchange) -> int:
    """Hold a stream to the rules of chat chunks; how many of them brought content.

    One id, model and time throughout; ``finish_reason`` is there in every choice, null up to the
    last; the usage comes once, with no choices, after the finish and before ``[DONE]``.
    """
    assert heard.headers["content-type"].startswith("text/event-stream")
    frames = heard.frames
    assert all(event is None for event, _ in frames)
    assert frames[-1][1] == "[DONE]"
    for _, data in frames[:-1]:
        read_strictly(ChatCompletionChunk, _plain(data))
    chunks = [json.loads(data) for _, data in frames[:-1]]
    assert len({(chunk["id"], chunk["model"]) for chunk in chunks}) == 1
    # llama.cpp tells the time of each chunk, where OpenAI tells that of the answer.
    assert comes_as_it_is() or len({chunk["created"] for chunk in chunks}) == 1
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"] is not None
    *earlier, last = chunks[:-1]
    assert all(choice["finish_reason"] is None for chunk in earlier for choice in chunk["choices"])
    assert [choice["finish_reason"] is None for choice in last["choices"]] == [False]
    assert all(chunk["choices"] and chunk.get("usage") is None for chunk in (*earlier, last))
    return sum(_brings_content(chunk["choices"][0]["delta"]) for chunk in earlier)


def _brings_content(delta: dict[str, Any]) -> bool:
    calls = delta.get("tool_calls") or []
    return bool(
        delta.get("content")
        or delta.get("reasoning_content")
        or any(call["function"].get("arguments") for call in calls)
    )


def _plain(text: str | bytes) -> str:
    """Without what many servers say beyond OpenAI's types: ``reasoning_content``, and vLLM's
    ``stop_reason``, the stop sequence that was met."""
    value = json.loads(text)
    for choice in value["choices"]:
        choice.pop("stop_reason", None)
        for name in ("message", "delta"):
            choice.get(name, {}).pop("reasoning_content", None)
    return json.dumps(value)


def _without_our_own(heard: Exchange) -> list[dict[str, Any]]:
    """A model list without the fields that other servers add to it too."""
    cards: list[dict[str, Any]] = json.loads(heard.body)["data"]
    extras = ("capabilities", "context_length")
    return [{name: value for name, value in card.items() if name not in extras} for card in cards]
