"""Rules that tie several settings together, within a section and between sections.

Each rule looks through a :class:`View`, which knows what is wrong by itself. So it can be asked of
a configuration with other mistakes in it, and all are told in one run: a rule that needs a wrong
value says nothing, and a name stays a name whatever stands under it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from typing import Final, TypeAlias
from urllib.parse import urlsplit

from pydantic import BaseModel, SecretStr

from forebay.actors.config.problems import Fault, Location, did_you_mean
from forebay.actors.config.values import is_loopback
from forebay.protocol.providers import PROFILES

_CREDENTIAL_HEADERS: Final = frozenset({"authorization", "x-api-key", "api-key"})
_ANY_ADDRESS: Final = frozenset({"0.0.0.0", "::"})
_TLS_FILES: Final = ("ca_file", "client_cert", "client_key")
_NO: Final = frozenset({"false", "no", "off", "0", "f", "n"})
"""As pydantic reads them."""
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


class View:
    """A part of a configuration, validated or as it was written, and what is wrong in it."""

    def __init__(
        self,
        data: object,
        *,
        wrong: Collection[Location] = (),
        fallback: BaseModel | None = None,
        at: Location = (),
    ) -> None:
        """
        Args:
            data: validated sections, or text, lists and mappings.
            wrong: where values are wrong by themselves, counted from the top.
            fallback: has the value of what ``data`` leaves out.
            at: where ``data`` stands, counted from the top.
        """
        self._data = data
        self._wrong = wrong
        self._fallback = fallback
        self._at = at

    def below(self, *parts: str | int) -> View:
        """The part that stands there."""
        fallback = _found(self._fallback, parts)
        return View(
            _found(self._data, parts),
            wrong=self._wrong,
            fallback=fallback if isinstance(fallback, BaseModel) else None,
            at=(*self._at, *parts),
        )

    def is_wrong(self, *parts: str | int) -> bool:
        """Whether the value there, or something that it stands in, is wrong."""
        at = (*self._at, *parts)
        return any(at[:length] in self._wrong for length in range(len(at) + 1))

    def given(self, *parts: str | int) -> bool:
        """Whether there is a value, right or wrong."""
        return _found(self._data, parts) is not None

    def known(self, *parts: str | int) -> object:
        """The value there; None if there is none, or a wrong one."""
        if self.is_wrong(*parts):
            return None
        value = _found(self._data, parts)
        return _found(self._fallback, parts) if value is None else value

    def text(self, *parts: str | int) -> str | None:
        """The text there, secret or not, if it is known."""
        value = self.known(*parts)
        if isinstance(value, SecretStr):
            return value.get_secret_value()
        return value if isinstance(value, str) else None

    def number(self, *parts: str | int) -> int | None:
        """The whole number there, which may be written as text, if it is known."""
        value = self.known(*parts)
        try:
            return int(value) if isinstance(value, int | str | float) else None
        except (ValueError, OverflowError):
            return None

    def names(self, *parts: str | int) -> list[str]:
        """The names in the mapping there, also those of what is wrong."""
        found = _found(self._data, parts)
        if not isinstance(found, Mapping):
            return []
        return [name for name in found if isinstance(name, str)]

    def items(self, *parts: str | int) -> list[tuple[int, str]]:
        """The texts in the list there, as far as they are known, with their positions."""
        found = self.known(*parts)
        if not isinstance(found, list | tuple):
            return []
        texts = [(index, self.text(*parts, index)) for index in range(len(found))]
        return [(index, text) for index, text in texts if text is not None]


def _found(data: object, parts: Location) -> object:
    for part in parts:
        match data:
            case BaseModel():
                data = getattr(data, str(part), None)
            case Mapping():
                data = data.get(part)
            case list() | tuple() if isinstance(part, int) and part < len(data):
                data = data[part]
            case _:
                return None
    return data


Rule: TypeAlias = Callable[[View], Iterator[Fault]]

# Within a section; locations count from the section.


def within_server(server: View) -> Iterator[Fault]:
    waiting, largest = server.number("waiting_bytes"), server.number("max_body_bytes")
    if waiting is not None and largest is not None and waiting < largest:
        yield Fault(
            at=("waiting_bytes",),
            message="must be at least max_body_bytes, or the largest request never fits",
            echo=True,
        )


def within_provider(provider: View) -> Iterator[Fault]:
    kind = provider.text("kind")
    profile = None if kind is None else PROFILES.get(kind)
    if profile is None:
        return
    if provider.given("hosts"):
        hosts = [host.rstrip("/") for _, host in provider.items("hosts")]
        if not profile.takes_hosts:
            yield Fault(
                at=("hosts",),
                message=f"is not for providers of kind {kind}",
                fix="use base_url, and one provider for each server",
            )
        elif provider.given("base_url"):
            yield Fault(at=("hosts",), message="and base_url exclude each other", fix="keep one")
        if len(set(hosts)) < len(hosts):
            yield Fault(at=("hosts",), message="names a host twice")
    elif not provider.given("base_url") and profile.default_base_url is None:
        yield Fault(at=("base_url",), message=f"is required for providers of kind {kind}")
    credentials = {name.lower() for name in provider.names("headers")} & _CREDENTIAL_HEADERS
    needs_key = profile.needs_key and (
        profile.needs_key_elsewhere or not provider.given("base_url")
    )
    if needs_key and not provider.given("api_key") and not credentials:
        yield Fault(
            at=("api_key",),
            message=f"is required for providers of kind {kind}",
            fix='write it as in api_key: "${NAME}", with the key in the environment',
        )
    yield from _within_tls(provider)


def _within_tls(provider: View) -> Iterator[Fault]:
    is_unverified = _is_no(provider.known("tls", "verify"))
    urls = [provider.text("base_url"), *(host for _, host in provider.items("hosts"))]
    known = [url for url in urls if url is not None]
    if (
        (is_unverified or any(provider.given("tls", name) for name in _TLS_FILES))
        and known
        and not any(url.startswith("https:") for url in known)
    ):
        yield Fault(
            at=("tls",),
            message="is of no use: no address of this provider begins with https://",
            fix="write https:// there, or remove it",
        )
    if is_unverified and provider.given("tls", "ca_file"):
        yield Fault(
            at=("tls", "ca_file"), message="and verify: false exclude each other", fix="keep one"
        )
    for name in ("client_key", "client_key_password"):
        if provider.given("tls", name) and not provider.given("tls", "client_cert"):
            yield Fault(at=("tls", name), message="is of no use without client_cert")


def _is_no(value: object) -> bool:
    """A bool may be written as text."""
    return value is False or (isinstance(value, str) and value.lower() in _NO)


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
    yield from _dangling_model_names(settings)
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


def _dangling_model_names(settings: View) -> Iterator[Fault]:
    if any(settings.is_wrong(section) for section in ("models", "providers", "groups")):
        return
    places: list[Location] = [
        ("defaults", dialect) for dialect in ("openai", "anthropic", "ollama")
    ]
    places += [
        ("clients", client, "models", index)
        for client in settings.names("clients")
        for index, _ in settings.items("clients", client, "models")
    ]
    models = settings.names("models")
    providers = [*settings.names("providers"), *settings.names("groups")]
    for at in places:
        name = settings.text(*at)
        if name is None:
            continue
        provider, _, model_id = name.partition("/")
        if name not in models and not (provider in providers and model_id):
            yield Fault(
                at=at,
                message="names no model, and no provider/model-id of a configured provider",
                fix=did_you_mean(name, models),
                echo=True,
            )


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
        *((within_model, ("models", name)) for name in settings.names("models")),
    ]
    faults = [
        replace(fault, at=(*at, *fault.at))
        for rule, at in sections
        for fault in rule(settings.below(*at))
    ]
    faults += between_sections(settings)
    return [fault for fault in faults if not settings.is_wrong(*fault.at)]
