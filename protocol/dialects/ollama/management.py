"""Ollama's APIs that change which models a server has: where they are, and whom they name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from forebay.protocol.dialects.fields import missing, optional_string
from forebay.protocol.jsontext import JsonObject


@dataclass(frozen=True, slots=True, kw_only=True)
class ManagementApi:
    """One of them."""

    path: str
    method: str = "POST"
    subject: tuple[str, ...] = ("model", "name")
    """Fields of which the first that is there names the model that it is about."""
    others: tuple[str, ...] = ()
    """Fields that name more models of the same server."""
    changes_models: bool = True
    """Afterwards the server may list others."""

    def names(self, fields: JsonObject) -> dict[str, str]:
        """The models that a request names, by field, its subject first.

        Raises:
            ApiFailure: BAD_REQUEST, it names none, or not by text.
        """
        found = {name: optional_string(fields, name) for name in (*self.subject, *self.others)}
        if not any(found[name] for name in self.subject):
            raise missing(self.subject[0])
        return {name: value for name, value in found.items() if value}


MANAGEMENT: Final = (
    ManagementApi(path="/api/pull"),
    ManagementApi(path="/api/push", changes_models=False),
    ManagementApi(path="/api/create", others=("from",)),
    ManagementApi(path="/api/copy", subject=("source",), others=("destination",)),
    ManagementApi(path="/api/delete", method="DELETE"),
)

BLOBS: Final = "/api/blobs/"
"""Files that ``/api/create`` makes a model of, by their digests."""
_DIGEST: Final = re.compile(r"sha256[:-][0-9a-f]{64}")


def is_blob(path: str) -> bool:
    """Whether ``path`` is that of a blob."""
    return path.startswith(BLOBS) and _DIGEST.fullmatch(path.removeprefix(BLOBS)) is not None


def renamed(fields: JsonObject, names: Mapping[str, str]) -> JsonObject:
    """``fields`` with other names of models."""
    return {**fields, **names}
