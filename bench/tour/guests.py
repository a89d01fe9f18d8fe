"""The guests: each of the official SDKs behind one small interface."""

from __future__ import annotations

import base64
import json
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Final

import anthropic
import ollama
import openai
from anthropic.types import Message
from openai.types.chat import ChatCompletion

from tour.questions import (
    CITY_SCHEMA,
    TOOL_NAME,
    TOOL_SCHEMA,
    Assistant,
    Called,
    End,
    Heard,
    Question,
    Refused,
    Result,
    Turn,
    User,
)

_FUNCTION: Final = {"name": TOOL_NAME, "description": "The weather in a city"}
_ANTHROPIC_ENDS: Final = {
    "end_turn": End.DONE,
    "stop_sequence": End.STOP_SEQUENCE,
    "max_tokens": End.LENGTH,
    "tool_use": End.TOOLS,
}
_OPENAI_ENDS: Final = {"stop": End.DONE, "length": End.LENGTH, "tool_calls": End.TOOLS}


class Guest(ABC):
    """One SDK's client. Retries nothing: every answer of the gateway is seen."""

    dialect: str
    path: str
    """Where its chat requests go."""

    @abstractmethod
    def models(self) -> list[str]: ...

    @abstractmethod
    def body(self, model: str, question: Question) -> dict[str, Any]:
        """The request as the SDK takes it, which is how it goes over the wire."""

    @abstractmethod
    def ask(self, model: str, question: Question) -> Heard:
        """A whole answer.

        Raises:
            Refused: an error answer.
        """

    @abstractmethod
    def stream(self, model: str, question: Question) -> Heard:
        """A streamed answer, read to its end. Raises as :meth:`ask`."""

    @abstractmethod
    def streaming(self, model: str, question: Question) -> AbstractContextManager[Iterator[str]]:
        """The texts of a stream, which may be left at any time."""


class OpenAIGuest(Guest):
    dialect = "openai"
    path = "/v1/chat/completions"

    def __init__(self, url: str, key: str = "none") -> None:
        self.client = openai.OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0)

    def models(self) -> list[str]:
        return [model.id for model in self.client.models.list()]

    def body(self, model: str, question: Question) -> dict[str, Any]:
        messages: list[dict[str, Any]] = []
        if question.system is not None:
            messages.append({"role": "system", "content": question.system})
        messages += map(_openai_message, question.turns)
        if question.image is not None:
            url = f"data:image/png;base64,{base64.b64encode(question.image).decode()}"
            image = {"type": "image_url", "image_url": {"url": url}}
            messages[-1]["content"] = [{"type": "text", "text": messages[-1]["content"]}, image]
        body: dict[str, Any] = {"model": model, "messages": messages, "temperature": 0}
        body["max_tokens"] = question.max_tokens
        if question.has_tool:
            function = {**_FUNCTION, "parameters": TOOL_SCHEMA}
            body["tools"] = [{"type": "function", "function": function}]
        if question.wants_city:
            schema = {"name": "city", "schema": CITY_SCHEMA, "strict": True}
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
        if question.stop:
            body["stop"] = list(question.stop)
        return body

    def ask(self, model: str, question: Question) -> Heard:
        with _openai_errors():
            answer = self.client.chat.completions.create(**self.body(model, question))
        return _heard_of_openai(answer, 0)

    def stream(self, model: str, question: Question) -> Heard:
        body = {**self.body(model, question), "stream_options": {"include_usage": True}}
        pieces = 0
        with _openai_errors(), self.client.chat.completions.stream(**body) as stream:
            for event in stream:
                pieces += event.type in ("content.delta", "tool_calls.function.arguments.delta")
            answer = stream.current_completion_snapshot
        return _heard_of_openai(answer, pieces)

    @contextmanager
    def streaming(self, model: str, question: Question) -> Iterator[Iterator[str]]:
        with self.client.chat.completions.create(
            **self.body(model, question), stream=True
        ) as stream:
            yield (chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)


