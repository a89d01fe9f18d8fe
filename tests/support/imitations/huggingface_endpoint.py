"""TGI behind a dedicated endpoint of Hugging Face."""

from __future__ import annotations

from imitations.answering import openai_chat, openai_embeddings
from imitations.kinds import ImitatedKind, Refusal

from forebay.protocol.canonical.listed_models import ListedModel


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
    listed=(ListedModel("tgi", owner="meta-llama/Llama-3"),),
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
