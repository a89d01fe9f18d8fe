"""The kinds of values that settings hold, and what each allows: names, numbers, URLs, secrets.

Numbers may be given as text, because that is how they come from a file or the environment. Rules
that name a value only through the field it stands in live here; what ties several settings
together is in :mod:`~forebay.actors.config.agreement`.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, TypeVar
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SecretStr,
    SerializerFunctionWrapHandler,
    WrapSerializer,
)
from pydantic_core import PydanticCustomError

from forebay.actors.config.name_expressions import ExpressionRefused, NameExpression
from forebay.actors.config.name_patterns import STAR
from forebay.actors.config.problems import Fault, broken
from forebay.actors.upstream.proxies import ProxyUnusable, read_proxy

SectionT = TypeVar("SectionT")
KeyT = TypeVar("KeyT")
ValueT = TypeVar("ValueT")

WEEK_MS = 7 * 24 * 3600 * 1000
YEAR_MS = 366 * 24 * 3600 * 1000

_SHORT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
_HOSTNAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9._-]{0,252}[A-Za-z0-9_])?")
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")  # RFC 9110, section 5.6.2
_HEADER_VALUE = re.compile(r"[!-~]([ -~]*[!-~])?")
_OWN_HEADERS = frozenset(
    {
        "connection",
        "content-length",
        "content-type",
        "host",
        "keep-alive",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)


def _empty_if_absent(value: object) -> object:
    # A section whose lines are all commented out reads as null.
    return {} if value is None else value


def _refuse_bool(value: object) -> object:
    if isinstance(value, bool):
        raise PydanticCustomError("float_type", "a bool is not a number")
    return value


_WHETHER = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


def _as_share(value: object) -> object:
    if isinstance(value, str):
        value = _WHETHER.get(value.lower(), value)
    return float(value) if isinstance(value, bool) else value


def _some(items: tuple[ValueT, ...]) -> tuple[ValueT, ...]:
    # Not min_length: pydantic counts only the valid items, so a bad one would be told twice.
    if not items:
        raise broken(Fault(message="must not be empty"))
    return items


def _freeze(value: Mapping[KeyT, ValueT]) -> Mapping[KeyT, ValueT]:
    return MappingProxyType(dict(value))


def _thaw(value: Mapping[str, object], serialize: SerializerFunctionWrapHandler) -> object:
    return serialize(dict(value))


Section = Annotated[SectionT, BeforeValidator(_empty_if_absent)]
"""A group of settings, all of which have defaults."""

Named = Annotated[
    Mapping[KeyT, ValueT],
    BeforeValidator(_empty_if_absent),
    AfterValidator(_freeze),
    WrapSerializer(_thaw),
]
"""A read-only mapping by name."""

SomeOf = Annotated[tuple[ValueT, ...], AfterValidator(_some)]
"""A list with at least one item."""

Whole = Annotated[int, BeforeValidator(_refuse_bool)]
Number = Annotated[float, BeforeValidator(_refuse_bool), Field(allow_inf_nan=False)]
Milliseconds = Annotated[Whole, Field(ge=0, le=WEEK_MS)]
SomeMilliseconds = Annotated[Whole, Field(gt=0, le=WEEK_MS)]
LongMilliseconds = Annotated[Whole, Field(gt=0, le=YEAR_MS)]
Bytes = Annotated[Whole, Field(gt=0, le=1 << 50)]
Count = Annotated[Whole, Field(gt=0, le=10**12)]
Rate = Annotated[Number, Field(gt=0, le=1e9)]
NotNegative = Annotated[Number, Field(ge=0, le=1e9)]
Share = Annotated[Number, Field(ge=0, le=1)]
ShareOrWhether = Annotated[Share, BeforeValidator(_as_share)]
"""``true`` is 1, ``false`` is 0."""
Weight = Annotated[Number, Field(gt=0, le=1e6)]
Port = Annotated[Whole, Field(ge=0, le=65535)]


def _address_range(text: str) -> str:
    try:
        ipaddress.ip_network(text)
    except ValueError:
        raise broken(
            Fault(
                message="is no range of IP addresses",
                fix="write it as in 192.168.1.0/24, or a single address",
                echo=True,
            )
        ) from None
    return text


AddressRange = Annotated[str, AfterValidator(_address_range)]
"""A range of IP addresses in CIDR notation, without bits beyond its prefix, or one address."""


def _short_name(name: str) -> str:
    if not _SHORT_NAME.fullmatch(name):
        raise broken(
            Fault(
                message="is not a name: 1 to 64 letters, digits, '.', '_', '-' or '@',"
                " beginning with a letter or digit"
            )
        )
    return name


def _model_name(name: str) -> str:
    if not name or name != name.strip() or not name.isprintable() or len(name) > 256:
        raise broken(
            Fault(message="is not a model's name: 1 to 256 characters, no spaces at the ends")
        )
    return name


_SIGNS_OF_EXPRESSIONS = re.compile(r"\.[*+]|^\^|\$$|[\\(|]")


def _alias_name(name: str) -> str:
    _model_name(name)
    if name.startswith(EXPRESSION_MARK):
        try:
            NameExpression(name.removeprefix(EXPRESSION_MARK))
        except ExpressionRefused as fault:
            raise broken(Fault(message=str(fault))) from None
    elif _SIGNS_OF_EXPRESSIONS.search(name):
        raise broken(
            Fault(
                message="looks like a regular expression",
                fix=f'write {EXPRESSION_MARK} before it, as in "{EXPRESSION_MARK}{name}"',
            )
        )
    elif name.count(STAR) > 1:
        raise broken(Fault(message="has more than one star", fix="use one"))
    return name


EXPRESSION_MARK = "~"
"""Begins an alias that is a regular expression, as nginx has it."""

AliasName = Annotated[str, AfterValidator(_alias_name)]
"""Another name for a model: may have a star, or be a regular expression."""

ShortName = Annotated[str, AfterValidator(_short_name)]
"""Of a provider or a client: goes into log lines, metrics and the provider part of targets."""

ModelName = Annotated[str, AfterValidator(_model_name)]
"""Whatever clients ask for: may hold slashes and colons."""


def _file_path(path: str) -> str:
    if not path or "\0" in path or not path.isprintable():
        raise broken(Fault(message="is not the path of a file"))
    return path


FilePath = Annotated[str, AfterValidator(_file_path)]

ModelId = Annotated[str, AfterValidator(_model_name)]
"""A provider's own id of a model."""


