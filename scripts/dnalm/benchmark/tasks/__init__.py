"""Rows of any source, brought into one checked table with labels and folds."""
