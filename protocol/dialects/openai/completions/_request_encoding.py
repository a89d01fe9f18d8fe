"""The canonical form to a request for an upstream."""

from __future__ import annotations

from forebay.protocol.canonical.completions import refuse_own_surroundings
from forebay.protocol.canonical.continuations import refuse_going_on
from forebay.protocol.canonical.errors import ApiFailure, bad_request
from forebay.protocol.canonical.requests import (
    ChatRequest,
    Completion,
    OutputKind,
    Role,
    Text,
    Turn,
)
from forebay.protocol.canonical.state import refuse_missing_state
from forebay.protocol.dialects.base import EncodedRequest, UpstreamTraits
from forebay.protocol.dialects.openai._generation_fields import (
    COMPATIBLE_ONLY,
    check_stops,
    encode_tuning,
    is_openai,
)
from forebay.protocol.dialects.openai._names import COMPLETIONS
from forebay.protocol.dialects.openai._texts_or_tokens import TextOrTokens, encode_texts
from forebay.protocol.dialects.openai.completions._losses import LOSSES
from forebay.protocol.jsontext import JsonObject


def encode_request(request: ChatRequest, traits: UpstreamTraits) -> EncodedRequest:
    """Raises:
    ApiFailure: BAD_REQUEST, something that can't be said here would change the meaning.
    """
    refuse_missing_state(request)
    if request.completion is None:
        refuse_going_on(request)
    refuse_own_surroundings(request)
    completion = _completion_of(request)
    to_openai = is_openai(traits)
    raw = request.extras.get(COMPLETIONS, {})
    check_stops(request.stop, to_openai=to_openai)
    tuning, dropped = encode_tuning(request.sampling, raw=raw, to_openai=to_openai)
    said: JsonObject = {
        "suffix": completion.suffix,
        "max_tokens": request.max_output_tokens,
        "n": request.choices if request.choices != 1 else None,
        "best_of": completion.best_of,
        "logprobs": completion.logprobs,
        "echo": completion.echo or None,
        "stop": list(request.stop) or None,
        "user": request.user_id,
        "stream": request.stream or None,
        **tuning,
    }
    body: JsonObject = {
        "model": request.model,
        "prompt": encode_texts(_prompts_of(request, completion)),
    }
    body.update((name, value) for name, value in said.items() if value is not None)
    if request.stream and traits.stream_usage:
        options = raw.get("stream_options")
        rest = options if isinstance(options, dict) else {}
        body["stream_options"] = {"include_usage": True, **rest}
    dropped += LOSSES.dropped(request, traits)
    for name, value in raw.items():
        if to_openai and name in COMPATIBLE_ONLY:
            dropped.append(name)
        elif name != "stream_options":
            body.setdefault(name, value)
    dropped += request.lost_extras(COMPLETIONS)
    return EncodedRequest(body=body, dropped=tuple(dict.fromkeys(dropped)))


def _completion_of(request: ChatRequest) -> Completion:
    """What is to be completed, where that is all that is asked."""
    if request.completion is None:
        raise _unsupported("messages", "completes text, and can't answer a conversation")
    if request.tools:
        raise _unsupported("tools", "completes text, and can't call 'tools'")
    if request.output.kind is not OutputKind.TEXT:
        raise _unsupported("format", "completes text, and can't be held to a 'format'")
    for turn in request.turns[:-1] if request.continues else request.turns:
        _check_says_only_text(turn)
    return request.completion


def _prompts_of(request: ChatRequest, completion: Completion) -> tuple[TextOrTokens, ...]:
    """With what was said of the answer, where the rest of it is asked for."""
    if not request.continues:
        return completion.prompts
    said = "".join(part.text for part in request.turns[-1].parts if isinstance(part, Text))
    return tuple(prompt + said for prompt in completion.prompts if isinstance(prompt, str))


def _check_says_only_text(turn: Turn) -> None:
    if turn.role is not Role.USER:
        raise _unsupported("system", "completes text as it stands: put 'system' into the prompt")
    if not all(isinstance(part, Text) for part in turn.parts):
        raise _unsupported("images", "completes text, and can't see 'images'")


def _unsupported(param: str, why: str) -> ApiFailure:
    return bad_request(f"this model's provider {why}", param=param, code="unsupported_parameter")
