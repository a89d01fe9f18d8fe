"""TGI behind a dedicated endpoint of Hugging Face."""

from __future__ import annotations

from imitations.answering import openai_chat, openai_embeddings
from imitations.kinds import ImitatedKind, Refusal

from forebay.protocol.canonical.listed_models import Capability, ListedModel


def _tgis(error: str, kind: str) -> object:
    return {"error": error, "error_type": kind}


TABLE = ImitatedKind(
    kind="huggingface",
    address=None,
    base_url="http://up.test/v1",
    model="tgi",
    apis={"/v1/chat/completions": openai_chat},
    embedding_model="tei",
    embeddings=("/v1/embeddings", openai_embeddings),
    listing=(
        "/v1/models",
        {
            "object": "list",
            "data": [
                {"id": "tgi", "object": "model", "created": 0, "owned_by": "meta-llama/Llama-3"}
            ],
        },
    ),
    probed={
        "/info": {
            "model_id": "meta-llama/Llama-3",
            "model_sha": None,
            "model_pipeline_tag": None,
            "max_concurrent_requests": 128,
            "max_best_of": 2,
            "max_stop_sequences": 4,
            "max_input_tokens": 4095,
            "max_total_tokens": 4096,
            "validation_workers": 2,
            "max_client_batch_size": 4,
            "router": "text-generation-router",
            "version": "3.3.6",
        }
    },
    listed=(
        ListedModel(
            "tgi",
            4096,
            "meta-llama/Llama-3",
            capabilities=frozenset({Capability.CHAT, Capability.COMPLETION}),
            lacks=frozenset({Capability.EMBEDDING}),
        ),
    ),
    told_slots=128,
    wrong_key=Refusal(status=401, body={"error": "Unauthorized"}),
    unknown_path=Refusal(status=404, body={"error": "Not Found"}),
    rate_limited=Refusal(status=429, body=_tgis("Model is overloaded", "overloaded")),
    spent=None,
    # As long as an endpoint that was scaled to zero needs to come back.
    overloaded=Refusal(status=502, body={"error": "Bad Gateway"}),
    overflow=Refusal(
        status=422,
        body=_tgis(
            "Input validation error: `inputs` must have less than 4095 tokens. Given: 5000",
            "validation",
        ),
    ),
)
