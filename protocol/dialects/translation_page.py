"""docs/translation.md, made of what the dialects declare::

python -m forebay.protocol.dialects.translation_page > docs/translation.md
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from itertools import permutations

from forebay.protocol.canonical.answer_features import AnswerFeature
from forebay.protocol.canonical.embedding_features import EmbeddingFeature
from forebay.protocol.canonical.feature_needs import NEEDED
from forebay.protocol.canonical.features import Feature
from forebay.protocol.dialects.base import Api, ChatCodec
from forebay.protocol.dialects.embedding_losses import EmbeddingLosses
from forebay.protocol.dialects.losses import SERVER_NAMES, Fate, Loss, Losses, can_say
from forebay.protocol.dialects.registry import CODECS, EMBEDDING_CODECS, TOKEN_COUNT_CODECS

_INTRODUCTION = """\
# What is lost in translation

Made of the declarations that the encoders follow (`_losses.py` in the folder of each dialect); a
test drives every row through the encoders. To write it anew:
`python -m forebay.protocol.dialects.translation_page > docs/translation.md`.

Where a target speaks the client's own API, the client's own bytes go through and nothing is lost.
Else a request is translated. What is not in the table of two APIs is said as it was meant.

| fate | what it means |
|---|---|
| refused | 400 that names the field: without it the request would mean something else. |
| dropped | It only tunes: left out, and named in the header `x-forebay-dropped`, by this name. |
| approximated | Said as closely as the API can. |
| omitted | Left out without a word: it means nothing to others, or is so anyway. |

What is dropped and refused here may still be served: another target of the same model gets the
request where it can be told what this one can't. With `on_unsupported: reject` what would be
dropped is a 400, too, where no target can be told it
([configuration.md](configuration.md#what-a-target-cant-be-told)).
"""

_ANSWERS = """\
## Answers

What an answer loses on its way to a client of another API, whole or as a stream; nobody is told.
Counts of tokens that a client's API has no field for are in the counts that it has.
"""

_COUNTS = """\
## Counts of tokens

Only what the prompt says matters to a count. Where a target has no API for counts, they are
estimated, and nothing is lost.
"""

_EMBEDDINGS = """\
## Embeddings

More inputs than an API takes at once are asked for in several requests.
"""

_HEAD = "| what is said | fate | |\n|---|---|---|\n"


def translation_page() -> str:
    """The whole page."""
    sections = [_INTRODUCTION]
    for target in CODECS.values():
        sections.append(f"## To `{target.api}` (`{target.path}`)\n")
        sections += (
            _table(f"From `{source.api}`", source.losses, target.losses)
            for source in CODECS.values()
            if source is not target
        )
    sections.append(_COUNTS)
    sections += (
        _table(_from_to(source.api, target.api), source.losses, target.losses)
        for source, target in permutations(TOKEN_COUNT_CODECS.values(), 2)
    )
    sections.append(_EMBEDDINGS)
    sections += (
        _embedding_table(source.losses, target.losses)
        for source, target in permutations(EMBEDDING_CODECS.values(), 2)
    )
    sections.append(_ANSWERS)
    sections += (_answer_table(client) for client in CODECS.values())
    return "\n".join(sections)


def _from_to(source: Api, target: Api) -> str:
    return f"From `{source}` to `{target}`"


def _answer_table(client: ChatCodec) -> str:
    rows = (
        f"| {feature.title} | {', '.join(sources)} | {_answer_sentence(feature, client)} |\n"
        for feature in AnswerFeature
        if feature in client.answer_losses.lost and (sources := _sources(feature, client))
    )
    head = "| what is said | by | |\n|---|---|---|\n"
    return f"### To clients of `{client.api}`\n\n{head}{''.join(rows)}"


def _answer_sentence(feature: AnswerFeature, client: ChatCodec) -> str:
    why = client.answer_losses.lost[feature]
    return f"only in a whole answer: {why}" if feature in client.answer_losses.streamed else why


def _sources(feature: AnswerFeature, client: ChatCodec) -> list[str]:
    """The other APIs whose answers say it."""
    return [
        f"`{codec.api}`"
        for codec in CODECS.values()
        if codec is not client and codec.answer_losses.can_say(feature)
    ]


def _table(heading: str, source: Losses, target: Losses) -> str:
    if can_say(source, Feature.CHAT):
        for loss in target.of(Feature.CHAT, source.own):
            return f"### {heading}\n\nRefused: the API {loss.why}.\n"
    return _with_heading(heading, _rows(source, target))


def _rows(source: Losses, target: Losses) -> Iterator[str]:
    for fate in Fate:
        for feature in Feature:
            if not can_say(source, feature) or _is_moot(feature, source, target):
                continue
            for loss in target.of(feature, source.own):
                if loss.fate is fate:
                    yield _row(feature.title, loss.fate, loss.named, _sentence(loss))


def _is_moot(feature: Feature, source: Losses, target: Losses) -> bool:
    """What it stands on is refused already."""
    return any(
        loss.fate is Fate.REFUSED
        for needed in NEEDED.get(feature, ())
        for loss in target.of(needed, source.own)
    )


def _embedding_table(source: EmbeddingLosses, target: EmbeddingLosses) -> str:
    rows = (
        _row(loss.feature.title, loss.fate, loss.named, loss.why)
        for fate in Fate
        for feature in EmbeddingFeature
        if source.can_say(feature)
        for loss in target.of(feature, source.own)
        if loss.fate is fate
    )
    return _with_heading(_from_to(source.api, target.api), rows)


def _with_heading(heading: str, rows: Iterable[str]) -> str:
    written = "".join(rows)
    return f"### {heading}\n\n" + (_HEAD + written if written else "Nothing is lost.\n")


def _row(title: str, fate: Fate, named: str, why: str) -> str:
    return f"| {title} | {f'{fate}: `{named}`' if named else fate} | {why} |\n"


def _sentence(loss: Loss) -> str:
    where = SERVER_NAMES.get(loss.server)
    return loss.why if where is None else f"only {where}: {loss.why}"


if __name__ == "__main__":
    sys.stdout.write(translation_page())
