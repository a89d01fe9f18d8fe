"""Sessions about answers of OpenAI's Responses API that exist already, each for the client that it
was given to: fetched, followed, listed, stopped and deleted.

An answer that the gateway keeps is answered for here; one that its provider keeps is asked for
there. An id that is not known here is asked for nowhere: an account is shared by all clients.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from forebay.actors.gateway.relay_operation import EVENT_STREAM, RelayedStream, RelayedWhole
from forebay.actors.jobs.calls import LARGEST_ANSWER, read_json
from forebay.actors.jobs.failures import CallFailed, JobFailure, shutting_down
from forebay.actors.jobs.operations import QueryField
from forebay.actors.jobs.remote_responses import (
    RemoteAnswer,
    ResponseQuestion,
    open_remote_answer,
)
from forebay.actors.providers.provider import Target
from forebay.actors.stores import RemoteResponse, StoredResponse
from forebay.endpoints.bodies import Receive
from forebay.endpoints.relaying import RelayingSession
from forebay.endpoints.session import JSON, OWN_QUERY, SessionParts
from forebay.protocol.dialects.openai import OPENAI
from forebay.protocol.dialects.openai.responses.conversations import (
    encode_deleted,
    encode_not_found,
    list_items,
    not_cancellable,
    not_streamable,
    read_include,
    read_item_query,
    shown_items,
    shown_response,
)
from forebay.protocol.jsontext import JsonObject, dumps, loads_object

_ROOT: Final = "/v1/responses/"
_NOT_FOUND: Final = 404


class About(StrEnum):
    """What of an answer a path is about."""

    ITSELF = ""
    INPUT_ITEMS = "input_items"
    CANCEL = "cancel"

    @property
    def methods(self) -> tuple[str, ...]:
        match self:
            case About.ITSELF:
                return ("GET", "HEAD", "DELETE")
            case About.INPUT_ITEMS:
                return ("GET", "HEAD")
            case About.CANCEL:
                return ("POST",)


@dataclass(frozen=True, slots=True)
class ResponsePath:
    """``/v1/responses/{id}`` and what is below."""

    response_id: str
    about: About

    @classmethod
    def read(cls, path: str) -> ResponsePath | None:
        """None: it is no such path."""
        if not path.startswith(_ROOT):
            return None
        response_id, slash, about = path.removeprefix(_ROOT).partition("/")
        if not response_id or bool(slash) != bool(about) or about not in tuple(About):
            return None
        return cls(response_id, About(about))


class KeptResponseSession(RelayingSession):
    """Serves one question about one answer."""

    dialect = OPENAI

    def __init__(self, parts: SessionParts, path: ResponsePath) -> None:
        super().__init__(parts)
        self._id = path.response_id
        self._about = path.about

    async def _serve(self, receive: Receive) -> None:
        """No question has a body that says anything: it is left unread."""
        self._place.note = "looking for a kept answer"
        _, _ = self._head.max_wait_ms, self._head.hold
        kept = await self._gateway.responses.get(self._client.name, self._id)
        match kept:
            case None:
                await self._reply.json(_NOT_FOUND, encode_not_found(self._id), {})
            case StoredResponse():
                await self._reply.whole(200, await self._said_of(kept), JSON, {})
            case RemoteResponse():
                await self._ask_provider(kept)

    async def _respond(self, body: bytes) -> None:
        raise NotImplementedError("these requests have no body")

    # What the gateway keeps.

    async def _said_of(self, response: StoredResponse) -> bytes:
        match self._about:
            case About.CANCEL:
                raise not_cancellable()
            case About.INPUT_ITEMS:
                return dumps(self._listed(response))
            case About.ITSELF if self._head.method == "DELETE":
                await self._forget()
                return dumps(encode_deleted(self._id))
            case About.ITSELF:
                return self._shown(response)

    def _shown(self, response: StoredResponse) -> bytes:
        include = self._include()
        if self._asks_for_stream:
            raise not_streamable()
        if not include:
            return response.body
        output = [loads_object(item.text) for item in response.output_items]
        return dumps(shown_response(loads_object(response.body), output, include))

    def _listed(self, response: StoredResponse) -> JsonObject:
        query = read_item_query(self._head.query)
        items = [loads_object(item.text) for item in response.input_items]
        return list_items(shown_items(items, self._include()), query)

    def _include(self) -> Sequence[str]:
        fields = self._head.query_fields
        return read_include([value for name, value in fields if name in ("include", "include[]")])

    @property
    def _asks_for_stream(self) -> bool:
        return self._head.query.get("stream", "").lower() in ("true", "1")

    async def _forget(self) -> None:
        await self._gateway.responses.delete(self._client.name, self._id)

    # What its provider keeps.

    async def _ask_provider(self, remote: RemoteResponse) -> None:
        provider = self._gateway.providers.get(remote.provider)
        if provider is None:  # no longer configured
            await self._reply.json(_NOT_FOUND, encode_not_found(self._id), {})
            return
        if self._gateway.draining:
            raise shutting_down()
        target = provider.target(remote.model_id)
        self._place.note = f"asking {provider.name} for a kept answer"
        streams = (
            self._about is About.ITSELF and self._head.method == "GET" and self._asks_for_stream
        )
        async with self._held(None, EVENT_STREAM if streams else None):
            try:
                async with open_remote_answer(
                    target,
                    self._question(),
                    arrived_at=self._arrived_at,
                    deadline=self._deadline(None, self._head.max_wait_ms),
                ) as remote_answer:
                    await self._pass_on(target, remote_answer)
            except JobFailure as failure:
                gone = failure.relayed is not None and failure.relayed.status == _NOT_FOUND
                refusal, is_forgotten = failure, gone and self._head.method == "DELETE"
            else:
                return
            if is_forgotten:
                await self._forget()
            raise refusal

    def _question(self) -> ResponseQuestion:
        head = self._head
        return ResponseQuestion(
            method="GET" if head.method == "HEAD" else head.method,
            response_id=self._id,
            about=self._about.value,
            query=tuple(
                QueryField(name, value)
                for name, value in head.query_fields
                if name not in OWN_QUERY
            ),
            headers=head.headers,
        )

    async def _pass_on(self, target: Target, remote: RemoteAnswer) -> None:
        answer = remote.answer
        headers = {"content-type": answer.headers.get("content-type", JSON)}
        if headers["content-type"].startswith(EVENT_STREAM):
            stream = RelayedStream(target, answer, b"", headers, None)
            await self._relay(stream, remote.history)
            return
        body = await answer.read(LARGEST_ANSWER)
        try:
            read_json(body)
        except CallFailed as failed:
            raise JobFailure(failed.failure.error, remote.history) from None
        if self._head.method == "DELETE":
            await self._forget()
        await self._relay(RelayedWhole(body, headers, None), remote.history)
