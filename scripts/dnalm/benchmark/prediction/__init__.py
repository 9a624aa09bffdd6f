"""Predictions for sequences of files by probes and fine-tuned models, in constant memory."""
