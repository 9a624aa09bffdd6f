"""Probabilities of masked tokens: on personal haplotypes, in mutagenesis assays, along a genome."""
