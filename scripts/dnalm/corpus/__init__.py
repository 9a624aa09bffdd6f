"""Windows over genomes, their splits, and the tokens that training and evaluation read."""
