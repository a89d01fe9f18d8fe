"""Imitations of providers' real APIs: one table for each kind, and the strict server behind it.

A table says what is true of the real API, from its documents, and nothing that the profile says:
where a profile is wrong, the server refuses the gateway's calls in the provider's own words.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit

from imitation import Imitated, Imitation, Received

from forebay.protocol.canonical.listed_models import ListedModel

KEY = "key-of-the-account"
HOST = "http://up.test"
_CREDENTIALS = ("authorization", "x-api-key", "api-key", "cookie")

Answering = Callable[[dict[str, object]], Imitated]


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """One answer with an error status."""

    status: int
    body: object
    headers: Mapping[str, str] = field(default_factory=dict)

    def answer(self) -> Imitated:
        return Imitated(
            json.dumps(self.body).encode(), status=self.status, headers=dict(self.headers)
        )


def openai_error(
    message: str, kind: str | None, code: str | None, param: str | None = None
) -> object:
    """As OpenAI itself writes it."""
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


@dataclass(frozen=True, kw_only=True)
class ImitatedKind:
    """One provider's API, as it is."""

    kind: str
    address: str | None
    """Of its API, as its documents give it. None: it has none of its own."""
    base_url: str = ""
    """As it is configured, where there is no ``address``."""
    takes_hosts: bool = False
    model: str
    apis: Mapping[str, Answering]
    """By whole paths: the chat APIs."""
    embedding_model: str = ""
    embeddings: tuple[str, Answering] | None = None
    credential: tuple[str, str] | None = ("authorization", f"Bearer {KEY}")
    """The header that brings the key. None: no key is asked for."""
    query: str = ""
    """Of every call."""
    required_headers: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """By whole paths, the names of headers without which a call is refused."""
    listing: tuple[str, object]
    """Whole path with the query, and body."""
    listed: tuple[ListedModel, ...]
    """What the listing and all else that it tells of its models say."""
    told_slots: int | None = None
    """How many calls at once it says that it takes."""
    open_paths: frozenset[str] = frozenset()
    """Whole paths that are answered without a key."""
    probed: Mapping[str, object] = field(default_factory=dict)
    """Bodies of other GETs, by whole paths."""
    shown: tuple[str, Mapping[str, object]] = ("", {})
    """Where a POST asks about one model, and what is told, by its name."""
    known_fields: frozenset[str] | None = None
    """Of a chat; all others are refused. None: unknown fields are borne."""
    unknown_field: Callable[[str], Refusal] | None = None
    bears_past_reasoning: bool = True
    wrong_tool_id: Callable[[str], Refusal | None] = lambda given: None
    """How an id of a call is refused; None: it is taken."""
    wrong_key: Refusal
    unknown_path: Refusal = Refusal(status=404, body={"detail": "Not Found"})
    rate_limited: Refusal | None
    """None: it queues calls itself."""
    waits: float = 0.0
    """Seconds that ``rate_limited`` asks for."""
    spent: Refusal | None
    """None: nothing can be spent there."""
    overloaded: Refusal
    overflow: Refusal
    overflow_tokens: tuple[int, int] | None = None
    """What ``overflow`` says: tokens of the prompt, and the most."""
    limit_headers: Mapping[str, str] = field(default_factory=dict)
    """With every answer."""
    told: frozenset[str] = frozenset()
    """Names of the limits that these headers tell of."""

    @property
    def configured_at(self) -> str:
        """The base URL in these tests: the provider's own, at another host."""
        return self.base_url or HOST + urlsplit(self.address or "").path

    def settings(self, key: str = KEY) -> dict[str, object]:
        """Of a provider of this kind."""
        place: dict[str, object] = (
            {"hosts": [self.configured_at]}
            if self.takes_hosts
            else {"base_url": self.configured_at}
        )
        needs = {"api_key": key} if self.credential is not None else {}
        return {"kind": self.kind, **place, **needs}


class StrictProvider(Imitation):
    """Answers as a provider does, and refuses as it does whatever is not as it should be."""

    def __init__(self, kind: ImitatedKind) -> None:
        super().__init__({})
        self.kind = kind
        self.next: list[Imitated] = []
        """Answers to the next calls, whatever they ask."""

    @property
    def calls(self) -> list[Received]:
        """What was posted, but for questions about models."""
        posted = [request for request in self.requests if request.method == "POST"]
        return [
            replace(request, path=request.path.partition("?")[0])
            for request in posted
            if request.path != self.kind.shown[0]
        ]

    def answer_to(self, request: Received) -> Imitated:
        kind = self.kind
        path = request.path.partition("?")[0]
        if request.method == "GET":
            return self._got(request, path)
        if path == kind.shown[0]:
            return self._show(request)
        answering = kind.apis.get(path)
        if answering is None and kind.embeddings is not None and kind.embeddings[0] == path:
            answering = kind.embeddings[1]
        query = request.path.partition("?")[2]
        if answering is None or request.method != "POST" or query != kind.query:
            return kind.unknown_path.answer()
        if not self._is_welcome(request):
            return kind.wrong_key.answer()
        if kind.required_headers.get(path, frozenset()) - request.headers.keys():
            return Refusal(status=400, body={"error": "a header is missing"}).answer()
        if self.next:
            return self.next.pop(0)
        body = json.loads(request.body)
        refusal = self._unknown(body) if path in kind.apis else None
        if refusal is not None:
            return refusal.answer()
        if body["model"] not in (kind.model, kind.embedding_model):
            return Refusal(status=404, body={"error": {"message": "no such model"}}).answer()
        answer = answering(body)
        return Imitated(
            answer.body,
            content_type=answer.content_type,
            status=answer.status,
            headers={**answer.headers, **kind.limit_headers},
        )

    def _got(self, request: Received, path: str) -> Imitated:
        kind = self.kind
        bodies = {kind.listing[0]: kind.listing[1], **kind.probed}
        body = bodies.get(request.path)
        if body is None:
            return kind.unknown_path.answer()
        if path not in kind.open_paths and not self._is_welcome(request):
            return kind.wrong_key.answer()
        return Imitated(json.dumps(body).encode())

    def _show(self, request: Received) -> Imitated:
        if not self._is_welcome(request):
            return self.kind.wrong_key.answer()
        told = self.kind.shown[1].get(json.loads(request.body)["model"])
        if told is None:
            return Refusal(status=404, body={"error": "model not found"}).answer()
        return Imitated(json.dumps(told).encode())

    def _is_welcome(self, request: Received) -> bool:
        """With the one credential of the account, and with none of a client."""
        brought = {name: request.headers[name] for name in _CREDENTIALS if name in request.headers}
        return brought == dict([self.kind.credential] if self.kind.credential else [])

    def _unknown(self, body: dict[str, object]) -> Refusal | None:
        kind = self.kind
        for message in body.get("messages", ()):  # type: ignore[attr-defined]  # a list
            for call in message.get("tool_calls") or ():
                refusal = kind.wrong_tool_id(call.get("id", ""))
                if refusal is not None:
                    return refusal
        if kind.known_fields is None or kind.unknown_field is None:
            return None
        for name in body.keys() - kind.known_fields:
            return kind.unknown_field(name)
        messages = body["messages"]
        assert isinstance(messages, list)
        for message in messages:
            if not kind.bears_past_reasoning and "reasoning_content" in message:
                return kind.unknown_field("reasoning_content")
        return None
