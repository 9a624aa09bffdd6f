"""What was predicted on the test rows: constant predictions, confusion, curves."""
