"""What the rule that draws a list of species is given."""


def get_summaries(wildcards):
    """Return {group: assembly summary}, a download or a user's file."""
    return {group: locate(source) for group, source in SUMMARIES.items()}
