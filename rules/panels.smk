"""What is made of the phased genotypes of the panels, and which corpora read it."""

from dnalm.configuration.panels import find_variants, resolve_panel


def get_variant_index(wildcards):
    """Return the index of a file that holds more contigs than one, to read only one of them."""
    alone = find_variants(config["panels"][wildcards.panel], wildcards.contig)[1]
    return [] if alone else "<results>/haplotypes/{panel}/variants.csi"


def get_panel_settings(wildcards):
    return resolve_panel(config, wildcards.panel)


def get_panel_genome_name(wildcards):
    return config["panels"][wildcards.panel]["genome"]


def get_panel_genome(wildcards):
    """Return the files of the genome that a panel's genotypes are of."""
    folder = f"<results>/genomes/{get_panel_genome_name(wildcards)}"
    return {"bases": f"{folder}/bases.npy", "contigs": f"{folder}/contigs.tsv"}


def list_stores(panel):
    """Return the haplotype stores of a panel, a folder per contig."""
    contigs = config["panels"][panel]["contigs"]
    return [f"<results>/haplotypes/{panel}/contigs/{contig}" for contig in contigs]


def get_panel_stores(wildcards):
    return list_stores(wildcards.panel)


def get_corpus_stores(corpus):
    """Return the haplotype stores that a corpus reads, none for most."""
    haplotypes = config["corpora"][corpus].get("haplotypes")
    return list_stores(haplotypes["panel"]) if haplotypes else []


def get_haplotypes(wildcards):
    return get_corpus_stores(wildcards.corpus)


def get_panel_folder(wildcards):
    """Return the folder of the stores that a corpus reads, None for most."""
    haplotypes = config["corpora"][wildcards.corpus].get("haplotypes")
    folder = f"<results>/haplotypes/{haplotypes['panel']}/contigs" if haplotypes else None
    return folder and workflow.pathvars.apply(folder)


def get_model_haplotypes(wildcards):
    return get_corpus_stores(get_corpus(wildcards.model))
