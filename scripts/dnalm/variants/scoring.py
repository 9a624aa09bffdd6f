"""Settings of the scores of a file of variants, and what decides their numbers."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from dnalm.errors import InputError
from dnalm.files import read_facts, sha256_of
from dnalm.genome.bases import GenomeBases
from dnalm.model.config import describe_model
from dnalm.model.loading import load_model, read_run
from dnalm.variants.language_model import EncoderModel
from dnalm.variants.readings import Plan
from dnalm.variants.scan import Source
from dnalm.variants.windows import WindowConfig, Windows, choose_bases

# Of a source: what neither its alleles nor their scores depend on.
NOT_OF_SCORES = ("path", "tbi", "largest_mismatch", "genome")


@dataclass(frozen=True, kw_only=True)
class Scoring:
    """The settings of a job, which every process gets: files by path, the rest by value.

    `run` and `weights` are those of the model, `bases`, `contigs` and `manifest` of the genome;
    `layer` is a number; `threads` are those of all processes together.
    """

    run: str
    weights: str
    bases: str
    contigs: str
    manifest: str
    source: Source
    windows: WindowConfig
    plan: Plan
    layer: int
    precision: str
    batch_tokens: int
    threads: int

    def open_windows(self) -> Windows:
        """Return what makes the windows of alleles."""
        genome = GenomeBases(self.bases, self.contigs)
        return Windows(genome, read_run(self.run)[1], self.windows)

    def open_model(self, device: str) -> EncoderModel:
        """Return the model on a device."""
        encoder, vocabulary = load_model(self.run, self.weights)
        return EncoderModel(encoder.to(device), vocabulary, self.layer, self.precision)

    def facts(self) -> dict[str, Any]:
        """Return all that decides the scores, by which finished parts are found again."""
        manifest = read_facts(self.manifest, ("sha256",))
        return {
            "model": describe_model(self.run),
            "weights_sha256": sha256_of(self.weights),
            "vcf_sha256": sha256_of(self.source.path),
            "genome": manifest,
            "contigs_sha256": sha256_of(self.contigs),
            "source": {**asdict(self.source), **dict.fromkeys(NOT_OF_SCORES)},
            "windows": asdict(self.windows),
            "plan": asdict(self.plan),
            "layer": self.layer,
            "precision": self.precision,
        }


def make_scoring(files: Mapping[str, str], settings: Mapping[str, Any], threads: int) -> Scoring:
    """Return the settings of a job from those of an entry of `variants:`, defaults filled in.

    `files` are run, weights, bases, contigs, manifest and variants. Raises InputError for a layer
    that the model does not have, and a window that it does not read.
    """
    encoder, vocabulary = read_run(files["run"])
    layer = encoder.layers if settings["layer"] == "last" else settings["layer"]
    if not 0 <= layer <= encoder.layers:
        raise InputError(
            f"variant.layer is {layer}, but the model has layers 0 to {encoder.layers}: name one of"
            " these, or last."
        )
    return Scoring(
        **{key: files[key] for key in ("run", "weights", "bases", "contigs", "manifest")},
        source=Source(
            path=files["variants"],
            contig_names=settings["contig_names"],
            largest_mismatch=settings["largest_mismatch"],
            tbi=settings["index"] == "tbi",
            part_records=settings["part_records"],
            genome=settings["genome"],
        ),
        windows=make_windows(settings, vocabulary.k, encoder.max_tokens),
        plan=Plan(
            scores=tuple(settings["scores"]),
            pooling=settings["pooling"],
            features=settings["features"],
        ),
        layer=layer,
        precision=settings["precision"],
        batch_tokens=settings["batch_tokens"],
        threads=threads,
    )


def make_windows(settings: Mapping[str, Any], k: int, max_tokens: int) -> WindowConfig:
    """Return the windows of an entry of `variants:`, for tokens of k bases and so many of them.

    Raises InputError for a window that the model does not read.
    """
    bases = choose_bases(settings["window"], k, max_tokens)
    tokens = 1 + bases // k + bases % k
    if tokens > max_tokens:
        raise InputError(
            f"variant.window is {bases} bases, which make {tokens} tokens with <cls>, but the model"
            f" reads {max_tokens}: lower it, or set it to auto."
        )
    return WindowConfig(
        bases=bases,
        k=k,
        frames=1 if settings["frames"] == 1 else k,
        strands=settings["strands"],
        shared_bases=settings["shared_bases"],
        max_n=settings["max_n"],
        max_tokens=max_tokens,
    )


def describe(
    scoring: Scoring, facts: Mapping[str, Any], names: Mapping[str, Any]
) -> dict[str, Any]:
    """Return what the files say of themselves: what they are of, and how the scores were made."""
    windows = scoring.windows
    return {
        **names,
        "weights_sha256": facts["weights_sha256"],
        "vcf_sha256": facts["vcf_sha256"],
        "genome": scoring.source.genome,
        "genome_sha256": facts["genome"]["sha256"],
        "scores": list(scoring.plan.scores),
        "passes": scoring.plan.passes(),
        "layer": scoring.layer,
        "pooling": scoring.plan.pooling,
        "strands": windows.strands,
        "frames": windows.frames,
        "window": windows.bases,
        "shared_bases": windows.shared_bases,
        "max_n": windows.max_n,
        "precision": scoring.precision,
    }
