"""OpenVINO's model server."""

from __future__ import annotations

from imitations.answering import openai_chat, openai_embeddings
from imitations.kinds import ImitatedKind, Refusal

from forebay.protocol.canonical.listed_models import Capability, ListedModel

TABLE = ImitatedKind(
    kind="openvino",
    address="http://127.0.0.1:8000/v3",
    model="OpenVINO/Qwen3-8B",
    apis={"/v3/chat/completions": lambda request: openai_chat(request, has_id=False)},
    embedding_model="BAAI/bge",
    embeddings=("/v3/embeddings", openai_embeddings),
    listing=(
        "/v3/models",
        {
            "object": "list",
            "data": [
                {
                    "id": "OpenVINO/Qwen3-8B",
                    "object": "model",
                    "created": 1795381227,
                    "owned_by": "OVMS",
                },
                {
                    "id": "resnet",
                    "object": "model",
                    "created": 1795381227,
                    "owned_by": "OVMS",
                },
            ],
        },
    ),
    listed=(
        ListedModel("OpenVINO/Qwen3-8B", owner="OVMS"),
        ListedModel("resnet", owner="OVMS", lacks=frozenset(Capability)),
    ),
    open_paths=frozenset({"/v2/health/ready", "/v2/models/OpenVINO/Qwen3-8B", "/v2/models/resnet"}),
    probed={
        "/v2/health/ready": {},
        "/v2/models/OpenVINO/Qwen3-8B": {
            "name": "OpenVINO/Qwen3-8B",
            "versions": ["1"],
            "platform": "OpenVINO",
            "inputs": [{"name": "HTTP_REQUEST_PAYLOAD", "datatype": "", "shape": []}],
            "outputs": [{"name": "HTTP_RESPONSE_PAYLOAD", "datatype": "", "shape": []}],
        },
        "/v2/models/resnet": {
            "name": "resnet",
            "versions": ["1"],
            "platform": "OpenVINO",
            "inputs": [{"name": "0", "datatype": "FP32", "shape": [1, 3, 224, 224]}],
            "outputs": [{"name": "1463", "datatype": "FP32", "shape": [1, 1000]}],
        },
    },
    wrong_key=Refusal(
        status=500, body={"error": "Unauthorized request due to invalid or missing api-key"}
    ),
    unknown_path=Refusal(status=400, body={"error": "Invalid request URL"}),
    rate_limited=None,
    spent=None,
    overloaded=Refusal(status=503, body={"error": "Mediapipe graph is not loaded"}),
    overflow=Refusal(
        status=400,
        body={"error": "Number of prompt tokens: 40000 exceeds model max length: 32768"},
    ),
)
