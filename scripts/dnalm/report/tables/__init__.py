"""Results joined by name into the tables of a run."""
