"""A language model of a few hundred kilobytes, in the file format of llama.cpp (GGUF, version 3).

Its weights are chance, so it says words in no order, or else one thing that it was made to say; but
it says them by all the machinery of a real server. Written with the standard library alone.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Final

CONTEXT: Final = 4096
"""Tokens that it was "trained" with."""
WORDS: Final = [
    "time",
    "person",
    "year",
    "way",
    "day",
    "thing",
    "man",
    "world",
    "life",
    "hand",
    "part",
    "child",
    "eye",
    "woman",
    "place",
    "work",
    "week",
    "case",
    "point",
    "government",
    "company",
    "number",
    "group",
    "problem",
    "fact",
    "water",
    "river",
    "mill",
    "wheel",
]
TEMPLATE: Final = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""Of a chat, as ChatML writes it."""
_EMBEDDING: Final = 64
_FEED_FORWARD: Final = 96
_HEADS: Final = 2
_BLOCKS: Final = 2
_ALIGNMENT: Final = 32
_F32: Final = 0
_NORMAL, _CONTROL = 1, 3
_END: Final = "<|im_end|>"
_SPECIAL: Final = ("<|endoftext|>", "<|im_start|>", _END)
_LIKED, _DISLIKED, _RARE, _CERTAIN = 6.0, -6.0, 9.0, 160.0
"""What an embedding's first number adds to the logits of words and of all else, and its second to
that of the end."""

Value = str | int | float | bool | Sequence[str] | Sequence[int]


@dataclass(frozen=True)
class _Tensor:
    name: str
    shape: tuple[int, ...]
    """The dimension that runs fastest first."""
    data: array[float]


def write_tiny_model(path: Path, *, template: str = TEMPLATE, says: str | None = None) -> None:
    """Write the model to ``path``; always the same one.

    Args:
        template: of chats, in Jinja.
        says: what it answers, whatever it is asked. None: some words.
    """
    words = [f" {word}" for word in WORDS] if says is None else [says]
    vocabulary = [*map(_spelt, range(256)), *_SPECIAL, *map(_spelt_text, words)]
    tensors = list(_tensors(Random(7), vocabulary, ends=says is not None))
    facts = _facts(template, vocabulary)
    head = bytearray(b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(facts)))
    for key, value in facts.items():
        head += _text(key) + _typed(value)
    offset = 0
    for tensor in tensors:
        head += _text(tensor.name) + struct.pack("<I", len(tensor.shape))
        head += struct.pack(f"<{len(tensor.shape)}Q", *tensor.shape)
        head += struct.pack("<IQ", _F32, offset)
        offset += _padded(4 * len(tensor.data))
    with path.open("wb") as file:
        file.write(head.ljust(_padded(len(head)), b"\0"))
        for tensor in tensors:
            data = tensor.data.tobytes()
            file.write(data.ljust(_padded(len(data)), b"\0"))


def _padded(length: int) -> int:
    return -(-length // _ALIGNMENT) * _ALIGNMENT


def _spelt_text(text: str) -> str:
    return "".join(map(_spelt, text.encode()))


def _spelt(byte: int) -> str:
    """A byte as GPT-2's vocabulary spells it: those that can't be seen are moved up."""
    if 33 <= byte <= 126 or 161 <= byte <= 172 or byte >= 174:
        return chr(byte)
    unseen = [b for b in range(256) if not (33 <= b <= 126 or 161 <= b <= 172 or b >= 174)]
    return chr(256 + unseen.index(byte))


def _facts(template: str, tokens: Sequence[str]) -> Mapping[str, Value]:
    return {
        "general.architecture": "llama",
        "general.name": "tiny",
        "general.file_type": 0,
        "llama.vocab_size": len(tokens),
        "llama.context_length": CONTEXT,
        "llama.embedding_length": _EMBEDDING,
        "llama.block_count": _BLOCKS,
        "llama.feed_forward_length": _FEED_FORWARD,
        "llama.rope.dimension_count": _EMBEDDING // _HEADS,
        "llama.attention.head_count": _HEADS,
        "llama.attention.head_count_kv": _HEADS,
        "llama.attention.layer_norm_rms_epsilon": 1e-5,
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "default",
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": [
            _CONTROL if token in _SPECIAL else _NORMAL for token in tokens
        ],
        "tokenizer.ggml.merges": ["Ġ t"],
        "tokenizer.ggml.bos_token_id": tokens.index("<|im_start|>"),
        "tokenizer.ggml.eos_token_id": tokens.index(_END),
        "tokenizer.ggml.add_bos_token": False,
        "tokenizer.chat_template": template,
    }


def _tensors(random: Random, vocabulary: Sequence[str], *, ends: bool) -> Iterator[_Tensor]:
    """
    Args:
        ends: the answer ends after its first word.
    """

    def chance(name: str, *shape: int) -> _Tensor:
        count = 1
        for length in shape:
            count *= length
        numbers = (random.gauss(0.0, 0.02) for _ in range(count))
        return _Tensor(f"{name}.weight", shape, array("f", numbers))

    def ones(name: str) -> _Tensor:
        return _Tensor(f"{name}.weight", (_EMBEDDING,), array("f", [1.0]) * _EMBEDDING)

    embedded = chance("token_embd", _EMBEDDING, len(vocabulary))
    output = chance("output", _EMBEDDING, len(vocabulary))
    for number, token in enumerate(vocabulary):
        # The first number is the same for all tokens, so that it works as a constant to add; the
        # second says that it is a word, after which the end may come.
        first = number * _EMBEDDING
        is_word = len(token) > 1 and token not in _SPECIAL
        likes = _LIKED if is_word else _DISLIKED
        embedded.data[first] = 1.0
        embedded.data[first + 1] = float(is_word)
        output.data[first] = likes / _EMBEDDING**0.5
        if token == _END:
            output.data[first + 1] = (_CERTAIN if ends else _RARE) / _EMBEDDING**0.5
    yield embedded
    yield output
    yield ones("output_norm")
    for block in range(_BLOCKS):
        at = f"blk.{block}"
        yield ones(f"{at}.attn_norm")
        for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
            yield chance(f"{at}.{name}", _EMBEDDING, _EMBEDDING)
        yield ones(f"{at}.ffn_norm")
        yield chance(f"{at}.ffn_gate", _EMBEDDING, _FEED_FORWARD)
        yield chance(f"{at}.ffn_up", _EMBEDDING, _FEED_FORWARD)
        yield chance(f"{at}.ffn_down", _FEED_FORWARD, _EMBEDDING)


def _text(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def _typed(value: Value) -> bytes:
    """A value after the number of its type."""
    if isinstance(value, bool):
        return struct.pack("<I?", 7, value)
    if isinstance(value, int):
        return struct.pack("<II", 4, value)
    if isinstance(value, float):
        return struct.pack("<If", 6, value)
    if isinstance(value, str):
        return struct.pack("<I", 8) + _text(value)
    if isinstance(value[0], str):
        return struct.pack("<IIQ", 9, 8, len(value)) + b"".join(_text(str(each)) for each in value)
    return struct.pack("<IIQ", 9, 5, len(value)) + struct.pack(f"<{len(value)}i", *value)
