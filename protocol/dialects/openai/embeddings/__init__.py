"""The embeddings API: ``POST /v1/embeddings``."""

from forebay.protocol.dialects.openai.embeddings._codec import OpenAIEmbeddingCodec

__all__ = ["OpenAIEmbeddingCodec"]
