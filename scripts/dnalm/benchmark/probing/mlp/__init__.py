"""Multilayer perceptrons with a search of their hyperparameters."""
