"""Masked-language-model pretraining: masks, batches, schedule, checkpoints, trainer."""
