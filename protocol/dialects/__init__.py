"""The wire APIs, one folder per dialect, and the registry that knows them all."""
