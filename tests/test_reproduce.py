"""The overlays of resources/reproduce: each plans its figure, and its page says what it costs."""

import re

import documents
import pytest
import yaml
from write_reference import plan

FOLDER = documents.ROOT / "resources/reproduce"
OVERLAYS = sorted(FOLDER.glob("*.yaml"))
PAGE = (documents.ROOT / "docs/reproduce.md").read_text()
SPECIES = 101  # the last 50 test, the 50 before them validate
REVISED = {"make_task": 18, "audit_task": 18, "score_baselines": 18}
# What decides whether it is that figure: tasks, models, and what is done with them.
PLANS = {
    "benchmark": REVISED | {"import_weights": 1, "probe_task": 36, "finetune_task": 18},
    "bpnet": REVISED | {"train_network": 36},
    "interpretation": {
        "import_weights": 4,
        "lay_windows": 2,
        "count_attention": 1,
        "compare_heads": 1,
        "map_elements": 1,
        "reconstruct_windows": 4,
        "make_interpretation": 1,
    },
    "mutagenesis": {"import_weights": 4, "score_assay": 4, "make_interpretation": 1},
    "snps": {"import_weights": 4, "choose_snps": 1, "score_snps": 4, "make_interpretation": 1},
    "control": REVISED | {"import_weights": 1, "finetune_task": 18 * 4},
    "deepsea": {"make_task": 1, "import_weights": 1, "finetune_task": 1},
    "deepstarr": {"make_task": 1, "import_weights": 1, "finetune_task": 2, "score_baselines": 1},
    "models": REVISED | {"import_weights": 8, "probe_mlp": 18 * 16, "finetune_task": 18 * 8},
    "original": REVISED | {"import_weights": 5, "probe_mlp": 18 * 10, "finetune_task": 18 * 5},
    "pretraining_1000g": {"pretrain": 2, "build_haplotypes": 23, "build_corpus": 1},
    "pretraining_human_reference": {"pretrain": 1, "encode_genome": 1, "build_corpus": 1},
    "pretraining_multispecies": {"pretrain": 1, "encode_genome": SPECIES, "build_corpus": 1},
    "pretraining_multispecies_v2": {"pretrain": 4, "encode_genome": SPECIES, "build_corpus": 1},
    "rebuilt": REVISED | {"encode_genome": 1, "probe_task": 36, "finetune_task": 18},
    "splicing": {
        "make_task": 1,
        "encode_genome": 1,
        "import_weights": 1,
        "finetune_task": 1,
        "score_bases": 1,
        "train_network": 3,
    },
    "traitgym": {
        "import_weights": 2,
        "encode_genome": 1,
        "score_variants_with_features": 4,
        "supervise_variants": 4,
        "align_scores": 4,
        "evaluate_variants": 2,
        "report_variants": 1,
    },
    "variants": {
        "import_weights": 4,
        "encode_genome": 1,
        "gather_variants": 4,
        "score_variants_with_features": 16,
        "supervise_variants": 16,
        "finetune_variants": 16,
        "evaluate_variants": 4,
        "report_variants": 1,
    },
    "tutorials": {"make_task": 2, "import_weights": 1, "finetune_task": 2 * 2},
}


# The authors' files of the three larger benchmarks.
PARTS = [(kind, part) for part in ("Train", "Val", "Test") for kind in ("", "activity_")]
ELEMENTS = ("enhancer", "promoter", "ctcf", "open_chromatin", "tf_binding", "repeats")
BROUGHT = (
    *(f"deepsea_train/{part}.mat" for part in ("train", "valid", "test")),
    *(f"Sequences_{kind}{part}.{'txt' if kind else 'fa'}" for kind, part in PARTS),
    "canonical_dataset.txt", "GRCh37.primary_assembly.genome.fa.gz",
    "hgdp/chr22.vcf.gz", "hgdp.tsv", "mst1r_exon11.tsv",
    "genes.gtf.gz", *(f"{name}.bed" for name in ELEMENTS),
    "grasp_eqtl.tsv", "grasp_meqtl.tsv", "clinvar.vcf.gz", "hgmd.vcf.gz", "1000g_sites.vcf.gz",
    "traitgym/mendelian_traits_matched_9/test.parquet",
    "traitgym/complex_traits_matched_9/test.parquet",
)  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A working directory with a list of species, and names of files that are brought."""
    place = tmp_path_factory.mktemp("reproduce")
    rows = [f"species{i}\thttps://genomes.example.org/{i}.fna.gz\n" for i in range(SPECIES)]
    (place / "genomes.tsv").write_text("name\turl\n" + "".join(rows))
    for name in BROUGHT:
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).touch()
    return place


@pytest.mark.parametrize("overlay", OVERLAYS, ids=lambda path: path.stem)
def test_every_overlay_plans_the_models_tasks_and_methods_of_its_figure(overlay, folder):
    planned, _ = plan(overlay, folder)
    wanted = PLANS[overlay.stem]
    assert {rule: planned[rule] for rule in wanted} == wanted
    assert planned["make_report"] == 1
    # Pretraining is asked for by name, published weights are never trained.
    assert ("pretrain" in planned) == overlay.stem.startswith("pretraining_")
    results = yaml.safe_load(overlay.read_text())["pathvars"]["results"]
    assert results == f"results/reproduce/{overlay.stem}"  # none shares a folder


def test_the_page_has_a_line_with_cost_and_state_for_every_overlay():
    rows = [line.split("|")[1:-1] for line in PAGE.splitlines() if line.startswith("| ")]
    lines = {match[1]: row for row in rows if (match := re.match(r" `(\w+)\.yaml` ", row[1]))}
    assert lines.keys() == {path.stem for path in OVERLAYS}
    for row in lines.values():
        _, _, bring, hours, disk, state = (cell.strip() for cell in row)
        assert all([bring, hours, disk])
        assert re.match("not run$|run on ", state)


def test_recipes_of_the_papers_variants_draw_negatives_as_configured_and_are_documented():
    page = (documents.ROOT / "docs/how-to/prioritisation.md").read_text()
    recipe = yaml.safe_load((FOLDER / "variants.yaml").read_text())["variants"]
    published = {entry["published_as"] for entry in recipe.values()}
    assert published == {"eQTL", "meQTL", "ClinVar", "HGMD"}
    for entry in recipe.values():
        assert set(entry["match"]) == {"common"}  # all else as the configuration has it
    for name in ("variants.yaml", "traitgym.yaml"):
        assert f"resources/reproduce/{name}" in page
