"""What models and corpora are, each on a card of its own."""
