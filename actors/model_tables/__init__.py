"""What the public knows of models: prices, lengths and capabilities, from tables that come with
packages. Nothing is fetched."""

from forebay.actors.model_tables.tables import ModelTables, ProviderTable

__all__ = ["ModelTables", "ProviderTable"]
