"""Probes of embeddings and baselines of sequences, selected on validation."""
