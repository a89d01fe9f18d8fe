"""Request bodies whose only meaning here is the model that they ask for: JSON, or a form."""

from __future__ import annotations

from abc import ABC, abstractmethod

from forebay.protocol.canonical.errors import bad_request
from forebay.protocol.dialects.fields import optional_string
from forebay.protocol.jsontext import InvalidJson, JsonObject, dumps, loads_object
from forebay.protocol.multipart import Form, InvalidForm, is_form, read_form, with_field
from forebay.protocol.splice import replace_model


class RequestBody(ABC):
    """One body, as it came."""

    raw: bytes
    model: str | None
    """The model that it names; None where it names none."""
    streams: bool
    """It asks for its answer as a stream of events."""
    text_bytes: int
    """Of what a model might read as text."""
    media: int
    """Files."""

    @abstractmethod
    def with_model(self, model: str) -> bytes:
        """The same bytes, but for the model's name; where none stood, one that stands in front.

        Raises:
            ApiFailure: BAD_REQUEST, such a name can't be said in this body.
        """


class JsonBody(RequestBody):
    """A JSON object."""

    def __init__(self, raw: bytes, fields: JsonObject) -> None:
        self.raw = raw
        self.fields = fields
        self.model = optional_string(fields, "model") or None
        self.streams = fields.get("stream") is True or fields.get("stream_format") == "sse"
        self.text_bytes = len(raw)
        self.media = 0

    def with_model(self, model: str) -> bytes:
        return json_with_model(self.raw, self.fields, model)


class FormBody(RequestBody):
    """A form of several parts."""

    def __init__(self, raw: bytes, form: Form) -> None:
        self.raw = raw
        self._form = form
        self.model = form.last("model") or None
        self.streams = (form.last("stream") or "").strip().lower() in ("true", "1")
        self.text_bytes = sum(field.end - field.start for field in form.fields)
        self.media = form.files

    def with_model(self, model: str) -> bytes:
        try:
            return with_field(self.raw, self._form, "model", model)
        except InvalidForm as fault:
            raise bad_request(f"the request can't be passed on: {fault}", param="model") from None


def read_body(raw: bytes, content_type: str | None) -> RequestBody:
    """Read a body of either kind.

    Raises:
        ApiFailure: BAD_REQUEST, it is not what its content type says; or names a model that is
            no text.
    """
    if content_type is not None and is_form(content_type):
        try:
            return FormBody(raw, read_form(raw, content_type))
        except InvalidForm as fault:
            raise bad_request(
                f"the request body is not a valid form: {fault}", code="invalid_form"
            ) from None
    try:
        return JsonBody(raw, loads_object(raw))
    except InvalidJson as fault:
        raise bad_request(
            f"the request body is not valid JSON: {fault}", code="invalid_json"
        ) from None


def json_with_model(raw: bytes, fields: JsonObject, model: str) -> bytes:
    """The JSON object ``raw``, read as ``fields``, with ``model`` as its model."""
    if isinstance(fields.get("model"), str):
        return replace_model(raw, model)
    if "model" in fields:
        return dumps({**fields, "model": model})
    at = raw.index(b"{") + 1
    return b"".join((raw[:at], b'"model":', dumps(model), b"," if fields else b"", raw[at:]))
