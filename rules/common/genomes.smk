"""Where files from outside lie, and what the rules of genomes are given."""

from dnalm.credentials import hide_passwords
from dnalm.download.addresses import list_unmirrored
from dnalm.download.checksums import check_downloaded


def locate(source):
    """Return the file of a path or address."""
    return f"<results>/downloads/{address_of(source)}" if "://" in source else source


def get_downloads():
    """Return the files of the target `downloads`, after a look at the sums they came with.

    With a mirror these are also its copies of files that are there but not yet in it.
    """
    folder, lock = map(get_place, ("<results>/downloads", "<results>/downloads.lock.tsv"))
    try:
        check_downloaded(folder, lock, DOWNLOADS)
    except InputError as error:
        raise WorkflowError(str(error)) from None
    files = [f"<results>/downloads/{address}" for address in DOWNLOADS]
    # download_file fills the mirror itself, but has nothing to do for a file that is there.
    missing = list_unmirrored(folder, config["mirror"], DOWNLOADS)
    return files + [f"{config['mirror']}/{address}" for address in missing]


def get_download(wildcards, output):
    """Return where a download is found and its sums.

    Snakemake takes what a function with `output` returns as derived from it, and fetches no file
    again because a sum or another address was added. The first address is in the file's path, and
    the sums of the files that are there are looked at by `get_downloads`.
    """
    return {**SUMMARY_DOWNLOADS, **DOWNLOADS}[wildcards.address]


def get_source(genome):
    """Return the FASTA file of a genome: a user's path, a download, or the simulator's."""
    row = NEEDED_GENOMES[genome]
    if "simulate" in row:
        return f"<results>/simulated/{genome}/genome.fa.gz"
    if "path" in row:
        return row["path"]
    url = row["url"] if isinstance(row["url"], str) else row["url"][0]
    return locate(url)


def get_genome_source(wildcards):
    return get_source(wildcards.genome)


def get_genome_row(wildcards):
    """Return what decides a genome's bases and manifest; what it is called in reports does not."""
    row = NEEDED_GENOMES[wildcards.genome]
    row = {key: value for key, value in row.items() if key not in ("species", "group")}
    if "url" in row:  # where it came from, which a password is no part of
        urls = row["url"]
        shown = hide_passwords(urls) if isinstance(urls, str) else [*map(hide_passwords, urls)]
        row["url"] = shown
    return row


def get_simulation(wildcards):
    return NEEDED_GENOMES[wildcards.genome]["simulate"]
