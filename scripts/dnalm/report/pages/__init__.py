"""HTML pages and the plain summary, and what they say."""
