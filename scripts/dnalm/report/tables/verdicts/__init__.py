"""What the scores of a run say: the choice of each task, means over tasks, the published values."""
