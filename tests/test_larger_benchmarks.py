"""DeepSTARR, DeepSEA and SpliceAI's sites through the whole chain, from files in their formats."""

import random

import h5py
import numpy as np
import pandas as pd
import pytest
from scipy.io import savemat

from dnalm.files import read_json

pytestmark = pytest.mark.slow  # 27 jobs
BENCHMARKS = ("--configfile", "tests/config.yaml", "tests/tiny.yaml", "tests/benchmarks.yaml")
RESULTS = "results/benchmarks"
ROWS = {"Train": 60, "Val": 20, "Test": 30}
COMPLEMENT = str.maketrans("ACGT", "TGCA")
INTRON = 40


def draw_sequences(draw, rows, bases):
    """Return DNA of unequal composition in which CG is rarer than GC, as in vertebrates."""
    texts = []
    for _ in range(rows):
        weights = [draw.random() + 0.1 for _ in "ACGT"]
        texts.append("".join(draw.choices("ACGT", weights, k=bases)).replace("CG", "TG"))
    return texts


def plant_deepstarr(folder, draw):
    for role, rows in ROWS.items():
        texts = draw_sequences(draw, rows, 60)
        pairs = enumerate(texts)
        (folder / f"{role}.fa").write_text("".join(f">chr2L_{i}_+\n{text}\n" for i, text in pairs))
        targets = {
            "Dev_log2_enrichment": [text.count("A") / 60 for text in texts],
            "Hk_log2_enrichment": [text.count("G") / 60 for text in texts],
        }
        pd.DataFrame(targets).to_csv(folder / f"activity_{role}.txt", sep="\t", index=False)


def plant_deepsea(folder, draw):
    """Profiles say which letter is frequent; no test row has the third."""
    for role, rows in {"train": 60, "valid": 20, "test": 30}.items():
        texts = draw_sequences(draw, rows, 60)
        both = [*texts, *(text.translate(COMPLEMENT)[::-1] for text in texts)]
        bases = np.array([[[b == c for b in text] for c in "AGCT"] for text in both], dtype="u1")
        flags = [[text.count("A") > 15, text.count("G") > 12, 0] for text in texts]
        if role != "test":
            flags[0][2] = 1
        labels = np.array([*flags, *flags], dtype="u1")
        if role == "train":
            with h5py.File(folder / "train.mat", "w", userblock_size=512) as file:
                file["trainxdata"], file["traindata"] = bases.transpose(2, 1, 0), labels.T
        else:
            savemat(folder / f"{role}.mat", {f"{role}xdata": bases, f"{role}data": labels})
    names = "name\tgroup\tpublished_auc\nmany A\tx\t0.9\nmany G\tx\t0.8\nnever\ty\tNA\n"
    (folder / "profiles.tsv").write_text(names)


def plant_genes(folder, draw):
    """Six genes of one intron on each of two contigs, on both strands; one has a paralog."""
    contigs, lines, annotation = {}, [], []
    for contig in ("chr2", "chr3"):
        letters = draw.choices("ACGT", k=1300)
        for number in range(6):
            start, strand = 100 + 200 * number, "+-"[number % 2]
            intron = start + 60, start + 60 + INTRON  # 0-based, half-open
            sites = ("CAGGTAAG", "TTTTCAGG") if strand == "+" else ("CCTGAAAA", "CTTACCTG")
            befores = (3, 7) if strand == "+" else (1, 5)  # bases of a site in front of the border
            for place, site, before in zip(intron, sites, befores, strict=True):
                letters[place - before : place - before + len(site)] = site
            paralog = int(contig == "chr3" and number == 0)
            place = f"{contig}\t{strand}\t{start + 1}\t{start + 150}"
            lines.append(f"{contig}.{number}\t{paralog}\t{place}\t{intron[0]},\t{intron[1] + 1},")
            attributes = f'gene_id "{contig}.{number}"; transcript_id "t{contig}.{number}";'
            for first, last in ((start + 1, intron[0]), (intron[1] + 1, start + 150)):
                annotation += [
                    f"{contig}\tx\t{part}\t{first}\t{last}\t.\t{strand}\t.\t{attributes}\n"
                    for part in ("exon", "CDS")
                ]
        contigs[contig] = "".join(letters)
    (folder / "genome.fa").write_text("".join(f">{name}\n{t}\n" for name, t in contigs.items()))
    (folder / "genes.txt").write_text("\n".join(lines) + "\n")
    (folder / "genes.gtf").write_text("".join(annotation))


