"""From assembly summaries to a sheet of genomes, one species per genus.

Required inputs: species.summaries: NCBI's assembly_summary.txt of each group
Outputs: <results>/species/genomes.{tsv, json}
"""


localrules:
    species_sheet,


rule species_sheet:
    """Draw the list of species for the multispecies corpora, by its name."""
    input:
        "<results>/species/genomes.tsv",


# Rows of a sheet decide which jobs there are, so it has to be there before a run that uses it.
rule draw_species:
    """Draw a sheet of genomes, one species per genus, from NCBI's assembly summaries."""
    input:
        unpack(get_summaries),
    output:
        sheet="<results>/species/genomes.tsv",
        record="<results>/species/genomes.json",
    log:
        "<logs>/draw_species.log",
    benchmark:
        "<benchmarks>/draw_species.jsonl"
    conda:
        "../envs/genomics.yaml"
    params:
        species=lookup("species", within=config),
    script:
        "../scripts/draw_species.py"
