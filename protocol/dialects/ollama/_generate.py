"""``POST /api/generate``."""

from __future__ import annotations

from dataclasses import replace

from forebay.protocol.canonical.completions import refuse_beyond_one_text
from forebay.protocol.canonical.continuations import refuse_going_on
from forebay.protocol.canonical.errors import ApiFailure, bad_request
from forebay.protocol.canonical.requests import (
    ChatRequest,
    Completion,
    Image,
    Part,
    Role,
    Text,
    ToolChoiceMode,
    Turn,
)
from forebay.protocol.canonical.state import refuse_missing_state
from forebay.protocol.dialects.base import EncodedRequest, UpstreamTraits
from forebay.protocol.dialects.fields import (
    optional_bool,
    optional_list,
    optional_string,
    wrong_type,
)
from forebay.protocol.dialects.ollama._answer_shapes import AnswerShape, CompletionShape
from forebay.protocol.dialects.ollama._codecs import OllamaCodec
from forebay.protocol.dialects.ollama._images import decode_images, encode_image
from forebay.protocol.dialects.ollama._losses import ANSWER_LOSSES, GENERATE_LOSSES
from forebay.protocol.dialects.ollama._names import OLLAMA_GENERATE
from forebay.protocol.dialects.ollama._request_fields import (
    decode_shared_fields,
    encode_shared_fields,
)
from forebay.protocol.jsontext import JsonObject, JsonValue


class OllamaGenerateCodec(OllamaCodec):
    """The completion API: one prompt, with a system prompt and images at most."""

    api = OLLAMA_GENERATE
    path = "/api/generate"
    losses = GENERATE_LOSSES
    answer_losses = ANSWER_LOSSES
    completes_text = True
    _shape: AnswerShape = CompletionShape()

    def decode_request(self, body: JsonObject) -> ChatRequest:
        shared = decode_shared_fields(body)
        _check_own_fields(body)
        prompt = optional_string(body, "prompt")
        system = optional_string(body, "system")
        images = decode_images(body)
        if not prompt:
            # A request to load the model, whatever else it says.
            return shared
        user = Turn(role=Role.USER, parts=(*images, Text(prompt)))
        completion = _decode_completion(body, prompt)
        if not system:
            return replace(shared, turns=(user,), completion=completion)
        turns = (Turn(role=Role.SYSTEM, parts=(Text(system),)), user)
        return replace(shared, turns=turns, completion=completion)

    def encode_request(self, request: ChatRequest, traits: UpstreamTraits) -> EncodedRequest:
        refuse_missing_state(request)
        refuse_beyond_one_text(request)
        refuse_going_on(request)
        choice = request.tool_choice
        if request.tools and (choice is None or choice.mode is not ToolChoiceMode.NONE):
            raise bad_request(
                "/api/generate takes no tools: use /api/chat", param="tools", code="unsupported"
            )
        shared = encode_shared_fields(request, traits, GENERATE_LOSSES)
        body: JsonObject = {
            "model": request.model,
            **_prompt_fields(request.turns),
            **_completion_fields(request.completion),
            **shared.body,
        }
        return EncodedRequest(body=body, dropped=shared.dropped)


def _check_own_fields(body: JsonObject) -> None:
    raw = optional_bool(body, "raw")
    template = optional_string(body, "template")
    optional_string(body, "suffix")
    context = _context(body)
    if raw and (template or context or body.get("system")):
        raise bad_request(
            "raw mode does not support template, system, or context: leave them out, or 'raw'",
            param="raw",
            code="invalid_value",
        )


def _context(body: JsonObject) -> tuple[int, ...]:
    tokens: list[int] = []
    for at, token in enumerate(optional_list(body, "context") or ()):
        if not isinstance(token, int) or isinstance(token, bool):
            raise wrong_type(f"context[{at}]", "an integer", token)
        tokens.append(token)
    return tuple(tokens)


def _decode_completion(body: JsonObject, prompt: str) -> Completion | None:
    """None: the prompt goes through the model's template, like what a user says in a chat, and
    nothing was said before."""
    raw = optional_bool(body, "raw") or False
    suffix = optional_string(body, "suffix") or None
    template = optional_string(body, "template") or None
    context = _context(body)
    if not raw and suffix is None and template is None and not context:
        return None
    return Completion(prompts=(prompt,), suffix=suffix, raw=raw, template=template, context=context)


def _completion_fields(completion: Completion | None) -> JsonObject:
    if completion is None:
        return {}
    fields: JsonObject = {}
    if completion.suffix is not None:
        fields["suffix"] = completion.suffix
    if completion.template is not None:
        fields["template"] = completion.template
    if completion.context:
        fields["context"] = [*completion.context]
    # Where these go is said by a template, which raw mode leaves out.
    if completion.raw or not fields:
        fields["raw"] = True
    return fields


def _prompt_fields(turns: tuple[Turn, ...]) -> JsonObject:
    """Raises:
    ApiFailure: BAD_REQUEST, the turns are more than system prompts and one prompt.
    """
    system: list[str] = []
    prompts: list[Turn] = []
    for turn in turns:
        if turn.role in (Role.SYSTEM, Role.DEVELOPER) and not prompts:
            system.append(_plain_text(turn.parts))
        elif turn.role is Role.USER and not prompts:
            prompts.append(turn)
        else:
            raise _conversation()
    parts = prompts[0].parts if prompts else ()
    images: list[JsonValue] = [encode_image(part) for part in parts if isinstance(part, Image)]
    fields: JsonObject = {
        "prompt": _plain_text([part for part in parts if not isinstance(part, Image)])
    }
    if system:
        fields["system"] = "\n\n".join(system)
    if images:
        fields["images"] = images
    return fields


def _plain_text(parts: tuple[Part, ...] | list[Part]) -> str:
    texts: list[str] = []
    for part in parts:
        if not isinstance(part, Text):
            raise _conversation()
        texts.append(part.text)
    return "\n".join(texts)


def _conversation() -> ApiFailure:
    return bad_request(
        "/api/generate takes one prompt of text and images, and this request holds more: use "
        "/api/chat",
        param="messages",
        code="unsupported_content",
    )
