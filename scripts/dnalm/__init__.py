"""The library behind the workflow: bases and tokens, the encoder, its training and its benchmark.

It knows no Snakemake, no config file and no path convention; the scripts beside it do.
"""
