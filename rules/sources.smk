"""Which files come from outside, and where a download of them lies."""

from dnalm.configuration.builds import list_build_files
from dnalm.configuration.panels import find_variants
from dnalm.download.addresses import list_unmirrored
from dnalm.download.checksums import check_downloaded


def locate(source):
    """Return the file of a path or address."""
    return f"<results>/downloads/{address_of(source)}" if "://" in source else source


def get_downloads():
    """Return the files of the target `downloads`, after a look at the sums they came with.

    With a mirror these are also its copies of files that are there but not yet in it.
    """
    folder, lock = map(
        workflow.pathvars.apply, ("<results>/downloads", "<results>/downloads.lock.tsv")
    )
    try:
        check_downloaded(folder, lock, DOWNLOADS)
    except InputError as error:
        raise WorkflowError(str(error)) from None
    files = [f"<results>/downloads/{address}" for address in DOWNLOADS]
    # download_file fills the mirror itself, but has nothing to do for a file that is there.
    missing = list_unmirrored(folder, config["mirror"], DOWNLOADS)
    return files + [f"{config['mirror']}/{address}" for address in missing]


def get_source(genome):
    """Return the FASTA file of a genome: a user's path, a download, or the simulator's."""
    row = GENOMES[genome]
    if "simulate" in row:
        return f"<results>/simulated/{genome}/genome.fa.gz"
    if "path" in row:
        return row["path"]
    url = row["url"] if isinstance(row["url"], str) else row["url"][0]
    return locate(url)


def get_genome_source(wildcards):
    return get_source(wildcards.genome)


def get_download(wildcards, output):
    """Return where a download is found and its sums.

    Snakemake takes what a function with `output` returns as derived from it, and fetches no file
    again because a sum or another address was added. The first address is in the file's path, and
    the sums of the files that are there are looked at by `get_downloads`.
    """
    return {**SUMMARY_DOWNLOADS, **DOWNLOADS}[wildcards.address]


def get_summaries(wildcards):
    """Return {group: assembly summary}, a download or a user's file."""
    return {group: locate(source) for group, source in SUMMARIES.items()}


def get_genome_row(wildcards):
    """Return what decides a genome's bases and manifest; what it is called in reports does not."""
    row = GENOMES[wildcards.genome]
    return {key: value for key, value in row.items() if key not in ("species", "group")}


def get_simulation(wildcards):
    return GENOMES[wildcards.genome]["simulate"]


def get_task_files(wildcards):
    """Return the source files of a task, by the names that make_task.py reads."""
    task = get_task_entry(wildcards.task)
    if "build" in task:
        build = task["build"]
        genome = f"<results>/genomes/{build['genome']}"
        files = {
            "bases": f"{genome}/bases.npy",
            "contigs": f"{genome}/contigs.tsv",
            "genome": f"{genome}/manifest.json",
        }
        own = list_build_files(build)
        return {**files, **{key: list(map(locate, sources)) for key, sources in own.items()}}
    return {
        split: [locate(source) for source in resolve.list_sources(task, wildcards.task, split)]
        for split in ("train", "test")
    }


def get_weight_files(wildcards):
    """Return the files of a model that is loaded, by the names that import_weights.py reads."""
    found = weights.resolve_weights(config, wildcards.model.removesuffix(resolve.UNTRAINED))
    return {
        "weights": [locate(part) for part in found.parts],
        "settings": locate(found.settings),
        "vocabulary": locate(found.vocabulary),
    }


def get_weight_source(wildcards, output):
    """Return where weights come from, and their licence.

    As with `get_download`, Snakemake takes it as derived: a licence that is written down later does
    not rerun all that was made of the weights. Reports and exports show it as it is now.
    """
    return weights.resolve_source(config, wildcards.model)


def get_variants(wildcards):
    return locate(find_variants(config["panels"][wildcards.panel], wildcards.contig)[0])


def get_indexed_variants(wildcards):
    panel = config["panels"][wildcards.panel]
    return locate(find_variants(panel, panel["contigs"][0])[0])


def get_populations(wildcards):
    source = config["panels"][wildcards.panel].get("populations", {})
    return [locate(address) for address in source.values()]
