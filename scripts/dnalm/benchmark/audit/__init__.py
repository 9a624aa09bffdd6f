"""Leakage between rows of a task, what its labels go with, and its rows in pretraining genomes."""
