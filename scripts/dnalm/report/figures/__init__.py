"""Charts of the tables."""
