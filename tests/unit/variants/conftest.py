"""Genomes, models of v1 that `transformers` opens, files of variants, and jobs that score them."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest
import yaml

from dnalm.genome.bases import write_bases
from dnalm.genome.kmers import Vocabulary
from dnalm.model.config import EncoderConfig
from dnalm.model.encoder import Encoder
from dnalm.model.initialise import initialise
from dnalm.model.weights import save_weights
from dnalm.variants import run
from dnalm.variants.score_table import SCORE_NAMES

ROOT = Path(__file__).parents[3]
DEFAULTS = yaml.safe_load((ROOT / "config.yaml").read_text())["variant"]
COLUMNS = "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO"
HEADER = "##fileformat=VCFv4.2\n"


@pytest.fixture(scope="session")
def make_files(tmp_path_factory) -> Callable[..., dict[str, str]]:
    """Return a function that makes a small v1 model and a genome, and returns their paths."""

    def make(
        contigs: dict[str, str] | Path,
        *,
        k: int = 3,
        layers: int = 2,
        tokens: int = 41,
        seed: int = 1,
    ) -> dict[str, str]:
        folder = tmp_path_factory.mktemp("variants")
        source = contigs
        if isinstance(contigs, dict):
            source = folder / "genome.fa"
            source.write_text("".join(f">{name}\n{text}\n" for name, text in contigs.items()))
        genome = {"bases": "bases.npy", "contigs": "contigs.tsv", "manifest": "manifest.json"}
        genome = {key: str(folder / name) for key, name in genome.items()}
        write_bases(source, name="g", config={}, **genome)
        vocabulary = Vocabulary(k, "v1")
        config = EncoderConfig(
            layers=2,
            heads=2,
            width=16,
            ffn_width=24,
            positions="learned",
            feed_forward="gelu",
            ffn_bias=True,
            max_tokens=tokens,
            vocabulary_size=vocabulary.size,
            pad_id=vocabulary.pad,
            mask_id=vocabulary.mask,
            token_dropout=0.12,
            dropout=0.0,
            layer_norm_eps=1e-5,
            initialisation="haiku",
        )
        encoder = Encoder(config)
        initialise(encoder, 1)
        files = {"run": str(folder / "run.json"), "weights": str(folder / "weights.safetensors")}
        save_weights(encoder, files["weights"], {})
        facts = {"model": "small", "encoder": vars(config), "k": k, "vocabulary": "v1"}
        Path(files["run"]).write_text(json.dumps(facts))
        return files | genome

    return make


@dataclass(frozen=True, kw_only=True)
class Scores:
    """What a job left: its files, and the counts that it returned."""

    vcf: Path
    path: Path
    features: Path
    counts: object

    @property
    def table(self) -> pd.DataFrame:
        return pd.read_parquet(self.path)


@pytest.fixture
def score(tmp_path) -> Callable[..., Scores]:
    """Return a function that scores a file of variants as the rule does, all scores by default."""

    def make(files: dict[str, str], variants: Path | str, *, threads: int = 1, **options) -> Scores:
        settings = DEFAULTS | {"scores": list(SCORE_NAMES), "set": "mine", "model": "a.small-1"}
        settings |= {"genome": "g", **options}
        if isinstance(variants, str):
            path = tmp_path / "variants.vcf"
            path.write_text(variants)
            variants = path
        outputs = {"vcf": tmp_path / "scored.vcf.gz", "table": tmp_path / "scored.parquet"}
        if settings["features"]:
            outputs["features"] = tmp_path / "scored.features.safetensors"
        counts = run.score_entry(
            files | {"variants": str(variants)},
            settings,
            {key: str(path) for key, path in outputs.items()},
            tmp_path / "partial" / "small",
            threads,
        )
        features = tmp_path / "scored.features.safetensors"
        return Scores(vcf=outputs["vcf"], path=outputs["table"], features=features, counts=counts)

    return make


def write_vcf(*records: str, header: str = HEADER) -> str:
    """Return a file of variants: records are CHROM POS REF ALT, with blanks between."""
    lines = []
    for record in records:
        contig, position, reference, alternative = record.split()
        lines.append(f"{contig}\t{position}\t.\t{reference}\t{alternative}\t.\t.\t.")
    return header + COLUMNS + "\n" + "".join(f"{line}\n" for line in lines)


@pytest.fixture(scope="session")
def vcf() -> Callable[..., str]:
    """Return `write_vcf`."""
    return write_vcf
