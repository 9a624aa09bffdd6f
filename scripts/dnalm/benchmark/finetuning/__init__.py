"""Adapters and heads trained on the folds of a task."""
