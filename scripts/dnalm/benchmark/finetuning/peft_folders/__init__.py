"""Adapters as `peft` reads them, and what they are put on."""
