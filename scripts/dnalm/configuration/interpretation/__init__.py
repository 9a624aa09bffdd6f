"""Entries on what models have learned: annotations, and what masked tokens are predicted for."""
