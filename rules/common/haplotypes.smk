"""What the rules of phased genotypes are given, and which haplotype stores a corpus reads."""

from dnalm.configuration.panels import find_variants, resolve_panel


def get_variants(wildcards):
    return locate(find_variants(config["panels"][wildcards.panel], wildcards.contig)[0])


def get_indexed_variants(wildcards):
    panel = config["panels"][wildcards.panel]
    return locate(find_variants(panel, panel["contigs"][0])[0])


def get_populations(wildcards):
    source = config["panels"][wildcards.panel].get("populations", {})
    return [locate(address) for address in source.values()]


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
