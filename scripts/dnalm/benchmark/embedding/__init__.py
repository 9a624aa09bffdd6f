"""Pooled hidden states of every layer for the rows of a task."""