class AnthropicGuest(Guest):
    dialect = "anthropic"
    path = "/v1/messages"

    def __init__(self, url: str, key: str = "none") -> None:
        self.client = anthropic.Anthropic(base_url=url, api_key=key, max_retries=0)

    def models(self) -> list[str]:
        return [model.id for model in self.client.models.list()]

    def body(self, model: str, question: Question) -> dict[str, Any]:
        messages = [_anthropic_message(turn) for turn in question.turns]
        if question.image is not None:
            data = base64.b64encode(question.image).decode()
            source = {"type": "base64", "media_type": "image/png", "data": data}
            text = {"type": "text", "text": messages[-1]["content"]}
            messages[-1]["content"] = [text, {"type": "image", "source": source}]
        body: dict[str, Any] = {"model": model, "messages": messages}
        body["max_tokens"] = question.max_tokens
        if question.system is not None:
            body["system"] = question.system
        if question.has_tool:
            body["tools"] = [{**_FUNCTION, "input_schema": TOOL_SCHEMA}]
        if question.wants_city:
            body["output_config"] = {"format": {"type": "json_schema", "schema": CITY_SCHEMA}}
        if question.stop:
            body["stop_sequences"] = list(question.stop)
        return body

    def ask(self, model: str, question: Question) -> Heard:
        with _anthropic_errors():
            answer = self.client.messages.create(
                **self.body(model, question), extra_body={"temperature": 0}
            )
        return _heard_of_anthropic(answer, 0)

    def stream(self, model: str, question: Question) -> Heard:
        pieces = 0
        with (
            _anthropic_errors(),
            self.client.messages.stream(
                **self.body(model, question), extra_body={"temperature": 0}
            ) as stream,
        ):
            for event in stream:
                pieces += event.type == "content_block_delta"
            answer = stream.get_final_message()
        return _heard_of_anthropic(answer, pieces)

    @contextmanager
    def streaming(self, model: str, question: Question) -> Iterator[Iterator[str]]:
        with self.client.messages.stream(**self.body(model, question)) as stream:
            yield iter(stream.text_stream)


class OllamaGuest(Guest):
    dialect = "ollama"
    path = "/api/chat"

    def __init__(self, url: str, key: str = "none") -> None:
        self.client = ollama.Client(host=url, headers={"authorization": f"Bearer {key}"})

    def models(self) -> list[str]:
        return [model.model or "" for model in self.client.list().models]

    def body(self, model: str, question: Question) -> dict[str, Any]:
        messages: list[dict[str, Any]] = []
        if question.system is not None:
            messages.append({"role": "system", "content": question.system})
        messages += map(_ollama_message, question.turns)
        if question.image is not None:
            messages[-1]["images"] = [base64.b64encode(question.image).decode()]
        options: dict[str, Any] = {"temperature": 0, "num_predict": question.max_tokens}
        if question.stop:
            options["stop"] = list(question.stop)
        body: dict[str, Any] = {"model": model, "messages": messages, "options": options}
        if question.has_tool:
            function = {**_FUNCTION, "parameters": TOOL_SCHEMA}
            body["tools"] = [{"type": "function", "function": function}]
        if question.wants_city:
            body["format"] = CITY_SCHEMA
        return body

    def ask(self, model: str, question: Question) -> Heard:
        with _ollama_errors():
            return _heard_of_ollama([self.client.chat(**self.body(model, question))], 0)

    def stream(self, model: str, question: Question) -> Heard:
        with _ollama_errors():
            parts = list(self.client.chat(**self.body(model, question), stream=True))
        pieces = sum(bool(part.message.content or part.message.tool_calls) for part in parts)
        return _heard_of_ollama(parts, pieces)

    @contextmanager
    def streaming(self, model: str, question: Question) -> Iterator[Iterator[str]]:
        # Its stream is a generator: closing that closes the connection.
        stream = self.client.chat(**self.body(model, question), stream=True)
        try:
            yield (part.message.content or "" for part in stream)
        finally:
            stream.close()  # type: ignore[attr-defined]


def all_guests(url: str, key: str = "none") -> tuple[Guest, ...]:
    """One of each SDK, at the gateway ``url`` (without a trailing slash)."""
    return OpenAIGuest(url, key), AnthropicGuest(url, key), OllamaGuest(url, key)


def _openai_message(turn: Turn) -> dict[str, Any]:
    match turn:
        case User():
            return {"role": "user", "content": turn.text}
        case Assistant():
            return {"role": "assistant", "content": turn.text}
        case Called():
            function = {"name": TOOL_NAME, "arguments": json.dumps({"city": turn.city})}
            call = {"id": turn.id, "type": "function", "function": function}
            return {"role": "assistant", "content": "", "tool_calls": [call]}
        case Result():
            return {"role": "tool", "tool_call_id": Called(turn.city).id, "content": turn.text}


