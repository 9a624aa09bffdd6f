"""Fingerprints: of what decides a run's weights, and of the windows held out from it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dnalm.files import hash_facts, hash_text, sha256_of

DIGITS = 16


def state_hash(run: Mapping[str, Any], manifest: Mapping[str, Any], kmer_counts: str | Path) -> str:
    """Return the fingerprint of what decides the weights: 16 hexadecimal digits of a sha256.

    `run` is the content of run.json, `manifest` and `kmer_counts` are the corpus's: content and
    file. What decides:

    - run.json but for the names of model and corpus; of a file of initial weights the bytes count;
    - how windows are cut and tokenised: k, vocabulary, windows, tokens (max_tokens decides by
      tokens alone; min_kmers is that of run.json);
    - which windows are number 0, 1, 2, …: genome after genome with contigs for training, the sum of
      its file, and the name, start and length of these contigs, all in their order;
    - the k-mer counts of these contigs: the same file, name, start and length may be another record
      of the file, given that name by the genome's `contigs`;
    - the haplotypes of these contigs, where the corpus has any, and how one is drawn.

    The names of genomes, accessions, and what is held out for evaluation decide nothing.
    """
    start = run.get("initial_weights")
    names = ("model", "corpus")
    genomes = []
    for genome in manifest["genomes"]:
        contigs = [
            [contig[key] for key in ("contig", "start", "length")]
            for contig in genome["contigs"]
            if contig["split"] == "train"
        ]
        if contigs:
            genomes.append([genome["sha256"], contigs])
    decisive = {
        "run": {key: value for key, value in run.items() if key not in names}
        | {"initial_weights": sha256_of(start) if start else None},
        "corpus": {key: manifest[key] for key in ("k", "vocabulary", "windows", "tokens")},
        "genomes": genomes,
        "kmer_counts": sha256_of(kmer_counts),
    }
    if haplotypes := manifest.get("haplotypes"):
        used = {
            contig["contig"]
            for genome in manifest["genomes"]
            if genome["name"] == haplotypes["genome"]
            for contig in genome["contigs"]
            if contig["split"] == "train"
        }
        decisive["haplotypes"] = {
            "draw": haplotypes["draw"],
            "contigs": {
                name: facts["digest"]
                for name, facts in haplotypes["contigs"].items()
                if name in used
            },
        }
    return hash_facts(decisive, DIGITS, compact=True)


def windows_hash(manifest: Mapping[str, Any], *files: str | Path) -> str:
    """Return the fingerprint of files of held-out windows and their genomes: 16 hexadecimal digits.

    The names of genomes count here: what is measured of each stands under its name.
    """
    named = [
        [genome["name"], contig["split"], contig["windows"]]
        for genome in manifest["genomes"]
        for contig in genome["contigs"]
        if contig["split"] != "train"
    ]
    parts = [*map(sha256_of, files), json.dumps(named)]
    return hash_text("".join(parts), DIGITS)
