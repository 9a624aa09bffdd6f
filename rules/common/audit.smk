"""What the rules of audits and exposure are given."""


def get_part(part):
    """Return the genomes that one job searches."""
    size = config["exposure"]["genomes_per_job"]
    return SEARCHED[size * int(part) : size * (int(part) + 1)]


def get_part_bases(wildcards):
    return expand("<results>/genomes/{genome}/bases.npy", genome=get_part(wildcards.part))


def get_part_contigs(wildcards):
    return expand("<results>/genomes/{genome}/contigs.tsv", genome=get_part(wildcards.part))


def get_part_folders(wildcards):
    return {name: get_place(f"<results>/genomes/{name}") for name in get_part(wildcards.part)}


def get_search(wildcards):
    return {
        "min_identity": config["audit"]["min_identity"],
        "index_bases": config["exposure"]["index_bases"],
    }


def get_corpus_genomes(wildcards):
    return list(CORPORA[wildcards.corpus])


def get_places(wildcards):
    """Return the searches of the parts that hold genomes of a corpus."""
    numbers = {name: number for number, name in enumerate(SEARCHED)}
    size = config["exposure"]["genomes_per_job"]
    parts = sorted({numbers[name] // size for name in CORPORA[wildcards.corpus]})
    return expand("<results>/locations/genomes_{part}.parquet", part=parts)
