"""Hours, memory and disk of all that a run asks for, before it starts."""
