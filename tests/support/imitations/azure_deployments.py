"""OpenAI's API at Azure, by the paths of deployments."""

from __future__ import annotations

from dataclasses import replace

from imitations.answering import openai_chat, openai_embeddings
from imitations.azure import TABLE as AZURE

TABLE = replace(
    AZURE,
    kind="azure_deployments",
    base_url="http://up.test/openai",
    apis={"/openai/deployments/our-deployment/chat/completions": openai_chat},
    embeddings=("/openai/deployments/our-embeddings/embeddings", openai_embeddings),
    query="api-version=2024-10-21",
    listing=("/openai/models?api-version=2024-10-21", AZURE.listing[1]),
)
