"""Settings of the scores of a file of variants, and what decides their numbers."""

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from dnalm.errors import InputError
from dnalm.files import read_facts, sha256_of
from dnalm.genome.bases import GenomeBases
from dnalm.genome.kmers import Vocabulary
from dnalm.model.embedders.contract import MAX_SPECIAL, count_tokens
from dnalm.model.heads import LONGEST
from dnalm.model.loading import read_run
from dnalm.variants.embedded import Embedded, EmbedderModel
from dnalm.variants.language_model import Encoded, EncoderModel
from dnalm.variants.readings import Plan
from dnalm.variants.scan import Source
from dnalm.variants.score_table import BY_NAME
from dnalm.variants.windows import LONGEST_AUTO, WindowConfig, Windows, choose_bases

# Of a source: what neither its alleles nor their scores depend on.
NOT_OF_SCORES = ("path", "tbi", "largest_mismatch", "genome")

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Scoring:
    """The settings of a job, which every process gets: files by path, the rest by value.

    `bases`, `contigs` and `manifest` are those of the genome; `vocabulary` is None of a model that
    is not ours; `layer` is a number; `threads` are those of all processes together.
    """

    model: Encoded | Embedded
    vocabulary: Vocabulary | None
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
        genome, count = GenomeBases(self.bases, self.contigs), None
        # Where every base may be a token, the limit is none of windows that are that short.
        if (
            isinstance(self.model, Embedded)
            and self.windows.bases > self.windows.max_tokens - MAX_SPECIAL
        ):
            embedder = self.model.open("cpu", self.layer, self.precision).embedder
            count = lambda text: int(count_tokens(embedder, [text])[0])  # noqa: E731
        return Windows(genome, self.vocabulary, self.windows, count)

    def open_model(self, device: str) -> EncoderModel | EmbedderModel:
        """Return the model on a device."""
        return self.model.open(device, self.layer, self.precision)

    def facts(self) -> dict[str, Any]:
        """Return all that decides the scores, by which finished parts are found again."""
        manifest = read_facts(self.manifest, ("sha256",))
        return {
            **self.model.facts(),
            "vcf_sha256": sha256_of(self.source.path),
            "genome": manifest,
            "contigs_sha256": sha256_of(self.contigs),
            "source": {**asdict(self.source), **dict.fromkeys(NOT_OF_SCORES)},
            "windows": asdict(self.windows),
            "plan": asdict(self.plan),
            "layer": self.layer,
            "precision": self.precision,
        }


def make_scoring(files: Mapping[str, Any], settings: Mapping[str, Any], threads: int) -> Scoring:
    """Return the settings of a job from those of an entry of `variants:`, defaults filled in.

    `files` are bases, contigs, manifest and variants, with run and weights of a model of ours, or
    `described` of an embedder, whose `settings` have the entry `embedder`. Raises InputError for a
    layer that the model does not have, and a window that it does not read.
    """
    vocabulary = None
    if "described" in files:
        model, windows, layers, scores = _read_embedded(files, settings)
    else:
        encoder, vocabulary = read_run(files["run"])
        model, layers = Encoded(run=files["run"], weights=files["weights"]), encoder.layers
        windows = make_windows(settings, vocabulary.k, encoder.max_tokens)
        scores = tuple(settings["scores"])
    layer, first = settings["layer"], 0 if vocabulary else 1
    layer = layers if layer == "last" else layer
    if not first <= layer <= layers:
        raise InputError(
            f"variant.layer is {layer}, but the model has layers {first} to {layers}: name one of"
            " these, or last."
        )
    return Scoring(
        model=model,
        vocabulary=vocabulary,
        **{key: files[key] for key in ("bases", "contigs", "manifest")},
        source=Source(
            path=files["variants"],
            contig_names=settings["contig_names"],
            largest_mismatch=settings["largest_mismatch"],
            tbi=settings["index"] == "tbi",
            part_records=settings["part_records"],
            genome=settings["genome"],
        ),
        windows=windows,
        plan=Plan(
            scores=scores,
            pooling=settings["pooling"],
            features=settings["features"],
        ),
        layer=layer,
        precision=settings["precision"],
        batch_tokens=settings["batch_tokens"],
        threads=threads,
    )


def _read_embedded(
    files: Mapping[str, Any], settings: Mapping[str, Any]
) -> tuple[Embedded, WindowConfig, int, tuple[str, ...]]:
    """Return an embedder, its windows, its number of layers, and the scores that it has.

    A token of its windows is one base. Raises InputError for a window that is over its longest
    input, and where no score is left.
    """
    model = Embedded(entry=settings["embedder"], described=files["described"])
    facts = model.read_facts()
    name, window = settings["model"], settings["window"]
    limits = [LONGEST_AUTO]
    limits += [facts["max_bases"]] if facts["max_bases"] else []
    limits += [facts["max_tokens"] - MAX_SPECIAL] if facts["max_tokens"] else []
    bases = min(limits) if window == "auto" else int(window)
    if facts["max_bases"] and bases > facts["max_bases"]:
        raise InputError(
            f"variant.window is {bases} bases, but {name} reads {facts['max_bases']}: lower it, or"
            " set it to auto."
        )
    lost = [n for n in settings["scores"] if BY_NAME[n].logits and not facts["logits"]]
    scores = tuple(name for name in settings["scores"] if name not in lost)
    if lost:
        log.warning("%s offers no logits, and so has no %s", name, ", ".join(lost))
    if not scores and not settings["features"]:
        raise InputError(
            f"{name} offers no logits, and so has none of the scores {', '.join(lost)}: name"
            " distances as `scores` of the variants, or drop the model."
        )
    windows = _lay(settings, bases, 1, facts["max_tokens"] or LONGEST)
    return model, windows, facts["layers"], scores


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
    return _lay(settings, bases, k, max_tokens)


def _lay(settings: Mapping[str, Any], bases: int, k: int, max_tokens: int) -> WindowConfig:
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
