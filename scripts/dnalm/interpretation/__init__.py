"""What a model has learned: attention on annotated elements, reconstruction, maps of elements."""
