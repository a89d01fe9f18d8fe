"""The fields that requests for a chat and for a completion share."""

from __future__ import annotations

from forebay.protocol.canonical.errors import bad_request
from forebay.protocol.canonical.requests import ChatRequest
from forebay.protocol.dialects.base import EncodedRequest, UpstreamTraits
from forebay.protocol.dialects.fields import optional_bool, optional_string, rest_of
from forebay.protocol.dialects.losses import Losses
from forebay.protocol.dialects.ollama._keep_alive import keep_alive_seconds
from forebay.protocol.dialects.ollama._names import OLLAMA
from forebay.protocol.dialects.ollama._options import decode_options, encode_options
from forebay.protocol.dialects.ollama._output_format import decode_format, encode_format
from forebay.protocol.dialects.ollama._thinking import decode_think, encode_think
from forebay.protocol.jsontext import JsonObject

_SHARED_FIELDS = frozenset(
    {"model", "stream", "options", "format", "think", "logprobs", "top_logprobs"}
)
# Those of the one API mean nothing in the other, so that neither keeps the other's.
_OWN_FIELDS = frozenset(
    {
        *("messages", "tools"),
        *("prompt", "system", "images", "suffix", "raw", "template", "context"),
    }
)


def required_model(body: JsonObject) -> str:
    """Raises:
    ApiFailure: BAD_REQUEST, no model is named.
    """
    model = optional_string(body, "model")
    if not model:
        raise bad_request("model is required", param="model", code="missing_required_parameter")
    return model


def decode_shared_fields(body: JsonObject) -> ChatRequest:
    """A request without turns and tools. What no canonical field holds is in its extras, with
    ``keep_alive`` as it came.

    Raises:
        ApiFailure: BAD_REQUEST that names the field.
    """
    model = required_model(body)
    stream = optional_bool(body, "stream")
    keep_alive_seconds(body.get("keep_alive"))
    for name in ("truncate", "shift"):
        optional_bool(body, name)
    options = decode_options(body)
    extras = rest_of(body, _SHARED_FIELDS | _OWN_FIELDS)
    if options.kept:
        extras["options"] = options.kept
    return ChatRequest(
        model=model,
        turns=(),
        max_output_tokens=options.max_output_tokens,
        sampling=options.sampling,
        stop=options.stop,
        output=decode_format(body.get("format")),
        reasoning=decode_think(body.get("think")),
        stream=True if stream is None else stream,
        extras={OLLAMA: extras} if extras else {},
    )


def encode_shared_fields(
    request: ChatRequest, traits: UpstreamTraits, losses: Losses
) -> EncodedRequest:
    """The fields of a request that came in any dialect, without its turns and tools.

    Args:
        losses: of the one API or the other.

    Raises:
        ApiFailure: BAD_REQUEST, more than one answer is asked for.
    """
    if request.choices > 1:
        raise bad_request(
            f"this model's provider gives one answer a request: 'n' must be 1, got "
            f"{request.choices}",
            param="n",
            code="unsupported_value",
        )
    # Always said: what is not said streams.
    body: JsonObject = {"stream": request.stream}
    optional: JsonObject = {
        "format": encode_format(request.output),
        "options": encode_options(request) or None,
        "think": encode_think(request.reasoning),
        "logprobs": request.sampling.logprobs,
        "top_logprobs": request.sampling.top_logprobs,
    }
    body.update((name, value) for name, value in optional.items() if value is not None)
    for name, value in request.extras.get(OLLAMA, {}).items():
        body.setdefault(name, value)
    dropped = (*losses.dropped(request, traits), *request.lost_extras(OLLAMA))
    return EncodedRequest(body=body, dropped=tuple(dict.fromkeys(dropped)))
