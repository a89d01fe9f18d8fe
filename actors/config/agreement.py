"""Rules that tie several settings together, within a section and between sections.

Each rule looks through a :class:`~forebay.actors.config.views.View`, which knows what is wrong by
itself. So it can be asked of a configuration with other mistakes in it, and all are told in one
run: a rule that needs a wrong value says nothing, and a name stays a name whatever stands under it.
Those of a provider are in :mod:`~forebay.actors.config.provider_agreement`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace
from typing import Final
from urllib.parse import urlsplit

from pydantic import BaseModel

from forebay.actors.config.name_agreement import wrong_names
from forebay.actors.config.problems import Fault, Location, did_you_mean
from forebay.actors.config.provider_agreement import within_provider, within_target
from forebay.actors.config.values import is_loopback
from forebay.actors.config.views import Rule, View

_ANY_ADDRESS: Final = frozenset({"0.0.0.0", "::"})
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}

# Within a section; locations count from the section.


def within_server(server: View) -> Iterator[Fault]:
    waiting, largest = server.number("waiting_bytes"), server.number("max_body_bytes")
    if waiting is not None and largest is not None and waiting < largest:
        yield Fault(
            at=("waiting_bytes",),
            message="must be at least max_body_bytes, or the largest request never fits",
            echo=True,
        )


def within_model(model: View) -> Iterator[Fault]:
    seen: set[str] = set()
    for index, target in model.items("targets"):
        if target in seen:
            yield Fault(at=("targets", index), message="appears twice among the targets", echo=True)
        seen.add(target)
    yield from _within_weights(model)


def _within_weights(model: View) -> Iterator[Fault]:
    targets, weights = model.known("targets"), model.known("weights")
    if not model.given("weights"):
        if model.text("strategy") == "weighted":
            yield Fault(
                at=("weights",),
                message="is required where the strategy is weighted",
                fix="write a weight for each target, as in weights: [95, 5]",
            )
        return
    if not model.is_wrong("strategy") and model.text("strategy") != "weighted":
        yield Fault(
            at=("weights",),
            message="is for the strategy weighted only",
            fix="set strategy: weighted, or remove it",
        )
    if not isinstance(weights, list | tuple) or not isinstance(targets, list | tuple):
        return
    if len(weights) != len(targets):
        yield Fault(
            at=("weights",),
            message=f"has {len(weights)} numbers for {len(targets)} targets",
            fix="write one for each target",
        )
    elif not any(map(_is_positive, weights)):
        yield Fault(at=("weights",), message="must not all be 0")


def _is_positive(weight: object) -> bool:
    """A number may be written as text."""
    try:
        return not isinstance(weight, int | float | str) or float(weight) > 0
    except ValueError:
        return True  # told by itself


def within_defaults(defaults: View) -> Iterator[Fault]:
    if defaults.text("unknown_model") == "default" and not any(
        defaults.given(dialect) for dialect in ("openai", "anthropic", "ollama")
    ):
        yield Fault(
            at=("unknown_model",),
            message="is 'default', but there is no default model",
            fix="set defaults.openai, defaults.anthropic or defaults.ollama",
        )


# Between sections; locations count from the top.


def between_sections(settings: View) -> Iterator[Fault]:
    yield from _wrong_groups(settings)
    yield from _dangling_targets(settings)
    yield from wrong_names(settings)
    yield from _shared_client_keys(settings)
    yield from _shared_keyless_dialects(settings)
    yield from _open_door(settings)
    yield from _loops(settings)


def _wrong_groups(settings: View) -> Iterator[Fault]:
    if settings.is_wrong("providers"):
        return
    providers = settings.names("providers")
    for name in settings.names("groups"):
        if name in providers:
            yield Fault(
                at=("groups", name),
                message="is the name of a provider, too",
                fix="give the group another name",
            )
        seen: set[str] = set()
        for index, provider in settings.items("groups", name):
            at: Location = ("groups", name, index)
            if provider in seen:
                yield Fault(at=at, message="appears twice in the group", echo=True)
            elif provider not in providers:
                yield Fault(
                    at=at,
                    message="names a provider that is not configured",
                    fix=_known_providers(provider, providers),
                    echo=True,
                )
            seen.add(provider)


def _dangling_targets(settings: View) -> Iterator[Fault]:
    if settings.is_wrong("providers") or settings.is_wrong("groups"):
        return
    providers = [*settings.names("providers"), *settings.names("groups")]
    for name in settings.names("models"):
        for index, target in settings.items("models", name, "targets"):
            provider = target.partition("/")[0]
            if provider not in providers:
                yield Fault(
                    at=("models", name, "targets", index),
                    message="names a provider that is not configured",
                    fix=_known_providers(provider, providers),
                    echo=True,
                )


def _known_providers(wrong: str, providers: list[str]) -> str:
    if not providers:
        return "there are none yet: add it under providers"
    return did_you_mean(wrong, providers) or f"there are: {', '.join(providers)}"


def _shared_client_keys(settings: View) -> Iterator[Fault]:
    holders: dict[str, str] = {}
    for name in settings.names("clients"):
        key = settings.text("clients", name, "key")
        if key is None:
            continue
        holder = holders.setdefault(key, name)
        if holder != name:
            yield Fault(
                at=("clients", name, "key"),
                message=f"is the same as the key of {holder}; every client needs its own",
            )


def _shared_keyless_dialects(settings: View) -> Iterator[Fault]:
    holders: dict[str, str] = {}
    for name in settings.names("clients"):
        for index, dialect in settings.items("clients", name, "keyless"):
            holder = holders.setdefault(dialect, name)
            if holder != name:
                yield Fault(
                    at=("clients", name, "keyless", index),
                    message=f"is served without a key as {holder} already; it can be one client's",
                    echo=True,
                )
        if (
            settings.given("clients", name, "keyless_from")
            and not settings.is_wrong("clients", name, "keyless")
            and not settings.items("clients", name, "keyless")
        ):
            yield Fault(
                at=("clients", name, "keyless_from"),
                message="is for clients with keyless only",
                fix="name the dialects, as in keyless: [ollama], or remove it",
            )


def _open_door(settings: View) -> Iterator[Fault]:
    host = settings.text("server", "host")
    if settings.is_wrong("clients") or settings.known("clients") or host is None:
        return
    if not is_loopback(host):
        yield Fault(
            at=("server", "host"),
            message="lets others in without a key",
            fix="add clients, or listen at 127.0.0.1",
            echo=True,
        )


def _loops(settings: View) -> Iterator[Fault]:
    # Whoever points their SDKs at the gateway has OPENAI_BASE_URL or OLLAMA_HOST set to it.
    for name in settings.names("providers"):
        at: Location = ("providers", name, "base_url")
        url = settings.text(*at)
        if url is not None and _is_own_address(settings, url):
            yield _loop(at)
        for index, host in settings.items("providers", name, "hosts"):
            if _is_own_address(settings, host):
                yield _loop(("providers", name, "hosts", index))


def _is_own_address(settings: View, url: str) -> bool:
    own, own_port = settings.text("server", "host"), settings.number("server", "port")
    if own is None or not own_port:  # 0 is a port that nobody can know beforehand
        return False
    parts = urlsplit(url)
    host = parts.hostname or ""
    if (parts.port or _DEFAULT_PORTS[parts.scheme]) != own_port:
        return False
    own = own.lower()
    return host == own or (is_loopback(host) and (own in _ANY_ADDRESS or is_loopback(own)))


def _loop(at: Location) -> Fault:
    return Fault(
        at=at,
        message="is the address of this gateway itself",
        fix="give the provider's own address, or another server.port",
    )


# All of them.


def disagreements(data: object, wrong: Collection[Location], *, fallback: BaseModel) -> list[Fault]:
    """What the rules still find in ``data``, of which ``wrong`` is known to be wrong.

    Args:
        data: as it was written. Locations count from its top.
        wrong: what was found before, also by these rules: it is not told again.
        fallback: valid settings with the defaults of all sections.
    """
    settings = View(data, wrong=wrong, fallback=fallback)
    sections: list[tuple[Rule, Location]] = [
        (within_server, ("server",)),
        (within_defaults, ("defaults",)),
        *((within_provider, ("providers", name)) for name in settings.names("providers")),
        *(
            (within_target, ("providers", name, "targets", model_id))
            for name in settings.names("providers")
            for model_id in settings.names("providers", name, "targets")
        ),
        *((within_model, ("models", name)) for name in settings.names("models")),
    ]
    faults = [
        replace(fault, at=(*at, *fault.at))
        for rule, at in sections
        for fault in rule(settings.below(*at))
    ]
    faults += between_sections(settings)
    return [fault for fault in faults if not settings.is_wrong(*fault.at)]
