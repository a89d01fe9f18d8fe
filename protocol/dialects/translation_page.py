"""docs/translation.md, made of what the dialects declare::

python -m forebay.protocol.dialects.translation_page > docs/translation.md
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

from forebay.protocol.canonical.answer_features import AnswerFeature
from forebay.protocol.canonical.feature_needs import NEEDED
from forebay.protocol.canonical.features import Feature
from forebay.protocol.dialects.base import ChatCodec
from forebay.protocol.dialects.losses import SERVER_NAMES, Fate, Loss, can_say
from forebay.protocol.dialects.registry import CODECS

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

What an answer loses on its way to a client of another API; nobody is told. Counts of tokens that a
client's API has no field for are in the counts that it has.
"""

_HEAD = "| what is said | fate | |\n|---|---|---|\n"


def translation_page() -> str:
    """The whole page."""
    sections = [_INTRODUCTION]
    for target in CODECS.values():
        sections.append(f"## To `{target.api}` (`{target.path}`)\n")
        sections += (_table(source, target) for source in CODECS.values() if source is not target)
    sections.append(_ANSWERS)
    sections += (_answer_table(client) for client in CODECS.values())
    return "\n".join(sections)


def _answer_table(client: ChatCodec) -> str:
    rows = (
        f"| {feature.title} | {', '.join(sources)} | {client.answer_losses.lost[feature]} |\n"
        for feature in AnswerFeature
        if feature in client.answer_losses.lost and (sources := _sources(feature, client))
    )
    head = "| what is said | by | |\n|---|---|---|\n"
    return f"### To clients of `{client.api}`\n\n{head}{''.join(rows)}"


def _sources(feature: AnswerFeature, client: ChatCodec) -> list[str]:
    """The other APIs whose answers say it."""
    return [
        f"`{codec.api}`"
        for codec in CODECS.values()
        if codec is not client and codec.answer_losses.can_say(feature)
    ]


def _table(source: ChatCodec, target: ChatCodec) -> str:
    heading = f"### From `{source.api}`\n\n"
    if can_say(source.losses, Feature.CHAT):
        for loss in target.losses.of(Feature.CHAT, source.losses.own):
            return f"{heading}Refused: the API {loss.why}.\n"
    rows = list(_rows(source, target))
    if not rows:
        return f"{heading}Nothing is lost.\n"
    return heading + _HEAD + "".join(rows)


def _rows(source: ChatCodec, target: ChatCodec) -> Iterator[str]:
    for fate in Fate:
        for feature in Feature:
            if not can_say(source.losses, feature) or _is_moot(feature, source, target):
                continue
            for loss in target.losses.of(feature, source.losses.own):
                if loss.fate is fate:
                    yield f"| {feature.title} | {_fate(loss)} | {_sentence(loss)} |\n"


def _is_moot(feature: Feature, source: ChatCodec, target: ChatCodec) -> bool:
    """What it stands on is refused already."""
    return any(
        loss.fate is Fate.REFUSED
        for needed in NEEDED.get(feature, ())
        for loss in target.losses.of(needed, source.losses.own)
    )


def _fate(loss: Loss) -> str:
    return f"{loss.fate}: `{loss.named}`" if loss.named else str(loss.fate)


def _sentence(loss: Loss) -> str:
    where = SERVER_NAMES.get(loss.server)
    return loss.why if where is None else f"only {where}: {loss.why}"


if __name__ == "__main__":
    sys.stdout.write(translation_page())
