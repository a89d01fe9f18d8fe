"""A tour through a gateway before a real llama.cpp server, with the official SDKs as guests."""