@pytest.fixture(scope="module")
def finished(make_workflow):
    workflow, draw = make_workflow(), random.Random(6)
    folder = workflow.folder / "planted"
    folder.mkdir()
    for plant in (plant_deepstarr, plant_deepsea, plant_genes):
        plant(folder, draw)
    done = workflow.run(*BENCHMARKS)
    assert done.returncode == 0, done.stdout
    return workflow.folder / RESULTS


def test_each_benchmark_has_its_rows_and_a_report(finished):
    rows = {
        name: read_json(finished / f"tasks/planted.{name}.json")["rows"]
        for name in ("activity", "profiles", "splicing", "annotated")
    }
    # 150 bases of each gene are three blocks of 50; one test gene has a paralog.
    assert rows == {
        "activity": {"train": 80, "test": 30},
        "profiles": {"train": 80, "test": 30},
        "splicing": {"train": 18, "test": 15},
        "annotated": {"train": 18, "test": 18},
    }
    assert (finished / "report.html").stat().st_size > 0


def test_targets_profiles_and_sites_have_scores_of_their_own(finished):
    outputs = pd.read_csv(finished / "tables/outputs.tsv", sep="\t")
    outputs = outputs[outputs["method"] == "ia3"].set_index(["task", "name", "metric"])
    for name in ("Dev_log2_enrichment", "Hk_log2_enrichment"):
        for metric in ("pearson", "spearman"):
            assert abs(outputs.loc[("planted.activity", name, metric), "score_mean"]) <= 1
    assert outputs.loc[("planted.profiles", "many A", "auc"), "published"] == 0.9
    assert np.isnan(outputs.loc[("planted.profiles", "never", "auc"), "score_mean"])
    for site in ("acceptor", "donor"):
        for multiple in ("0.5", "1", "2", "4"):
            key = ("planted.splicing", site, f"top_{multiple}k_accuracy")
            assert 0 <= outputs.loc[key, "score_mean"] <= 1
            assert outputs.loc[key, "positives"] == 5
    groups = pd.read_csv(finished / "tables/output_groups.tsv", sep="\t")
    never = groups[(groups["task"] == "planted.profiles") & (groups["group"] == "y")]
    assert set(never["undefined"]) == {"never"}


def test_a_gtf_of_the_same_genes_makes_the_rows_of_the_table(finished):
    """And the gene with a paralog, which a GTF does not tell."""
    rows = {
        name: pd.read_parquet(finished / f"tasks/planted.{name}.parquet").set_index("provenance")
        for name in ("splicing", "annotated")
    }
    own = rows["annotated"].loc[rows["splicing"].index]
    assert own["sequence"].tolist() == rows["splicing"]["sequence"].tolist()
    assert (np.stack(own["label"]) == np.stack(rows["splicing"]["label"])).all()


def test_spliceais_network_stands_in_the_rows_of_the_models(finished):
    outputs = pd.read_csv(finished / "tables/outputs.tsv", sep="\t")
    own = outputs[(outputs["model"] == "spliceai_80") & (outputs["task"] == "planted.splicing")]
    found = set(zip(own["name"], own["metric"], strict=True))
    for site in ("acceptor", "donor"):
        for metric in ("average_precision", "top_1k_accuracy", "top_4k_accuracy"):
            assert (site, metric) in found


def test_matrices_of_position_weights_find_the_planted_sites(finished):
    """Guessing finds 5 of 750 bases."""
    summary = pd.read_csv(finished / "tables/summary.tsv", sep="\t")
    sites = summary[summary["task"] == "planted.splicing"].set_index("model")["score_mean"]
    assert sites["position_weights"] > 0.5
