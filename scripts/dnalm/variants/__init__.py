"""Variants: what a change of bases does to what a model says."""