def split_target(target: str) -> tuple[str, str]:
    """The provider and the provider's own id of the model, of ``provider/model-id``.

    The provider ends at the first slash; the model id may hold more of them.

    Raises:
        ValueError: there is no slash.
    """
    provider, slash, model_id = target.partition("/")
    if not slash:
        raise ValueError("a target is written provider/model-id")
    return provider, model_id


def _target(target: str) -> str:
    provider, slash, model_id = target.partition("/")
    if not slash or not provider or not model_id:
        raise broken(
            Fault(message="must be written provider/model-id, as in openai/gpt-5-mini", echo=True)
        )
    if target != target.strip() or not target.isprintable() or len(target) > 512:
        raise broken(Fault(message="holds spaces at an end, control characters or too much text"))
    return target


Target = Annotated[str, AfterValidator(_target)]
"""``provider/model-id``."""


def _http_url(url: str) -> str:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise broken(
            Fault(message="is not a URL", fix="write it as in http://127.0.0.1:8000/v1")
        ) from None
    if parts.scheme not in ("http", "https") or not host:
        raise broken(
            Fault(
                message="must be a URL that begins with http:// or https://",
                fix="write it as in http://127.0.0.1:8000/v1",
            )
        )
    if parts.username is not None or parts.password is not None:
        raise broken(
            Fault(message="must not hold a user name or password", fix="use api_key or headers")
        )
    if parts.query or parts.fragment or "?" in url or "#" in url:
        raise broken(
            Fault(
                message="must not hold a query ('?') or fragment ('#')",
                fix="a key belongs in api_key or headers",
            )
        )
    if not _is_host(host) or not url.isascii() or not url.isprintable() or " " in url:
        raise broken(Fault(message="holds characters that a URL can't have"))
    return url.rstrip("/")


def _is_host(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return _HOSTNAME.fullmatch(host) is not None
    return True


HttpUrl = Annotated[str, AfterValidator(_http_url)]
"""An http or https URL without credentials and query; given without its trailing slash."""


def _proxy(value: SecretStr) -> SecretStr:
    text = value.get_secret_value().strip()
    if text.lower() == NO_PROXY:
        return SecretStr(NO_PROXY)
    try:
        read_proxy(text, "")
    except ProxyUnusable as fault:
        raise broken(
            Fault(message=str(fault), fix="write it as in http://proxy.example:3128, or none")
        ) from None
    return SecretStr(text)


NO_PROXY = "none"
"""Instead of a proxy: calls go out directly, whatever the environment says."""

ProxyUrl = Annotated[SecretStr, AfterValidator(_proxy)]
"""Of an http or https proxy, perhaps with a user name and password; or ``none``."""


def _bind_host(host: str) -> str:
    if not _is_host(host):
        raise broken(
            Fault(
                message="must be an IP address or a host name, without a port",
                fix="write it as in 127.0.0.1, ::1 or 0.0.0.0",
                echo=True,
            )
        )
    return host


BindHost = Annotated[str, AfterValidator(_bind_host)]
"""An address to listen at."""


def is_loopback(host: str) -> bool:
    """Whether only programs of this machine can reach a socket that listens at ``host``."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _header_secret(value: SecretStr) -> SecretStr:
    text = value.get_secret_value()
    if not text:
        raise broken(Fault(message="must not be empty"))
    if not _HEADER_VALUE.fullmatch(text):
        raise broken(
            Fault(
                message="holds a line break, a space at an end, or characters outside ASCII;"
                " it could not be sent in a header"
            )
        )
    return value


def _key(value: SecretStr) -> SecretStr:
    if " " in _header_secret(value).get_secret_value():
        raise broken(Fault(message="must not hold spaces"))
    return value


Key = Annotated[SecretStr, AfterValidator(_key)]
"""A key as it is sent in a header: printable ASCII without spaces, never empty."""


def _header_name(name: str) -> str:
    if not _HEADER_NAME.fullmatch(name):
        raise broken(Fault(message="is not a header's name"))
    if name.lower() in _OWN_HEADERS:
        raise broken(Fault(message="is a header that Forebay sets itself", fix="remove it"))
    return name


def _lower_names(headers: Mapping[str, SecretStr]) -> Mapping[str, SecretStr]:
    lowered: dict[str, SecretStr] = {}
    for name, value in headers.items():
        if name.lower() in lowered:
            raise broken(Fault(at=(name,), message="appears twice (case makes no difference)"))
        lowered[name.lower()] = value
    return lowered


Headers = Annotated[
    Named[
        Annotated[str, AfterValidator(_header_name)],
        Annotated[SecretStr, AfterValidator(_header_secret)],
    ],
    AfterValidator(_lower_names),
    AfterValidator(_freeze),
]
"""Static headers; names in lower case, values secret."""
