"""Prioritisation: labels of variants, and how well scores tell them apart."""
