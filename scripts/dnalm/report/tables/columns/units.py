"""What the values of a column are, where they are no measured number."""

TEXT = "text"  # read as text: a contig may be named 20, and a column may be empty in every row
YES_NO = "true or false"
# The unit of a score is that of the metric in the same row.
SCORE = "of the metric"
