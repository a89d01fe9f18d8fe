"""Asks in Ollama's dialect, with the official ``ollama`` client."""

from __future__ import annotations

import json
from typing import Any, ClassVar

import httpx
import ollama
from sdk_questions import City, End, Question, Said, Speaker, ToolCall
from sdk_wire import Exchange, Wire, read_strictly

_ENDS = {"stop": End.DONE, "length": End.LENGTH}
_DURATIONS = ("total_duration", "load_duration", "prompt_eval_duration", "eval_duration")


class OllamaSpeaker(Speaker):
    """Over ``chat``."""

    dialect = "ollama"
    failures: ClassVar[tuple[type[Exception], ...]] = (ollama.ResponseError, httpx.HTTPError)

    def __init__(self, url: str, *, key: str = "any-key") -> None:
        super().__init__(Wire())
        self.client = ollama.Client(
            host=url,
            headers={"authorization": f"Bearer {key}"},
            trust_env=False,
            verify=False,
            event_hooks=self.wire.hooks,
        )

    def close(self) -> None:
        self.client.close()  # type: ignore[no-untyped-call]

    def models(self) -> list[str]:
        return [model.model or "" for model in self.client.list().models]

    def ask(self, question: Question, *, stream: bool) -> Said:
        assert not question.headers, "this SDK takes headers only for the whole client"
        arguments = _arguments(question)
        parts: list[ollama.ChatResponse]
        if stream:
            parts = list(self.client.chat(**arguments, stream=True))
        else:
            parts = [self.client.chat(**arguments, stream=False)]
        heard = self.wire.last
        read_lines(ollama.ChatResponse, heard, stream=stream)
        messages = [part.message for part in parts]
        calls = [
            ToolCall("", call.function.name, dict(call.function.arguments))
            for message in messages
            for call in message.tool_calls or []
        ]
        text = "".join(message.content or "" for message in messages)
        thinking = "".join(message.thinking or "" for message in messages)
        return Said(
            text=text,
            thinking=thinking,
            calls=tuple(calls),
            **ending(parts[-1], calls=bool(calls)),
            id="",
            parsed=None,
            fragments=sum(bool(one.content or one.thinking) for one in messages) if stream else 0,
            turn=ollama.Message(
                role="assistant",
                content=text,
                thinking=thinking or None,
                tool_calls=[call for one in messages for call in one.tool_calls or []] or None,
            ),
            heard=heard,
        )


def _arguments(question: Question) -> dict[str, Any]:
    messages: list[dict[str, Any] | ollama.Message] = []
    if question.system is not None:
        messages.append({"role": "system", "content": question.system})
    user: dict[str, Any] = {"role": "user", "content": question.text}
    if question.image is not None:
        user["images"] = [question.image]
    messages.append(user)
    for said, results in question.history:
        assert isinstance(said.turn, ollama.Message)
        messages.append(said.turn)
        messages += [
            {"role": "tool", "tool_name": call.name, "content": result}
            for call, result in zip(said.calls, results, strict=True)
        ]
    arguments: dict[str, Any] = {"model": question.model, "messages": messages}
    if question.tools:
        arguments["tools"] = [
            {"type": "function", "function": {"name": tool.name, "parameters": tool.schema}}
            for tool in question.tools
        ]
    if question.wants_city:
        arguments["format"] = City.model_json_schema()
    if question.thinks:
        arguments["think"] = "medium"
    if question.stop or question.max_tokens is not None:
        arguments["options"] = ollama.Options(
            stop=list(question.stop) or None, num_predict=question.max_tokens
        )
    return arguments


def ending(last: ollama.ChatResponse | ollama.GenerateResponse, *, calls: bool) -> dict[str, Any]:
    """What the last part of an answer says of it all, as fields of :class:`Said`."""
    assert last.done is True
    assert last.done_reason is not None
    assert last.model is not None
    assert last.prompt_eval_count is not None
    assert all(isinstance(getattr(last, name), int) for name in _DURATIONS if last.eval_count)
    end = _ENDS[last.done_reason]
    return {
        # This dialect says "stop" after tool calls too.
        "end": End.TOOLS if calls and end is End.DONE else end,
        "stop_sequence": None,
        "input_tokens": last.prompt_eval_count,
        "output_tokens": last.eval_count or 0,
        "model": last.model,
    }


def read_lines(
    kind: type[ollama.ChatResponse | ollama.GenerateResponse],
    heard: Exchange,
    *,
    stream: bool,
) -> None:
    """Hold an answer to the rules of the dialect: one object a line, done once and at the end."""
    wanted = "application/x-ndjson" if stream else "application/json"
    assert heard.headers["content-type"].startswith(wanted)
    # A whole answer that was held begins with line breaks.
    lines = heard.lines if stream else [heard.body.decode()]
    values = [json.loads(line) for line in lines]
    assert [value["done"] for value in values] == [False] * (len(values) - 1) + [True]
    assert len({value["model"] for value in values if not _keeps_alive(value)}) == 1
    for value in values:
        assert value["created_at"]
        # Ollama sends these; its Python client does not know them yet.
        for call in value.get("message", {}).get("tool_calls") or []:
            call.pop("id", None)
            call["function"].pop("index", None)
        read_strictly(kind, json.dumps(value))


def _keeps_alive(line: dict[str, Any]) -> bool:
    """It says nothing, and was perhaps said before the upstream and its model's name were known."""
    said = {**line, **line.get("message", {})}
    content = ("response", "content", "thinking", "tool_calls")
    return not line["done"] and not any(said.get(name) for name in content)
