"""Rules about the names of models: what they lead to, and their stars."""

from __future__ import annotations

from collections.abc import Iterator

from forebay.actors.config.name_expressions import ExpressionRefused, NameExpression
from forebay.actors.config.name_patterns import STAR, Wildcard, has_star
from forebay.actors.config.problems import Fault, Location, did_you_mean
from forebay.actors.config.values import EXPRESSION_MARK
from forebay.actors.config.views import View
from forebay.protocol.canonical.auto_names import is_auto, needs_in
from forebay.protocol.canonical.needs_grammar import NeedsUnreadable


def wrong_names(settings: View) -> Iterator[Fault]:
    """Locations count from the top."""
    yield from _wrong_stars(settings)
    if any(settings.is_wrong(each) for each in ("models", "providers", "groups", "aliases")):
        return
    yield from _wrong_aliases(settings)
    yield from _dangling_names(settings)


def _wrong_stars(settings: View) -> Iterator[Fault]:
    for name in settings.names("models"):
        if name.count(STAR) > 1:
            yield Fault(at=("models", name), message="has more than one star", fix="use one")
        for index, target in settings.items("models", name, "targets"):
            at: Location = ("models", name, "targets", index)
            provider, _, model_id = target.partition("/")
            if has_star(provider) or model_id.count(STAR) > 1:
                yield Fault(
                    at=at,
                    message="may have one star, in the model's id",
                    fix="write it as in azure/gpt-*",
                    echo=True,
                )
            elif has_star(model_id) and not has_star(name):
                yield Fault(
                    at=at,
                    message="has a star, and the model's name has none",
                    fix=f"name the model as in '{name}-*', or write out the target",
                    echo=True,
                )


def _wrong_aliases(settings: View) -> Iterator[Fault]:
    models, aliases = settings.names("models"), settings.names("aliases")
    for alias in aliases:
        at: Location = ("aliases", alias)
        if alias in models:
            yield Fault(at=at, message="is the name of a model, too", fix="remove one of them")
        name = settings.text(*at)
        if name is None:
            continue
        if alias.startswith(EXPRESSION_MARK):
            yield from _wrong_template(at, alias, name)
        elif has_star(name) and not has_star(alias):
            yield Fault(at=at, message="has a star, and the alias has none", echo=True)
        elif name.count(STAR) > 1:
            yield Fault(at=at, message="has more than one star", fix="use one", echo=True)
        elif name in aliases:
            yield Fault(
                at=at,
                message="names another alias",
                fix=f"name what that stands for: {settings.text('aliases', name)}",
                echo=True,
            )
        elif not has_star(name):
            yield from _unknown(settings, at, name)


def _wrong_template(at: Location, alias: str, template: str) -> Iterator[Fault]:
    try:
        NameExpression(alias.removeprefix(EXPRESSION_MARK)).check_template(template)
    except ExpressionRefused as fault:
        yield Fault(at=at, message=str(fault), echo=True)


def _dangling_names(settings: View) -> Iterator[Fault]:
    aliases = settings.names("aliases")
    patterns = [Wildcard.of(alias) for alias in aliases if has_star(alias)]
    places: list[tuple[Location, bool]] = [
        (("defaults", dialect), False) for dialect in ("openai", "anthropic", "ollama")
    ]
    places += [
        (("clients", client, "models", index), True)
        for client in settings.names("clients")
        for index, _ in settings.items("clients", client, "models")
    ]
    for at, is_list in places:
        name = settings.text(*at)
        if name is None or name in aliases or (is_list and has_star(name)):
            continue
        if not any(pattern.star_in(name) for pattern in patterns):
            yield from _unknown(settings, at, name)


def _unknown(settings: View, at: Location, name: str) -> Iterator[Fault]:
    """Where ``name`` can't be the name of anything."""
    if is_auto(name):
        try:
            needs_in(name)
        except NeedsUnreadable as fault:
            yield Fault(at=at, message=str(fault))
        return
    models = settings.names("models")
    providers = [*settings.names("providers"), *settings.names("groups")]
    provider, _, model_id = name.partition("/")
    is_pattern = (Wildcard.of(model).star_in(name) for model in models if has_star(model))
    if name not in models and not any(is_pattern) and not (provider in providers and model_id):
        yield Fault(
            at=at,
            message="names no model, and no provider/model-id of a configured provider",
            fix=did_you_mean(name, [*models, *settings.names("aliases")]),
            echo=True,
        )
