"""Probes of fixed features, embeddings or sequence baselines, selected on validation."""
