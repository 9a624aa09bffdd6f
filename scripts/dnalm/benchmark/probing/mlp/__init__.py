"""MLP probes: multilayer perceptrons with a search of their hyperparameters."""
