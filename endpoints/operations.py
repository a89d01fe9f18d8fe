"""For operators: whether the gateway lives, is ready, and what it is doing."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import cast

import trio
from quart import Blueprint, Response, request

from forebay.actors.gateway.gateway import Gateway
from forebay.actors.gateway.reloads import Reload
from forebay.actors.gateway.supervision import GatewayStatus, ProviderState
from forebay.actors.kernel import ActorSnapshot
from forebay.actors.providers.warmup import make_targets, models_to_load, warm_up
from forebay.endpoints.visits import visit
from forebay.protocol.canonical.errors import ApiError, ApiFailure, ErrorKind, bad_request
from forebay.protocol.jsontext import InvalidJson, JsonObject, JsonValue, loads_object

_MOST_SESSIONS_LISTED = 200
_STATUS_SECONDS = 5.0


def pages(gateway: Gateway) -> Blueprint:
    """Routes of ``gateway``'s operation."""
    blueprint = Blueprint("operations", __name__)

    @blueprint.get("/healthz")
    async def health() -> Response:
        """The process lives and its loop turns."""
        return visit().json({"status": "ok"})

    @blueprint.get("/readyz")
    async def readiness() -> Response:
        """New requests may come: not draining, and a provider that serves."""
        if gateway.draining:
            return visit().json({"status": "draining"}, 503)
        if all(provider.out is not None for provider in gateway.providers.values()):
            return visit().json({"status": "no provider can serve"}, 503)
        return visit().json({"status": "ready"})

    @blueprint.get("/forebay/status")
    async def status() -> Response:
        """Queues, budgets, cooldowns and the tree of actors."""
        with trio.fail_after(_STATUS_SECONDS):
            state = await gateway.status()
        tree = gateway.system.tree(limit=_MOST_SESSIONS_LISTED)
        body: JsonObject = {
            "draining": gateway.draining,
            "waiting": gateway.waiting,
            "in_flight": gateway.in_flight,
            "waiting_bytes": {
                "limit": gateway.waiting_bytes.total,
                "in_use": gateway.waiting_bytes.lent,
                "requests_waiting_for_bytes": gateway.waiting_bytes.waiting,
            },
            "last_reload": _reload(gateway.last_reload),
            "models": [cast("JsonValue", asdict(model)) for model in state.models],
            "providers": _providers(state),
            "actors": _as_json(tree),
        }
        return visit().json(body)

    @blueprint.post("/forebay/listings")
    async def listings() -> Response:
        """Ask all providers anew which models they have."""
        for provider in gateway.providers.values():
            provider.listing.want()
        return visit().json({"asked": [*gateway.providers]}, 202)

    @blueprint.post("/forebay/warmup")
    async def warmup() -> Response:
        """Find out which providers are well, and have local servers load their models."""
        if not visit().client.manages_models:
            raise ApiFailure(
                ApiError(
                    kind=ErrorKind.FORBIDDEN,
                    message="this key may not have models loaded: set clients.NAME.manage_models",
                )
            )
        body = await request.get_data(as_text=False)
        assert isinstance(body, bytes)
        keep_alive, load = _warmup_wanted(body)
        settings, providers = gateway.settings, gateway.providers
        make_targets(settings, providers)
        models = models_to_load(settings, providers) if load else {}
        done = await warm_up(providers, models, keep_alive=keep_alive)
        return visit().json({"warmed": [cast("JsonValue", asdict(each)) for each in done]})

    return blueprint


def _warmup_wanted(body: bytes) -> tuple[str | int | None, bool]:
    """How long models are to stay loaded, and whether any are to be loaded."""
    try:
        fields = loads_object(body or b"{}")
    except InvalidJson as fault:
        raise bad_request(f"the request body is not valid JSON: {fault}") from None
    keep_alive, load = fields.get("keep_alive"), fields.get("load", True)
    if keep_alive is not None and not isinstance(keep_alive, str | int):
        raise bad_request("'keep_alive' must be a text or a number", param="keep_alive")
    if not isinstance(load, bool):
        raise bad_request("'load' must be true or false", param="load")
    return keep_alive, load


def _providers(state: GatewayStatus) -> list[JsonValue]:
    described = {provider.name: provider for provider in state.providers}
    serving: list[JsonValue] = [
        {
            "name": name,
            "state": actor.value,
            **(asdict(described[name]) if name in described else {}),
        }
        for name, actor in state.provider_states.items()
    ]
    retiring: list[JsonValue] = [
        {"state": ProviderState.RETIRING.value, **asdict(provider)} for provider in state.retiring
    ]
    return serving + retiring


def _reload(reload: Reload | None) -> JsonValue:
    """The last change of the configuration."""
    if reload is None:
        return None
    at = datetime.fromtimestamp(reload.at, UTC).isoformat(timespec="seconds")
    return {
        "at": at,
        "ok": not reload.problems,
        "problems": list(reload.problems),
        "after_restart": list(reload.kept),
    }


def _as_json(snapshot: ActorSnapshot) -> JsonObject:
    return {
        "name": snapshot.name,
        "kind": snapshot.kind,
        "state": snapshot.state.value,
        "note": snapshot.note,
        "mailbox": {
            "depth": snapshot.depth,
            "capacity": snapshot.capacity,
            "blocked_senders": snapshot.blocked_senders,
        },
        "handled": snapshot.handled,
        "restarts": snapshot.restarts,
        "child_count": snapshot.child_count,
        "children": [_as_json(child) for child in snapshot.children],
    }
