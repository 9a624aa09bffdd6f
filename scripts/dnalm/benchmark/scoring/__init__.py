"""Metrics, their bootstrap and correction, objectives, and the files of results."""
