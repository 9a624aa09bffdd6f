"""What the rules of corpora are given."""


def get_corpus(model):
    """Return the corpus of a model, trained or not."""
    return config["models"][model.removesuffix(resolve.UNTRAINED)]["corpus"]


def get_genome_files(corpus, file):
    """Return one file of every genome of a corpus, in the corpus's order."""
    return expand("<results>/genomes/{genome}/{file}", genome=NEEDED_CORPORA[corpus], file=file)


def get_genome_folders(corpus):
    """Return {genome: folder of its bases} of a corpus."""
    return {name: get_place(f"<results>/genomes/{name}") for name in NEEDED_CORPORA[corpus]}


def get_bases(wildcards):
    return get_genome_files(wildcards.corpus, "bases.npy")


def get_contigs(wildcards):
    return get_genome_files(wildcards.corpus, "contigs.tsv")


def get_manifests(wildcards):
    return get_genome_files(wildcards.corpus, "manifest.json")


def get_corpus_settings(wildcards):
    return resolve.resolve_corpus(config, wildcards.corpus, NEEDED_CORPORA[wildcards.corpus])


def get_folders(wildcards):
    return get_genome_folders(wildcards.corpus)


def get_haplotypes(wildcards):
    return get_corpus_stores(wildcards.corpus)


def get_panel_folder(wildcards):
    """Return the folder of the stores that a corpus reads, None for most."""
    haplotypes = config["corpora"][wildcards.corpus].get("haplotypes")
    folder = f"<results>/haplotypes/{haplotypes['panel']}/contigs" if haplotypes else None
    return folder and get_place(folder)


def get_model_folders(wildcards):
    return get_genome_folders(get_corpus(wildcards.model))


def get_model_bases(wildcards):
    return get_genome_files(get_corpus(wildcards.model), "bases.npy")


def get_model_manifest(wildcards):
    return f"<results>/corpora/{get_corpus(wildcards.model)}/manifest.json"


def get_model_haplotypes(wildcards):
    return get_corpus_stores(get_corpus(wildcards.model))
