"""OpenVINO's model server: OpenAI's APIs below ``/v3``, KServe's below ``/v2``."""

from __future__ import annotations

from dataclasses import replace

from forebay.protocol.canonical.errors import ApiError, ApiFailure, ErrorKind
from forebay.protocol.canonical.listed_models import Capability, ListedModel
from forebay.protocol.dialects.base import UpstreamTraits
from forebay.protocol.dialects.openai import (
    OPENAI,
    OPENAI_CHAT,
    OPENAI_COMPLETIONS,
    OPENAI_EMBEDDINGS,
    OPENAI_RERANK,
)
from forebay.protocol.jsontext import InvalidJson, JsonObject, JsonValue, loads_object
from forebay.protocol.providers._media_paths import MEDIA_PATHS
from forebay.protocol.providers.base import (
    CallFailure,
    Details,
    FailedAnswer,
    FailureKind,
    Notes,
    OtherListing,
    Probe,
    ProviderProfile,
)
from forebay.protocol.providers.classification import classify_by_status

_AVAILABLE = "AVAILABLE"


def classify(answer: FailedAnswer) -> CallFailure:
    """By status, but for a wrong key, which is a 500."""
    failure = classify_by_status(answer)
    if answer.status == 500 and answer.error.message.startswith("Unauthorized"):
        return replace(failure, kind=FailureKind.KEY_REJECTED)
    return failure


def read_config(body: bytes) -> tuple[ListedModel, ...]:
    """The models in an answer of ``GET /v1/config`` of which a version is ready.

    Raises:
        ApiFailure: UPSTREAM_ERROR, the body is no such answer.
    """
    try:
        config = loads_object(body)
    except InvalidJson:
        config = {}
    if not config or "error" in config:
        raise ApiFailure(
            ApiError(kind=ErrorKind.UPSTREAM_ERROR, message="the upstream's answer lists no models")
        )
    return tuple(
        ListedModel(name, owner="OVMS") for name, model in config.items() if _is_ready(model)
    )


def read_metadata(metadata: JsonObject, listed: ListedModel) -> ListedModel | None:
    """What KServe's metadata tell: a model that takes tensors writes no text. None of a graph,
    which takes requests as they are."""
    inputs = metadata.get("inputs")
    for each in inputs if isinstance(inputs, list) else ():
        if isinstance(each, dict) and each.get("datatype") and each.get("shape"):
            return replace(listed, capabilities=frozenset(), lacks=frozenset(Capability))
    return None


def _is_ready(model: JsonValue) -> bool:
    versions = model.get("model_version_status") if isinstance(model, dict) else None
    return isinstance(versions, list) and any(
        isinstance(version, dict) and version.get("state") == _AVAILABLE for version in versions
    )


PROFILE = ProviderProfile(
    kind="openvino",
    notes=Notes(
        title="OpenVINO's model server",
        limits="`limits.concurrency`, or by trying: it queues calls itself and tells nothing.",
        lossy=(
            "Requests for Responses are put as chats, since its own Responses API lacks most "
            "of the fields.",
            "`logit_bias` and `user` are ignored.",
            "Stop texts are in its streams; Forebay takes them out.",
            "Embeddings have no `dimensions`, and 500 inputs at most: more are asked for in "
            "several requests.",
        ),
        remarks=(
            "Older servers list no models at `/v3/models`; then those that `/v1/config` calls "
            "ready are listed.",
            "Models that take tensors, by KServe's metadata, are not asked for texts.",
            "On an NPU set `limits: {concurrency: 1}`.",
        ),
    ),
    default_base_url="http://127.0.0.1:8000/v3",
    # Its Responses API lacks so much that translating to chats loses less.
    paths={
        OPENAI_CHAT: "/chat/completions",
        OPENAI_COMPLETIONS: "/completions",
        OPENAI_EMBEDDINGS: "/embeddings",
        **MEDIA_PATHS,
        OPENAI_RERANK: "/rerank",
    },
    listing_path="/models",
    listing_dialect=OPENAI,
    classify=classify,
    details=(Details(path="/v2/models/{model}", beside=True, read=read_metadata),),
    other_listing=OtherListing(path="/v1/config", read=read_config),
    probe=Probe(
        path="/v2/health/ready",
        from_root=True,
        checks_key=False,
        ready_path="/v2/health/ready",
    ),
    needs_key=False,
    traits=UpstreamTraits(keeps_stop_text=True, most_embedding_inputs=500),
)
