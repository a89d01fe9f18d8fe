"""docs/providers.md, made of what the profiles declare::

python -m forebay.protocol.kinds_page > docs/providers.md
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from textwrap import fill
from urllib.parse import urlsplit

from forebay.protocol.dialects.base import Api, Prefill
from forebay.protocol.providers import PROFILES
from forebay.protocol.providers.base import Greeting, ProviderProfile

_INTRODUCTION = """\
# Kinds of providers

Made of the profiles in `protocol/providers/`, one file for each kind; a test drives each kind
through the whole gateway, against an imitation of that provider's real API. To write it anew:
`python -m forebay.protocol.kinds_page > docs/providers.md`.

How providers are configured, and which environment variables give which, is in
[configuration.md](configuration.md#providers-who-answers). What a translated request loses,
whoever serves it, is in [translation.md](translation.md). A provider may have several APIs: a
client whose own API is among them is relayed, byte for byte; all others are translated into the one
that loses least.

Limits that a provider tells in no way are learned by trying. Those that are configured come first.
"""

_WORKED_EXAMPLE = '''\
## Adding a kind

One file in `protocol/providers/`, which is found there by its `PROFILE`. A provider in OpenAI's
style whose answers tell its limits in fixed windows is no more than this:

```python
"""Cerebras: open models at high speed."""

from forebay.protocol.dialects.openai import OPENAI, OPENAI_CHAT, OPENAI_COMPLETIONS
from forebay.protocol.providers.base import KnownAs, Notes, Probe, ProviderProfile
from forebay.protocol.providers.classification import classify_by_status
from forebay.protocol.providers.limits.openai_headers import openai_reader

PROFILE = ProviderProfile(
    kind="cerebras",
    known_as=KnownAs(prices="cerebras", capabilities="cerebras"),
    notes=Notes(
        title="Cerebras",
        limits="the headers `x-ratelimit-*-day` and `-minute` of every answer.",
        lossy=("There are no embeddings.",),
    ),
    default_base_url="https://api.cerebras.ai/v1",
    paths={OPENAI_CHAT: "/chat/completions", OPENAI_COMPLETIONS: "/completions"},
    listing_path="/models",
    listing_dialect=OPENAI,
    classify=classify_by_status,
    read_limits=openai_reader(),
    probe=Probe(path="/models"),
)
```

What a provider does otherwise has a place of its own in the profile:

- `known_as`: what the tables of prices and capabilities call it.
- `greeting`: how it takes its key.
- `paths` and `bases`: where its APIs are, the best one for translated requests first; `bases` for
  those that are not below the base URL.
- `classify`: what its refusals mean: wait, go elsewhere, take the model or the account out, or tell
  the client.
- `read_limits`: what the headers of its answers tell.
- `read_entry` and `other_listing`: what its listing tells of a model: lengths, prices,
  capabilities, an end. The usual fields are known.
- `traits` and `model_traits`: what an encoder must know: fields that are refused, names, defaults;
  where models differ, from the model's id.
- `details`: where it tells more of its models, or of how many calls at once it takes, than in its
  listing.
- `loaded_models`: where each of several hosts tells what it has in memory.
- `probe`: a question that costs nothing, for health checks.

And a table in `tests/support/imitations/`, from the provider's documents and not from the profile:

```python
from imitations.answering import openai_chat
from imitations.kinds import ImitatedKind, Refusal, openai_error

from forebay.protocol.canonical.listed_models import ListedModel

TABLE = ImitatedKind(
    kind="cerebras",
    address="https://api.cerebras.ai/v1",
    model="gpt-oss-120b",
    apis={"/v1/chat/completions": openai_chat},
    listing=("/v1/models", {"object": "list", "data": [{"id": "gpt-oss-120b"}]}),
    listed=(ListedModel("gpt-oss-120b"),),
    wrong_key=Refusal(status=401, body=openai_error("Wrong API Key", None, "wrong_api_key")),
    rate_limited=Refusal(
        status=429,
        body=openai_error("Requests per minute limit exceeded", None, "request_quota_exceeded"),
        headers={"retry-after": "3"},
    ),
    waits=3.0,
    spent=None,
    overloaded=Refusal(status=503, body=openai_error("Too much traffic", None, None)),
    overflow=Refusal(
        status=400, body=openai_error("Please reduce it", None, "context_length_exceeded")
    ),
    limit_headers={
        "x-ratelimit-limit-requests-day": "1000",
        "x-ratelimit-remaining-requests-day": "999",
        "x-ratelimit-reset-requests-day": "33011.38",
    },
    told=frozenset({"requests-day"}),
)
```

Then `pytest tests/gateway/test_provider_kinds*.py` runs chats, streams, tools, embeddings,
limits and failures in all dialects against it, and refuses what the real API would refuse. That is
all but this page, which is written anew as said at its top; a test holds it to that.
'''

_GREETINGS = {
    Greeting.BEARER: "`Authorization: Bearer`",
    Greeting.X_API_KEY: "`x-api-key`",
    Greeting.API_KEY: "`api-key`",
}


def kinds_page() -> str:
    """The whole page."""
    profiles = PROFILES.values()
    return "\n".join([_INTRODUCTION, _overview(profiles), *map(section, profiles), _WORKED_EXAMPLE])


def _overview(profiles: Iterable[ProviderProfile]) -> str:
    rows = "\n".join(
        f"| `{each.kind}` | {_address(each)} | {_needs(each)} | {each.notes.title} |"
        for each in profiles
    )
    return f"| kind | `base_url` | `api_key` | for |\n|---|---|---|---|\n{rows}\n"


def _address(profile: ProviderProfile) -> str:
    address = profile.default_base_url
    place = "required" if address is None else f"`{address}`"
    return f"{place}, or `hosts`" if profile.takes_hosts else place


def section(profile: ProviderProfile) -> str:
    """What one kind is."""
    notes = profile.notes
    rows = "\n".join(f"| {name} | {said} |" for name, said in _facts(profile))
    lines = [f"## `{profile.kind}`: {notes.title}", "", f"| | |\n|---|---|\n{rows}", ""]
    lines += [_wrapped(f"Limits are learned from {notes.limits}"), ""]
    lines += ["What is lossy:", "", *map(_item, notes.lossy), ""]
    if notes.remarks:
        lines += ["To know:", "", *map(_item, notes.remarks), ""]
    return "\n".join(lines)


def _wrapped(text: str, indent: str = "") -> str:
    return fill(text, 100, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def _item(text: str) -> str:
    return _wrapped(f"- {text}", "  ")


def _facts(profile: ProviderProfile) -> Iterator[tuple[str, str]]:
    address = profile.default_base_url
    yield "base URL", "required" if address is None else f"`{address}`"
    yield "key", f"{_needs(profile)}, sent as {_GREETINGS[profile.greeting]}"
    yield "APIs", "<br>".join(_where(profile, api) for api in profile.paths)
    listing = f"`GET {profile.listing_path}`"
    if profile.other_listing is not None:
        listing += f", or else `GET {profile.other_listing.path}`"
    yield "models", listing
    if profile.details:
        yield (
            "tells more at",
            "<br>".join(
                f"`{'GET' if each.body is None else 'POST'} {each.path}`"
                for each in profile.details
            ),
        )
    if profile.probe is not None:
        url = profile.probe_url(address or "http://host/v1") or ""
        path = urlsplit(url).path if profile.probe.from_root else profile.probe.path
        yield (
            "free probe",
            f"`GET {path}`" + ("" if profile.probe.checks_key else ", without a key"),
        )
    known = profile.traits.known_fields
    if known is not None:
        yield "fields of a chat", ", ".join(f"`{name}`" for name in sorted(known))
    prefill = profile.traits.prefill
    if prefill is not Prefill.NONE:
        yield "goes on with a turn", f"`{prefill}`"


def _needs(profile: ProviderProfile) -> str:
    if not profile.needs_key:
        return "optional"
    return "required" if profile.needs_key_elsewhere else "required without `base_url`"


def _where(profile: ProviderProfile, api: Api) -> str:
    path = profile.paths[api]
    base = profile.bases.get(api)
    return f"`{api}` at `{path}`" if base is None else f"`{api}` at `{base}{path}` of the same host"


if __name__ == "__main__":
    sys.stdout.write(kinds_page())
