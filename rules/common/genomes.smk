"""What the rules of genomes are given."""

from dnalm.jobs.credentials import hide_passwords


def get_source(genome):
    """Return the FASTA file of a genome: a user's path, a download, or the simulator's."""
    row = NEEDED_GENOMES[genome]
    if "simulate" in row:
        return f"<results>/simulated/{genome}/genome.fa.gz"
    if "path" in row:
        if genome not in config["genomes"]:  # of a sheet, which may have hundreds
            return row["path"]
        made = f"<results>/genomes/{genome}/manifest.json"
        return watch(row["path"], f"genomes.{genome}.path", made)
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
