"""Sessions that change which models an Ollama server has."""

from __future__ import annotations

from typing import Final

from forebay.actors.gateway.model_management import (
    find_managed,
    list_again,
    open_management_call,
)
from forebay.actors.jobs.failures import shutting_down
from forebay.actors.providers.provider import Provider
from forebay.actors.upstream import UpstreamAnswer
from forebay.endpoints.bodies import Receive
from forebay.endpoints.session import JSON, STREAM_HEADERS, Session, SessionParts
from forebay.protocol.canonical.errors import ApiError, ApiFailure, ErrorKind
from forebay.protocol.dialects.ollama import OLLAMA
from forebay.protocol.dialects.ollama.management import ManagementApi, renamed
from forebay.protocol.dialects.registry import SPEECH
from forebay.protocol.jsontext import InvalidJson, dumps, loads_object

_LINES: Final = "application/x-ndjson"
_LARGEST: Final = 1024 * 1024
"""Bytes of an answer that is no stream."""
_TAIL: Final = 16 * 1024
"""Bytes that the last line of a stream may have to be looked at."""


class _HostFailed(Exception):
    """One host said in its answer that it failed; the client has heard it."""


class ManagingSession(Session):
    """What these sessions share: who may, and relaying what the server's hosts say in turn."""

    dialect = OLLAMA

    def __init__(self, parts: SessionParts) -> None:
        super().__init__(parts)
        self._tail = b""
        """The last bytes of a stream, as far as it came."""
        self._whole: tuple[int, bytes, str] | None = None

    async def _serve(self, receive: Receive) -> None:
        if not self._client.manages_models:
            raise ApiFailure(
                ApiError(
                    kind=ErrorKind.FORBIDDEN,
                    message="this key may not manage models; its setting manage_models allows it",
                )
            )
        if self._gateway.draining:
            raise shutting_down()
        await super()._serve(receive)

    async def _relay(self, provider: Provider, body: bytes, content_type: str = JSON) -> None:
        """Ask every host of ``provider``, one after the other: they are to hold the same models."""
        self._place.note = f"managing models of {provider.name}"
        try:
            for host in provider.hosts:
                async with open_management_call(
                    provider, host, self._head.method, self._head.path, body, content_type
                ) as answer:
                    await self._take(provider, answer)
        except _HostFailed:
            return

    async def _take(self, provider: Provider, answer: UpstreamAnswer) -> None:
        content_type = answer.headers.get("content-type", JSON)
        if answer.status >= 400:
            await self._refuse(provider, answer, content_type)
        elif content_type.startswith(_LINES):
            await self._reply.commit(content_type, STREAM_HEADERS)
            async for piece in answer.chunks():
                await self._reply.write(piece)
                self._tail = (self._tail + piece)[-_TAIL:]
            if self._says_error():
                raise _HostFailed
        else:
            self._whole = (answer.status, await answer.read(_LARGEST), content_type)

    async def _refuse(self, provider: Provider, answer: UpstreamAnswer, content_type: str) -> None:
        body = provider.without_secrets(await answer.read(_LARGEST))
        speech = SPEECH[self.dialect]
        own = self._head.method == "HEAD" or speech.is_own_error(body)
        if not own or self._reply.committed:
            raise ApiFailure(speech.decode_error(answer.status, body))
        await self._reply.whole(answer.status, body, content_type, {})
        raise _HostFailed

    async def _end(self) -> None:
        """The answer's end, once all hosts have said theirs."""
        if self._reply.finished:
            return
        if self._reply.committed:
            await self._reply.finish()
        elif self._whole is not None:
            status, body, content_type = self._whole
            await self._reply.whole(status, body, content_type, {})

    def _says_error(self) -> bool:
        """Whether the stream's last line does."""
        try:
            return "error" in loads_object(self._tail.strip().rpartition(b"\n")[2])
        except InvalidJson:
            return False

    def _error_frame(self, error: ApiError) -> bytes | None:
        if self._tail and not self._tail.endswith(b"\n"):
            return None
        return dumps({"error": error.message}) + b"\n"


class ManagementSession(ManagingSession):
    """Has a model pulled, pushed, made, copied or deleted."""

    def __init__(self, parts: SessionParts, api: ManagementApi) -> None:
        super().__init__(parts)
        self._api = api

    async def _respond(self, body: bytes) -> None:
        fields = self._fields(body)
        names = self._api.names(fields)
        managed = await find_managed(self._gateway.providers, names)
        if managed.names != names:
            body = dumps(renamed(fields, managed.names))
        try:
            await self._relay(managed.provider, body)
        finally:
            if self._api.changes_models:
                managed.provider.listing.want()
        if self._api.changes_models:
            # Before the client hears that it is done: what it asks next is the list.
            await list_again(managed.provider)
        await self._end()


class BlobSession(ManagingSession):
    """Asks for, or brings, a file that a model is to be made of."""

    def __init__(self, parts: SessionParts) -> None:
        super().__init__(parts)
        self._body_is_json = False

    async def _respond(self, body: bytes) -> None:
        managed = await find_managed(self._gateway.providers, {})
        await self._relay(managed.provider, body, "application/octet-stream")
        await self._end()
