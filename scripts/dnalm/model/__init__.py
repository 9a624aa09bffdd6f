"""The encoder, its heads and adapters, and the names of its weights."""
