"""The page on variants."""
