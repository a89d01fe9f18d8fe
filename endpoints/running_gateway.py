"""The gateway that serves with this configuration, as another process asks it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import httpx

from forebay.actors.config import Settings
from forebay.protocol.jsontext import InvalidJson, JsonObject, dumps, loads_object

_STATUS_SECONDS: Final = 2.0
_EVERYWHERE: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}


@dataclass(frozen=True, slots=True)
class RunningGateway:
    """It answered."""

    url: str
    status: JsonObject
    """As ``/forebay/status`` tells."""
    headers: dict[str, str]

    async def post(self, path: str, body: JsonObject, *, timeout: float) -> JsonObject | None:
        """Its answer; None where it gives none, or refuses."""
        return await _ask("POST", self.url + path, self.headers, dumps(body), timeout)


async def find_running(settings: Settings) -> RunningGateway | None:
    """The gateway at ``server.host`` and ``server.port``, if one answers there."""
    host = _EVERYWHERE.get(settings.server.host, settings.server.host)
    if not settings.server.port:
        return None
    url = f"http://{f'[{host}]' if ':' in host else host}:{settings.server.port}"
    headers = {"content-type": "application/json"}
    clients = sorted(settings.clients.values(), key=lambda client: not client.manage_models)
    if clients:
        headers["authorization"] = f"Bearer {clients[0].key.get_secret_value()}"
    status = await _ask("GET", f"{url}/forebay/status", headers, b"", _STATUS_SECONDS)
    if status is None or "providers" not in status:
        return None
    return RunningGateway(url, status, headers)


async def _ask(
    method: str, url: str, headers: dict[str, str], body: bytes, timeout: float
) -> JsonObject | None:
    # Not by the proxy of the environment: it is this machine's own.
    async with httpx.AsyncClient(trust_env=False, timeout=timeout) as client:
        try:
            answer = await client.request(method, url, headers=headers, content=body)
            return loads_object(answer.content) if answer.is_success else None
        except (httpx.HTTPError, InvalidJson):
            return None
