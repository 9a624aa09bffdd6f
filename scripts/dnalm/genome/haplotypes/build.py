"""Building of the haplotype store of a contig from phased genotypes of a VCF or BCF file."""

import hashlib
import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dnalm.files import CHUNK_BYTES, atomic_path, sha256_of, write_json
from dnalm.genome.bases import GenomeBases
from dnalm.genome.haplotypes.placing import PanelConfig, RecordPlacer
from dnalm.genome.haplotypes.ploidy import SPANS, write_spans
from dnalm.genome.haplotypes.reference import ReferenceContig
from dnalm.genome.haplotypes.store import ARRAYS, MANIFEST, SAMPLES, StoreWriter
from dnalm.genome.vcf import VariantReader
from dnalm.jobs.progress import Progress

logger = logging.getLogger(__name__)


def build_haplotypes(
    config: PanelConfig,
    *,
    variants: str | Path,
    index: str | Path | None,
    genome: GenomeBases,
    contig: str,
    folder: str | Path,
) -> None:
    """Write the store of one contig, see `store`, into the new folder `folder`.

    Raises InputError for whatever `VariantReader` refuses, genotypes of more than two alleles or of
    alleles that the record does not have, unphased ones where they are refused, and more records
    than allowed whose REF is not what the genome has there.
    """
    started = time.monotonic()
    known = list(dict.fromkeys(genome.contigs["contig"]))
    reader = VariantReader(
        variants, contig, known_contigs=known, samples=config.samples, index=index
    )
    with atomic_path(folder) as temporary:
        temporary.mkdir()
        with StoreWriter(temporary, 2 * len(reader.samples)) as writer:
            reference, at = ReferenceContig(genome, contig), 0
            placer = RecordPlacer(config, reader, reference, writer)
            with Progress(f"place the records of {contig}", "bases", reference.stop) as progress:
                for record in reader:
                    placer.add(record)
                    progress.advance(record.position - at)
                    at = record.position
                progress.advance(reference.stop - at)
            placer.check(final=True)
        reader.close()
        placer.samples().to_csv(temporary / SAMPLES, sep="\t", index=False)
        write_spans(placer.ploidy.spans(), temporary)
        facts = {
            "contig": contig,
            "vcf_contig": reader.contig,
            "sha256": sha256_of(variants),
            "samples": len(reader.samples),
            **placer.facts(),
            "store_bytes": sum(path.stat().st_size for path in temporary.glob("*.npy")),
            "digest": _digest(temporary),
            "seconds": round(time.monotonic() - started, 1),
        }
        write_json(temporary / MANIFEST, facts)
        logger.info("haplotypes of %s: %s", contig, facts)
        _warn_of_mixed(contig, facts["haploid"])
        if facts["missing"]["alleles"]:
            logger.warning(
                "%s: %d missing alleles in %d of %d records are read as the reference, so ALT is "
                "rarer there than among the genotypes that are known.",
                *(contig, *facts["missing"].values(), facts["records"]),
            )


def _warn_of_mixed(contig: str, haploid: Mapping[str, Any]) -> None:
    if haploid["mixed_samples"]:
        logger.warning(
            "%s: %d samples have %d haploid calls beside diploid ones (the first: %s); windows "
            "that begin there are read from their first haplotype, others from both.",
            contig,
            haploid["mixed_samples"],
            haploid["mixed_calls"],
            *haploid["first_mixed"],
        )


def _digest(folder: Path) -> str:
    """Return a sum over all that decides what is drawn and read."""
    digest = hashlib.sha256()
    spans = (SPANS,) if (folder / SPANS).exists() else ()
    for name in (*ARRAYS, SAMPLES, *spans):
        with open(folder / name, "rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                digest.update(chunk)
    return digest.hexdigest()
