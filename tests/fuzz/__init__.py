"""Fuzzing of every reader: whatever the bytes, the right result or one clear sentence.

`python -m fuzz` with `tests` and `scripts` on the path, or `make fuzz`; see CONTRIBUTING.md.
"""
