"""Several processes for one model: how they meet and exchange, and where its weights lie."""
