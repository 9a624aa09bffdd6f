"""Building of the haplotype store of a contig from phased genotypes of a VCF or BCF file."""

import hashlib
import logging
import time
from pathlib import Path

from dnalm.files import CHUNK_BYTES, atomic_path, sha256_of, write_json
from dnalm.genome.bases import GenomeBases
from dnalm.genome.haplotypes.placing import PanelConfig, RecordPlacer
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
        facts = {
            "contig": contig,
            "vcf_contig": reader.contig,
            "sha256": sha256_of(variants),
            "samples": len(reader.samples),
            **placer.facts(),
            "store_bytes": sum((temporary / name).stat().st_size for name in ARRAYS),
            "digest": _digest(temporary),
            "seconds": round(time.monotonic() - started, 1),
        }
        write_json(temporary / MANIFEST, facts)
        logger.info("haplotypes of %s: %s", contig, facts)


def _digest(folder: Path) -> str:
    """Return a sum over all that decides what is drawn and read."""
    digest = hashlib.sha256()
    for name in (*ARRAYS, SAMPLES):
        with open(folder / name, "rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                digest.update(chunk)
    return digest.hexdigest()
