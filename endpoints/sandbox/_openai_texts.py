"""What OpenAI takes where it wants texts: one, several, the tokens of one, or those of several."""

from __future__ import annotations

from forebay.endpoints.sandbox._fields import FieldFault, Fields, JsonType, Path
from forebay.endpoints.sandbox._openai_errors import path_text
from forebay.endpoints.sandbox._openai_fields import bad
from forebay.endpoints.sandbox._words import token_count, word
from forebay.protocol.jsontext import JsonValue

_LARGEST_TOKEN = 200_000


def read_texts(
    fields: Fields, name: str, *, most: int, takes_empty: bool
) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """The texts of a field, and how many tokens each has. Tokens are read as a word each.

    Raises:
        Refused, FieldFault: see :meth:`Dialect.read_call`.
    """
    value = fields.values.get(name)
    if isinstance(value, str):
        return _whole([_text(value, fields.at(name), takes_empty=takes_empty)])
    elements = fields.array(name)
    if not elements:
        raise bad(name, "empty array. Expected an array with minimum length 1.")
    if isinstance(elements[0], int) and not isinstance(elements[0], bool):
        return _of_tokens([_tokens(elements, fields.at(name))])
    if len(elements) > most:
        raise bad(name, f"array too long. Expected at most {most} items, got {len(elements)}.")
    if isinstance(elements[0], list):
        return _of_tokens(
            [_tokens(one, fields.at(name, index)) for index, one in enumerate(elements)]
        )
    return _whole(
        [
            _text(one, fields.at(name, index), takes_empty=takes_empty)
            for index, one in enumerate(elements)
        ]
    )


def _whole(texts: list[str]) -> tuple[tuple[str, ...], tuple[int, ...]]:
    return tuple(texts), tuple(map(token_count, texts))


def _of_tokens(read: list[list[int]]) -> tuple[tuple[str, ...], tuple[int, ...]]:
    return tuple(" ".join(map(_word, tokens)) for tokens in read), tuple(map(len, read))


def _word(token: int) -> str:
    return f"{word(token)}{token}"


def _text(value: JsonValue, path: Path, *, takes_empty: bool) -> str:
    if not isinstance(value, str):
        raise FieldFault(path, JsonType.TEXT, value, missing=False)
    if not value and not takes_empty:
        raise bad(path_text(path), "input cannot be an empty string.")
    return value


def _tokens(value: JsonValue, path: Path) -> list[int]:
    if not isinstance(value, list):
        raise FieldFault(path, JsonType.LIST, value, missing=False)
    if not value:
        raise bad(path_text(path), "empty array. Expected an array with minimum length 1.")
    tokens: list[int] = []
    for index, one in enumerate(value):
        if isinstance(one, bool) or not isinstance(one, int):
            raise FieldFault((*path, index), JsonType.INTEGER, one, missing=False)
        if not 0 <= one <= _LARGEST_TOKEN:
            raise bad(path_text((*path, index)), f"{one} is no token of this model.")
        tokens.append(one)
    return tokens
