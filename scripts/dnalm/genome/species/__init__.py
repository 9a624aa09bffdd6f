"""A list of species: drawn from assembly summaries, or read from a sheet."""
