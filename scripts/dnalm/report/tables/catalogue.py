"""The one list of tables: what `make_tables` and `pretraining_tables` give, rules write, docs tell.

A new table is a row here, a caption of its name in resources/captions, a function in this room.
Nothing heavy is imported: rules read this before any job.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from dnalm.report.tables.columns import MEANINGS
from dnalm.report.tables.columns.units import TEXT

PLACEHOLDER = re.compile(r"<(\w+)>")


@dataclass(frozen=True, kw_only=True)
class Table:
    """One table: its name and its columns in order, with a placeholder for each family of them."""

    name: str
    columns: tuple[str, ...]

    def meaning(self, column: str) -> tuple[str, str]:
        """Return unit and meaning of one of the columns."""
        return MEANINGS.get(f"{self.name}.{column}") or MEANINGS[column]

    @property
    def text(self) -> list[str]:
        """The columns that hold text."""
        return [column for column in self.columns if self.meaning(column)[0] == TEXT]


def _table(name: str, *lines: str) -> Table:
    # A column of panels has a blank in its name, so blanks alone do not part them.
    return Table(name=name, columns=tuple(re.split(r"(?<!:)\s+", " ".join(lines))))


# By the rule that makes them, in the order in which reports list them.
BENCHMARK = (
    _table("scores", "method model task fold <metric>"),
    _table(
        "summary",
        "method model task kind n metric score_mean score_sd <metric>_mean <metric>_sd low high",
        "rows leaking_share clean_rows clean_score clean_low clean_high chosen edge not_converged",
        "constant_splits first_train_loss last_train_loss loss_falls seconds peak_memory_mb",
        "memory_of trained_parameters",
        "all_parameters cropped_rows published",
        "published_sd published_model published_method published_data_set",
        "comparable reason",
    ),
    _table(
        "layers",
        "method model task feature layer penalty metric validation_score validation_score_sd",
        "chosen embeddings",
    ),
    _table(
        "outputs",
        "method model task output name group metric score_mean score_sd positives published",
    ),
    _table(
        "output_groups",
        "method model task group metric outputs defined undefined score_mean score_median",
        "published_mean published_median",
    ),
    _table(
        "comparisons",
        "method model task against reference_method reference metric score reference_score",
        "difference low high p_value p_adjusted rows verdict",
    ),
    _table(
        "choices",
        "task metric method model chosen pooling file predicts validation_score candidates",
        "unranked score_mean low high rows reference margin margin_low margin_high verdict",
        "resolution cautions",
    ),
    _table(
        "confusion",
        "method model task role label predicted splits predictions label_rows",
    ),
    _table(
        "test_curves",
        "method model task role label curve x y y_sd positives test_rows splits",
    ),
    _table(
        "headline",
        "set category metric method model tasks tasks_scored score low high rank best_share",
    ),
    _table(
        "reproduction",
        "method model task reading score low high rows published_data_set published_task",
        "published_model published_method published_metric published published_sd difference",
        "difference_low difference_high verdict reason source confidence",
    ),
    _table(
        "lift",
        "method model task corpus region rows metric score untrained_score lift low high",
    ),
    _table(
        "audits",
        "task train_rows test_rows test_in_train_identical test_in_train_near",
        "test_in_train_overlap train_in_other_folds_identical train_in_other_folds_near",
        "train_in_other_folds_overlap within_train_identical within_train_near",
        "within_train_overlap within_test_identical within_test_near within_test_overlap",
        "other_labels gc_strength length_strength strand_strength repeats_not_followed too_short",
        "contigs_from train_placed test_placed shared_contigs test_rows_shared",
    ),
    _table("exposure", "task corpus models rows on_used on_held_out on_neither nowhere"),
    _table(
        "finetuning_curves",
        "method model task step splits train_loss metric validation_score validation_score_sd",
    ),
    _table("curves", "model step tokens split positions loss accuracy"),
    _table(
        "genomes",
        "genome species group accession source bases contigs n soft_masked iupac sha256 simulated",
        "corpora",
    ),
    _table(
        "corpora",
        "corpus genomes k vocabulary window_tokens split windows contigs bases tokens evaluated",
        "tail_bases held_out simulated genome_count window_length window_stride start_max",
        "short_contigs short_bases panel draw",
    ),
    _table("groups", "corpus group genome_count bases n soft_masked"),
    _table("kmers", "corpus kmer count"),
    _table(
        "panels",
        "panel genome contigs samples haplotypes records variants alleles store_bytes",
        "haploid_calls missing_alleles ignored: <reason>",
    ),
    _table(
        "haplotypes",
        "panel sample population superpopulation haplotype snvs insertions deletions others",
    ),
    _table(
        "models",
        "model untrained_of published_as corpus parameters layers width heads positions",
        "feed_forward initialisation max_tokens steps training_tokens validation_loss",
        "validation_accuracy unigram_loss unigram_accuracy tempered_loss exponents shuffled_loss",
        "foreign_loss order_gain order_low order_high composition_gain composition_low",
        "composition_high context_gain context_low context_high test_loss test_accuracy",
        "weights_sha256 source licence",
    ),
    _table(
        "tasks",
        "task kind classes train_rows test_rows train_classes test_classes shortest",
        "median_length longest duplicates_within_train duplicates_within_test duplicates_across",
        "train_rows_located test_rows_located test_rows_overlapping train_rows_overlapping_fold",
        "iupac_replaced letters_masked uracil_read_as_t rows_without_label rows_with_other_letters",
        "cross_validation pooling published_as published_train_rows published_test_rows",
        "shuffled_labels simulated sources sources_sha256 sha256",
    ),
)
PRETRAINING = (
    _table(
        "held_out",
        "model step tokens split group genomes windows masked loss accuracy unigram_loss",
        "unigram_accuracy window_accuracy window_perplexity unigram_window_accuracy",
        "unigram_window_perplexity",
    ),
    _table(
        "context",
        "model step windows masked loss accuracy unigram_loss unigram_accuracy tempered_loss",
        "exponents shuffled_loss foreign_loss order_gain order_low order_high composition_gain",
        "composition_low composition_high context_gain context_low context_high",
    ),
    _table("progress", "model step tokens lr gradient_norm tokens_per_second data_wait_share mfu"),
    _table(
        "training",
        "model corpus steps tokens epochs device precision processes tokens_per_second",
        "device_hours mfu mfu_denominator peak_memory_bytes data_wait_share skipped_steps",
        "thin_windows selected published_as published_accuracy",
    ),
)
OF_VARIANTS = (
    _table(
        "variant_sets",
        "entry variants positives negatives positive_indels negative_indels without_label repeated",
        "contradictory",
        "labels_without_variant matched_negatives positives_with_too_few_negatives other_labels",
    ),
    _table(
        "variant_scores",
        "entry model score sign subset variants positives missing auroc auroc_low auroc_high",
        "auprc auprc_low auprc_high chromosomes chromosome_auprc chromosome_se",
    ),
    _table(
        "variant_differences",
        "entry metric model score reference_model reference_score value reference_value difference",
        "low high p_value p_adjusted variants",
    ),
    _table("variant_severity", "entry model score variants classes spearman low high"),
    _table("variant_curves", "entry model score curve x y"),
    _table(
        "variant_percentiles",
        "entry model score consequence variants reference_variants lower_quartile median",
        "upper_quartile above_95",
    ),
    _table("variant_skipped", "entry model reason variants positives negatives"),
    _table("variant_published", "entry published_model published_method metric value note"),
)
TABLES = {table.name: table for table in (*BENCHMARK, *PRETRAINING, *OF_VARIANTS)}


def list_columns(table: str, **values: Sequence[str]) -> list[str]:
    """Return the columns of a table, with `values` in the place of `<…>`.

    Neighbours with the same placeholder alternate: `<metric>_mean <metric>_sd` gives mcc_mean,
    mcc_sd, f1_mean, f1_sd.
    """
    names: list[str] = []
    for key, family in groupby(TABLES[table].columns, _placeholder):
        columns = list(family)
        if key is None:
            names += columns
        else:
            names += [c.replace(f"<{key}>", value) for value in values[key] for c in columns]
    return names


def _placeholder(column: str) -> str | None:
    found = PLACEHOLDER.search(column)
    return found and found[1]


def describe(captions: Mapping[str, str]) -> str:
    """Return all tables and their columns, with units, as Markdown; `captions` by table."""
    return "\n".join(_describe(table, captions[name]) for name, table in TABLES.items())


def _describe(table: Table, caption: str) -> str:
    rows = [(column, *table.meaning(column)) for column in table.columns]
    lines = [f"| `{column}` | {unit} | {meaning} |" for column, unit, meaning in rows]
    heading = f"### tables/{table.name}.tsv\n\n{_markdown(caption)}\n"
    return "\n".join([heading, "| column | unit | meaning |", "|---|---|---|", *lines, ""])


def _markdown(caption: str) -> str:
    """Return reStructuredText of one paragraph as Markdown."""
    return " ".join(caption.replace("``", "`").replace("<mask>", "`<mask>`").split())
