"""How much is computed at a time: it changes no result, so no result is made again for it.

Who lowers `batch_tokens` because memory ran out keeps what is finished, and all that is made of it.
"""

AT_A_TIME = ("batch_tokens", "shard_rows", "part_records", "block_rows")


def leave_batches(settings):
    """Return settings without those, as parameters that Snakemake compares."""
    return {key: value for key, value in settings.items() if key not in AT_A_TIME}


def keep_batches(settings):
    """Return those alone. Functions that give them to rules take `output`, so none are compared."""
    return {key: value for key, value in settings.items() if key in AT_A_TIME}
