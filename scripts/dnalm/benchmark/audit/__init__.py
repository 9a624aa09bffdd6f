"""Audit of tasks: leakage between rows, confounding of labels, and rows in pretraining genomes."""
