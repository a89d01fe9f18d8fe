"""What an API can't say, declared: the encoders drop by it, docs/translation.md is made of it.

Each dialect declares in its ``_losses.py`` what becomes of every feature of a request that one of
its APIs can't say as it was meant. What is not declared is said as it was meant; a test drives each
feature through each encoder and holds both to it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum, auto

from forebay.protocol.canonical.answer_features import AnswerFeature
from forebay.protocol.canonical.feature_needs import NEEDED
from forebay.protocol.canonical.features import Feature
from forebay.protocol.canonical.requests import ChatRequest, Dialect
from forebay.protocol.dialects.base import Api, ThinkingForm, UpstreamTraits


class Fate(StrEnum):
    """What becomes of what an API can't say as it was meant."""

    REFUSED = "refused"
    """400: the request would mean something else without it."""
    DROPPED = "dropped"
    """Left out and named, or 400: as ``on_unsupported`` says."""
    APPROXIMATED = "approximated"
    """Said as closely as the API can."""
    OMITTED = "omitted"
    """Left out without a word: it has a meaning for whoever made it only."""


class Server(Enum):
    """Which servers of an API a loss is about; by what encoders know of them."""

    ANY = auto()
    OPENAI = auto()
    COMPATIBLE = auto()
    OWN_SAMPLING = auto()
    THINKING = auto()
    WITHOUT_THINKING = auto()

    def has(self, traits: UpstreamTraits) -> bool:
        """Whether what has these traits is one of them."""
        itself = traits.max_output_field == "max_completion_tokens"
        match self:
            case Server.ANY:
                return True
            case Server.OPENAI:
                return itself
            case Server.COMPATIBLE:
                return not itself
            case Server.OWN_SAMPLING:
                return not traits.takes_sampling
            case Server.THINKING:
                return traits.thinking is not ThinkingForm.NONE
            case Server.WITHOUT_THINKING:
                return traits.thinking is ThinkingForm.NONE


SERVER_NAMES: Mapping[Server, str] = {
    Server.OPENAI: "at OpenAI itself",
    Server.COMPATIBLE: "at servers other than OpenAI",
    Server.OWN_SAMPLING: "for models that sample as they see fit",
    Server.WITHOUT_THINKING: "for models that can't reason",
}
"""Of those that a page has to set apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """One feature that one API can't say as it was meant."""

    feature: Feature
    fate: Fate
    why: str
    """One sentence in Markdown, without its full stop: what is said instead, or why nothing is."""
    named: str = ""
    """DROPPED: as ``x-forebay-dropped`` names it. REFUSED: ``param`` of the 400."""
    server: Server = Server.ANY
    kept_from: frozenset[Dialect] = frozenset()
    """Requests that came in these (keys of ``extras``) lose nothing."""
    by_circumstance: bool = False
    """DROPPED: only sometimes, and so by the encoder itself."""

    def concerns(self, request: ChatRequest, traits: UpstreamTraits) -> bool:
        """Whether ``request`` says the feature, and a server with these traits loses it."""
        return (
            self.server.has(traits)
            and self.kept_from.isdisjoint(request.extras)
            and self.feature.said(request)
        )


def refused(
    feature: Feature,
    named: str,
    why: str,
    *,
    server: Server = Server.ANY,
    kept_from: tuple[Dialect, ...] = (),
) -> Loss:
    """
    Args:
        kept_from: keys of ``extras`` of requests from which it is taken.
    """
    return Loss(
        feature=feature,
        fate=Fate.REFUSED,
        named=named,
        why=why,
        server=server,
        kept_from=frozenset(kept_from),
    )


def dropped(
    feature: Feature,
    named: str,
    why: str,
    *,
    server: Server = Server.ANY,
    kept_from: tuple[Dialect, ...] = (),
    by_circumstance: bool = False,
) -> Loss:
    return Loss(
        feature=feature,
        fate=Fate.DROPPED,
        named=named,
        why=why,
        server=server,
        kept_from=frozenset(kept_from),
        by_circumstance=by_circumstance,
    )


def approximated(
    feature: Feature, why: str, *, server: Server = Server.ANY, kept_from: tuple[Dialect, ...] = ()
) -> Loss:
    return Loss(
        feature=feature,
        fate=Fate.APPROXIMATED,
        why=why,
        server=server,
        kept_from=frozenset(kept_from),
    )


def omitted(feature: Feature, why: str, *, kept_from: tuple[Dialect, ...] = ()) -> Loss:
    return Loss(feature=feature, fate=Fate.OMITTED, why=why, kept_from=frozenset(kept_from))


class Losses:
    """All of one API."""

    def __init__(
        self, api: Api, own: Dialect, *losses: Loss, no_word_for: tuple[Feature, ...] = ()
    ) -> None:
        """
        Args:
            own: the key that the API's own requests have in ``extras``.
            losses: in the order in which clients are told of them.
            no_word_for: raw fields of other APIs that no client of this one says.
        """
        self.no_word_for = no_word_for
        self.api = api
        self.own = own
        self._losses = losses
        self._always_dropped = tuple(
            loss for loss in losses if loss.fate is Fate.DROPPED and not loss.by_circumstance
        )

    def __iter__(self) -> Iterator[Loss]:
        return iter(self._losses)

    def of(self, feature: Feature, source: Dialect | None = None) -> tuple[Loss, ...]:
        """What becomes of ``feature``, where it comes from ``source``; empty: nothing is lost."""
        return tuple(
            loss
            for loss in self._losses
            if loss.feature is feature and source not in loss.kept_from
        )

    def takes_image_at(self, link: str) -> bool:
        """Whether a server of the API gets an image from where ``link`` points to."""
        said = [Feature.IMAGES, Feature.IMAGE_LINKS]
        if link.lower().startswith("http:"):
            said.append(Feature.PLAIN_IMAGE_LINKS)
        return not any(loss.fate is Fate.REFUSED for feature in said for loss in self.of(feature))

    def dropped(self, request: ChatRequest, traits: UpstreamTraits) -> list[str]:
        """What of ``request`` is left out whatever the circumstances, by its name."""
        return [loss.named for loss in self._always_dropped if loss.concerns(request, traits)]


@dataclass(frozen=True, slots=True)
class AnswerLosses:
    """What an answer of another API loses on its way to a client of this one. Nobody is told: an
    answer that lacks something is better than none."""

    lost: Mapping[AnswerFeature, str]
    """With one sentence each, as :attr:`Loss.why`."""
    own: frozenset[AnswerFeature] = frozenset()
    """What servers of this API do say, each in a form of its own that no other can hold."""
    streamed: frozenset[AnswerFeature] = frozenset()
    """Of what is lost: what only whole answers lose."""

    def lost_by(self, *, streams: bool) -> frozenset[AnswerFeature]:
        """What a stream, or a whole answer, loses."""
        return frozenset(self.lost) - self.streamed if streams else frozenset(self.lost)

    def can_say(self, feature: AnswerFeature) -> bool:
        return feature in self.own or feature not in self.lost


def can_say(losses: Losses, feature: Feature) -> bool:
    """Whether a client of the API with these losses can say ``feature`` as it is meant, to a
    server of some kind."""
    return feature not in losses.no_word_for and not any(
        loss.server in (Server.ANY, Server.THINKING)
        for each in (feature, *NEEDED.get(feature, ()))
        for loss in losses.of(each, losses.own)
    )
