"""``/v1/completions``: texts that are gone on with, whole and streamed.

What follows on a prompt is what a chat would answer to it, so that it can be told whether it came
by this API or by a chat. A ``suffix`` is read and changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from forebay.endpoints.sandbox._call import (
    Answer,
    Call,
    CompletionCall,
    Finish,
    Identity,
    usage_of,
)
from forebay.endpoints.sandbox._dialect import Models
from forebay.endpoints.sandbox._failures import FailureKind
from forebay.endpoints.sandbox._fields import Fields
from forebay.endpoints.sandbox._http import Piece, Request
from forebay.endpoints.sandbox._openai_errors import OpenAIErrors
from forebay.endpoints.sandbox._openai_fields import (
    bad,
    check_ranges,
    find_model,
    read_choices,
    read_stop,
    read_streaming,
    refused,
)
from forebay.endpoints.sandbox._openai_texts import read_texts
from forebay.endpoints.sandbox._options import SandboxModel
from forebay.endpoints.sandbox._words import seed_of, split_pieces, token_count, word
from forebay.protocol.jsontext import JsonObject, JsonValue, dumps

_MOST_PROMPTS = 2048
_DEFAULT_MAX_TOKENS = 16
_MOST_LOGPROBS = 5
_MOST_BEST_OF = 20
_RANGES = {
    "temperature": (0, 2),
    "top_p": (0, 1),
    "frequency_penalty": (-2, 2),
    "presence_penalty": (-2, 2),
    "logprobs": (0, _MOST_LOGPROBS),
}
_FINISH_REASONS = {
    Finish.END: "stop",
    Finish.STOP_SEQUENCE: "stop",
    Finish.TOOL_USE: "stop",
    Finish.LENGTH: "length",
    Finish.REFUSAL: "content_filter",
}


class OpenAICompletions(OpenAIErrors):
    """See :class:`~forebay.endpoints.sandbox._dialect.Dialect`."""

    name = "openai"
    stream_type = b"text/event-stream; charset=utf-8"
    garbage_frame = b'data: {"id":"cmpl-, <<garbage>>\n\n'

    def read_call(self, fields: Fields, request: Request, models: Models) -> Call:
        model = find_model(fields, models)
        prompts, sizes = read_texts(fields, "prompt", most=_MOST_PROMPTS, takes_empty=True)
        suffix = fields.optional_text("suffix") or ""
        stream, includes_usage = read_streaming(fields)
        check_ranges(fields, _RANGES)
        fields.optional_object("logit_bias")
        fields.optional_integer("seed")
        fields.optional_text("user")
        choices = read_choices(fields)
        _check_best_of(fields, choices, stream=stream)
        max_tokens = _max_tokens(fields, model)
        _check_context(model, max(sizes) + token_count(suffix), max_tokens)
        return CompletionCall(
            model=model,
            model_name=model.name,
            stream=stream,
            input_tokens=sum(sizes) + token_count(suffix) * len(prompts),
            user_text="\n".join(prompts),
            stop=read_stop(fields),
            max_tokens=max_tokens,
            choices=choices,
            includes_usage=includes_usage,
            prompts=prompts,
            echo=fields.flag("echo", default=False),
            logprobs=fields.optional_integer("logprobs"),
        )

    def whole(self, call: Call, answers: list[Answer], identity: Identity) -> JsonObject:
        assert isinstance(call, CompletionCall)
        choices: list[JsonValue] = []
        for index, answer in enumerate(answers):
            tokens = [*_tokens(call, answer, index)]
            choices.append(_choice(call, index, tokens, 0, _FINISH_REASONS[answer.finish]))
        return {**_start(call, identity), "choices": choices, "usage": _usage(call, answers)}

    def pieces(self, call: Call, answers: list[Answer], identity: Identity) -> list[Piece]:
        assert isinstance(call, CompletionCall)
        start = _start(call, identity)
        usage: JsonObject = {"usage": None} if call.includes_usage else {}
        streams = [[*_tokens(call, answer, index)] for index, answer in enumerate(answers)]
        offsets = [0] * len(streams)
        pieces: list[Piece] = []
        # Answers interleave, as they do where they are sampled side by side.
        for step in range(max(map(len, streams))):
            for index, tokens in enumerate(streams):
                if step < len(tokens):
                    choice = _choice(call, index, tokens[step : step + 1], offsets[index], None)
                    offsets[index] += len(tokens[step].text)
                    pieces.append(_frame({**start, "choices": [choice], **usage}, is_content=True))
        for index, answer in enumerate(answers):
            last = _choice(call, index, [], 0, _FINISH_REASONS[answer.finish])
            pieces.append(_frame({**start, "choices": [last], **usage}))
        if call.includes_usage:
            pieces.append(_frame({**start, "choices": [], "usage": _usage(call, answers)}))
        pieces.append(Piece(b"data: [DONE]\n\n"))
        return pieces


def _check_best_of(fields: Fields, choices: int, *, stream: bool) -> None:
    best_of = fields.optional_integer("best_of")
    if best_of is None:
        return
    if not choices <= best_of <= _MOST_BEST_OF:
        raise bad(
            "best_of",
            f"expected a value from 'n' ({choices}) to {_MOST_BEST_OF}, but got {best_of} instead.",
        )
    if stream and best_of > choices:
        raise bad("best_of", "it can't be above 'n' when 'stream' is enabled.")


def _max_tokens(fields: Fields, model: SandboxModel) -> int:
    limit = fields.optional_integer("max_tokens")
    if limit is None:
        return _DEFAULT_MAX_TOKENS
    if not 0 <= limit <= model.max_output_tokens:
        raise bad(
            "max_tokens",
            f"expected a value from 0 to {model.max_output_tokens} for this model, "
            f"but got {limit} instead.",
        )
    return limit


def _check_context(model: SandboxModel, prompt_tokens: int, max_tokens: int) -> None:
    if prompt_tokens + max_tokens > model.context_tokens:
        raise refused(
            FailureKind.CONTEXT,
            f"This model's maximum context length is {model.context_tokens} tokens, however you "
            f"requested {prompt_tokens + max_tokens} tokens ({prompt_tokens} in your prompt; "
            f"{max_tokens} for the completion). Please reduce your prompt; or completion length.",
            "prompt",
        )


class _Token(NamedTuple):
    text: str
    is_first: bool
    """Of a prompt: nothing comes before it, so it has no probability."""


def _tokens(call: CompletionCall, answer: Answer, index: int) -> Iterator[_Token]:
    """What is told of an answer, token by token."""
    if call.echo:
        for at, piece in enumerate(split_pieces(call.prompts[index // call.choices])):
            yield _Token(piece, is_first=at == 0)
    for piece in split_pieces(answer.text):
        yield _Token(piece, is_first=False)


def _choice(
    call: CompletionCall, index: int, tokens: list[_Token], offset: int, finish: str | None
) -> JsonObject:
    return {
        "text": "".join(token.text for token in tokens),
        "index": index,
        "logprobs": None if call.logprobs is None else _logprobs(tokens, call.logprobs, offset),
        "finish_reason": finish,
    }


def _logprobs(tokens: list[_Token], count: int, offset: int) -> JsonObject:
    """Made up from the tokens themselves."""
    likelihoods: list[JsonValue] = []
    likely: list[JsonValue] = []
    offsets: list[JsonValue] = []
    for token in tokens:
        offsets.append(offset)
        offset += len(token.text)
        if token.is_first:
            likelihoods.append(None)
            likely.append(None)
            continue
        seed = seed_of(token.text)
        own = -(seed % 1000) / 1000
        likelihoods.append(own)
        others = {word(seed + at): own - at for at in range(1, count)}
        likely.append({**others, token.text: own} if count else {})
    return {
        "tokens": [token.text for token in tokens],
        "token_logprobs": likelihoods,
        "top_logprobs": likely if count else None,
        "text_offset": offsets,
    }


def _start(call: CompletionCall, identity: Identity) -> JsonObject:
    return {
        "id": f"cmpl-{identity.hex}",
        "object": "text_completion",
        "created": int(identity.wall),
        "model": call.model_name,
        "system_fingerprint": "fp_sandbox",
    }


def _usage(call: CompletionCall, answers: list[Answer]) -> JsonObject:
    output_tokens, _ = usage_of(answers)
    return {
        "prompt_tokens": call.input_tokens,
        "completion_tokens": output_tokens,
        "total_tokens": call.input_tokens + output_tokens,
    }


def _frame(chunk: JsonObject, *, is_content: bool = False) -> Piece:
    return Piece(b"data: " + dumps(chunk) + b"\n\n", is_content)
