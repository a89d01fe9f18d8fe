"""Azure's way of writing OpenAI's paths, so that its clients need nothing but another address.

``/openai/deployments/NAME/chat/completions?api-version=...`` is ``/v1/chat/completions`` for the
model NAME; ``/openai/v1/...`` is ``/v1/...``, and so is ``/openai/...`` of what has no deployment.
The version is Azure's own and means nothing here.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import replace
from typing import Final

from forebay.endpoints.heads import RequestHead

_DEPLOYMENTS: Final = "/openai/deployments/"
_PLAIN: Final = "/openai/v1/"
_WITH_IDS: Final = ("/openai/models", "/openai/responses")
_AZURES_OWN: Final = "api-version"


def as_plain(head: RequestHead, paths: AbstractSet[str]) -> RequestHead:
    """The head as OpenAI's own clients would have sent it; any other head as it is.

    Args:
        paths: of OpenAI's APIs that can be asked for an answer.
    """
    if not head.path.startswith("/openai/"):
        return head
    path, deployment = _plain_path(head.path, paths)
    if path == head.path:
        return head
    query = tuple((name, value) for name, value in head.query_fields if name != _AZURES_OWN)
    return replace(head, path=path, query_fields=query, deployment=deployment)


def _plain_path(path: str, paths: AbstractSet[str]) -> tuple[str, str | None]:
    if path.startswith(_PLAIN):
        return path.removeprefix("/openai"), None
    below_v1 = "/v1" + path.removeprefix("/openai")
    if below_v1 in paths or f"{path}/".startswith(tuple(f"{each}/" for each in _WITH_IDS)):
        return below_v1, None
    if path.startswith(_DEPLOYMENTS):
        rest = path.removeprefix(_DEPLOYMENTS)
        # The longest first: a model of Forebay's may hold slashes itself.
        for plain in sorted(paths, key=len, reverse=True):
            below = plain.removeprefix("/v1")
            deployment = rest.removesuffix(below)
            if below != plain and deployment != rest and deployment.strip("/") == deployment != "":
                return plain, deployment
    return path, None
