"""Tasks, embeddings, probes, fine-tuning and the baselines they are compared with."""
