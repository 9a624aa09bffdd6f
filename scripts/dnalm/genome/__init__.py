"""Bases and tokens: from a FASTA file to the windows that a model reads."""
