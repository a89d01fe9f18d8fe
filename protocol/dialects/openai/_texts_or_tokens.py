"""Fields that take text in four forms: a string, several strings, the ids of a text's tokens, and
several arrays of those (``input`` of embeddings, ``prompt`` of completions)."""

from __future__ import annotations

from typing import TypeAlias

from forebay.protocol.canonical.errors import ApiFailure, bad_request
from forebay.protocol.dialects.fields import as_string, missing, wrong_type
from forebay.protocol.jsontext import JsonObject, JsonValue

TextOrTokens: TypeAlias = str | tuple[int, ...]


def decode_texts(
    body: JsonObject, name: str, *, most: int | None = None, takes_empty_text: bool = False
) -> tuple[TextOrTokens, ...]:
    """One or more texts, all in the form of the first.

    Args:
        body: Whose field it is.
        name: The field, which must be there.
        most: How many texts it may hold; None: any number.
        takes_empty_text: Whether a string may be empty; an array never may.

    Raises:
        ApiFailure: BAD_REQUEST that names the element, in OpenAI's notation.
    """
    value = body.get(name)
    match value:
        case None:
            raise missing(name)
        case str():
            texts: tuple[TextOrTokens, ...] = (value,)
            paths = [name]
        case []:
            raise _empty(name, "array")
        case [int() as first, *_] if not isinstance(first, bool):
            return (_tokens(value, name),)
        case [*elements]:
            if most is not None and len(elements) > most:
                raise bad_request(
                    f"'{name}' must have at most {most} elements, got {len(elements)}: send "
                    "several requests",
                    param=name,
                    code="array_above_max_length",
                )
            paths = [f"{name}[{at}]" for at in range(len(elements))]
            texts = tuple(_decode_elements(elements, paths))
        case _:
            raise _wrong(name, value)
    if not takes_empty_text and "" in texts:
        raise _empty(paths[texts.index("")], "string")
    return texts


def encode_texts(texts: tuple[TextOrTokens, ...]) -> JsonValue:
    """The shortest form: one text stands by itself."""
    encoded: list[JsonValue] = [
        text if isinstance(text, str) else list[JsonValue](text) for text in texts
    ]
    return encoded[0] if len(encoded) == 1 else encoded


def _decode_elements(elements: list[JsonValue], paths: list[str]) -> list[TextOrTokens]:
    match elements[0]:
        case str():
            return [as_string(text, path) for text, path in zip(elements, paths, strict=True)]
        case list():
            return [_tokens(tokens, path) for tokens, path in zip(elements, paths, strict=True)]
        case _:
            raise _wrong(paths[0], elements[0])


def _tokens(value: JsonValue, path: str) -> tuple[int, ...]:
    if not isinstance(value, list):
        raise wrong_type(path, "an array of tokens", value)
    if not value:
        raise _empty(path, "array")
    return tuple(_token(element, f"{path}[{at}]") for at, element in enumerate(value))


def _token(value: JsonValue, path: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise wrong_type(path, "a token (an integer)", value)
    if value < 0:
        raise bad_request(
            f"'{path}' must be a token of the model, which is never negative, got {value}",
            param=path,
            code="integer_below_min_value",
        )
    return value


def _empty(path: str, what: str) -> ApiFailure:
    return bad_request(
        f"'{path}' must not be an empty {what}: send some text", param=path, code=f"empty_{what}"
    )


def _wrong(path: str, value: JsonValue) -> ApiFailure:
    return wrong_type(path, "a string, an array of strings or an array of tokens", value)