def _anthropic_message(turn: Turn) -> dict[str, Any]:
    match turn:
        case User():
            return {"role": "user", "content": turn.text}
        case Assistant():
            return {"role": "assistant", "content": turn.text}
        case Called():
            call = {"type": "tool_use", "id": turn.id, "name": TOOL_NAME}
            return {"role": "assistant", "content": [{**call, "input": {"city": turn.city}}]}
        case Result():
            result = {"type": "tool_result", "tool_use_id": Called(turn.city).id}
            return {"role": "user", "content": [{**result, "content": turn.text}]}


def _ollama_message(turn: Turn) -> dict[str, Any]:
    match turn:
        case User():
            return {"role": "user", "content": turn.text}
        case Assistant():
            return {"role": "assistant", "content": turn.text}
        case Called():
            function = {"name": TOOL_NAME, "arguments": {"city": turn.city}}
            return {"role": "assistant", "content": "", "tool_calls": [{"function": function}]}
        case Result():
            return {"role": "tool", "tool_name": TOOL_NAME, "content": turn.text}


def _heard_of_openai(answer: ChatCompletion, pieces: int) -> Heard:
    (choice,) = answer.choices
    assert answer.usage is not None
    return Heard(
        text=choice.message.content or "",
        calls=tuple(
            (call.function.name, json.loads(call.function.arguments))
            for call in choice.message.tool_calls or []
            if call.type == "function"
        ),
        end=_OPENAI_ENDS.get(choice.finish_reason),
        input_tokens=answer.usage.prompt_tokens,
        output_tokens=answer.usage.completion_tokens,
        pieces=pieces,
    )


def _heard_of_anthropic(answer: Message, pieces: int) -> Heard:
    blocks = answer.content
    usage = answer.usage
    return Heard(
        text="".join(block.text for block in blocks if block.type == "text"),
        calls=tuple((block.name, block.input) for block in blocks if block.type == "tool_use"),
        end=_ANTHROPIC_ENDS.get(answer.stop_reason or ""),
        input_tokens=usage.input_tokens + (usage.cache_read_input_tokens or 0),
        output_tokens=usage.output_tokens,
        pieces=pieces,
    )


def _heard_of_ollama(parts: list[ollama.ChatResponse], pieces: int) -> Heard:
    last = parts[-1]
    calls = tuple(
        (call.function.name, dict(call.function.arguments))
        for part in parts
        for call in part.message.tool_calls or []
    )
    ends = {"stop": End.TOOLS if calls else End.DONE, "length": End.LENGTH}
    return Heard(
        text="".join(part.message.content or "" for part in parts),
        calls=calls,
        end=ends.get(last.done_reason or "") if last.done else None,
        input_tokens=last.prompt_eval_count or 0,
        output_tokens=last.eval_count or 0,
        pieces=pieces,
    )


@contextmanager
def _openai_errors() -> Iterator[None]:
    try:
        yield
    except openai.APIStatusError as error:
        body = error.body
        well_formed = (
            isinstance(body, dict)
            and isinstance(body.get("message"), str)
            and isinstance(body.get("type"), str)
        )
        said = body.get("message", body) if isinstance(body, dict) else body
        raise Refused(error.status_code, str(said), well_formed=well_formed) from None


@contextmanager
def _anthropic_errors() -> Iterator[None]:
    try:
        yield
    except anthropic.APIStatusError as error:
        body = error.body
        inner = body.get("error") if isinstance(body, dict) else None
        well_formed = (
            isinstance(body, dict)
            and body.get("type") == "error"
            and isinstance(inner, dict)
            and isinstance(inner.get("type"), str)
            and isinstance(inner.get("message"), str)
        )
        said = inner.get("message", inner) if isinstance(inner, dict) else body
        raise Refused(error.status_code, str(said), well_formed=well_formed) from None


@contextmanager
def _ollama_errors() -> Iterator[None]:
    try:
        yield
    except ollama.ResponseError as error:
        well_formed = bool(error.error) and not error.error.startswith("{")
        raise Refused(error.status_code, error.error, well_formed=well_formed) from None
