"""Imports run one way, from the report down to the ground, and nothing heavy loads unasked."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"
LIBRARY = SCRIPTS / "dnalm"
# Each room may import itself, the ground (modules beside the rooms, the table of methods, and jobs)
# and what is named.
BELOW = {
    "ground": {"jobs"},
    "jobs": set(),
    "download": set(),
    "genome": {"download"},
    "corpus": {"genome", "download"},
    "model": {"genome", "download"},
    "parallel": {"model", "genome", "download"},
    "training": {"parallel", "model", "corpus", "genome", "download"},
    "benchmark": {"parallel", "model", "corpus", "genome", "download"},
    "variants": {"benchmark", "model", "corpus", "genome", "download"},
    "interpretation": {"variants", "benchmark", "model", "corpus", "genome", "download"},
    "report": {
        "interpretation",
        "variants",
        "benchmark",
        "training",
        "parallel",
        "model",
        "corpus",
        "genome",
        "download",
    },
    "interface": {"benchmark", "model", "genome"},
    "configuration": {"genome", "download"},
    "huggingface": {"model"},
}
# What configuration reads of models and the benchmark: tables and sizes that load nothing.
TABLES = {"dnalm.benchmark.tasks.kinds", "dnalm.benchmark.tasks.recipes", "dnalm.model.config"}
TABLES |= {"dnalm.benchmark.tasks.schemes"}
TABLES |= {"dnalm.variants.score_table"}
EXTRAS = {
    "altair", "jinja2", "optuna", "snakemake", "tensorboard", "vl_convert", "pygments",
    "transformers", "peft", "accelerate",
}  # fmt: skip
# Of a folder, no things in it.
MARKERS = {"__pycache__", "__init__.py", "py.typed"}
NEED_EXTRAS = ("report/figures", "report/pages", "benchmark/probing/mlp", "huggingface.py")
NEED_EXTRAS += ("model/embedders/stock.py",)

COMPILER = {"torch._dynamo"}
NUMBERS = {"torch", "sklearn", "pandas", "scipy"} | COMPILER
# What every rule's script starts with takes longer than many do: 1.4 s of torch, as much again of
# its compiler, 0.9 s of scikit-learn with scipy.stats, 0.4 s of pandas, 0.3 s of numba.
SCRIPTS_WITHOUT = [
    (
        NUMBERS | {"numba"},
        "describe_operation describe_run download_file draw_species fetch_repository"
        " index_variants mirror_file",
    ),
    (
        {"torch", "sklearn", "scipy.stats"},
        "audit_task build_corpus build_haplotypes describe_panel encode_genome export_embeddings"
        " import_embeddings index_scores locate_task make_report make_tables make_task"
        " make_partial_report"
        " search_genomes simulate_genome summarise_pretraining write_fasta write_model_card"
        " write_token_shards label_variants report_variants choose_snps",
    ),
    ({"torch", "numba"}, "probe_task"),
    (
        {"torch"},
        "score_baselines score_bases align_scores collect_distribution"
        " evaluate_variants place_variants supervise_variants",
    ),
    (
        {"sklearn", "scipy.stats"} | COMPILER,
        "check_training describe_embedder embed_task embed_with_embedder estimate_models"
        " export_adapters export_model import_weights initialise_model predict_sequences pretrain"
        " score_variants write_variant_table",
    ),
    (COMPILER, "finetune_task finetune_variants probe_mlp train_network"),
    ({"transformers"}, "estimate_stages"),
    (
        {"transformers"},
        "count_attention compare_heads lay_windows make_interpretation map_elements"
        " reconstruct_windows score_assay score_snps write_tracks",
    ),
]


def room_of(module: str) -> str:
    """Return the room of a module of the library, `ground` for those beside the rooms."""
    parts = module.split(".")
    if parts[1:] in (["interface"], ["huggingface"]):
        return parts[1]
    if parts[1:2] == ["methods"]:
        return "ground"
    return parts[1] if len(parts) > 1 and (LIBRARY / parts[1]).is_dir() else "ground"


def list_imports(path: Path) -> set[str]:
    """Return what a file imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found


def name_of(path: Path) -> str:
    parts = path.relative_to(LIBRARY.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in sorted(LIBRARY.rglob("*.py"))}


def test_every_room_imports_only_what_lies_below_it():
    upward = []
    for name, path in MODULES.items():
        room = room_of(name)
        for other in list_imports(path) & MODULES.keys() - {"dnalm"}:
            known = {room, "ground", "jobs", *BELOW[room]}
            table = room == "configuration" and any(other.startswith(table) for table in TABLES)
            package = other in ("dnalm.benchmark", "dnalm.benchmark.tasks", "dnalm.model")
            package = package or other == "dnalm.variants"
            if room_of(other) not in known and not table and not package:
                upward.append(f"{name} imports {other}")
    assert not upward


STOCK = "dnalm.model.embedders.stock"


def test_two_modules_import_transformers_and_one_imports_one_of_them_when_it_is_asked_to():
    users = {name for name, path in MODULES.items() if "transformers" in list_imports(path)}
    assert users == {"dnalm.huggingface", STOCK}
    openers = {name for name, path in MODULES.items() if STOCK in list_imports(path)}
    assert openers == {"dnalm.model.embedders.opening"}
    run_python(f"import sys, {openers.pop()}; assert 'transformers' not in sys.modules")
    assert not [n for n, path in MODULES.items() if "dnalm.huggingface" in list_imports(path)]
    assert not [n for n, path in MODULES.items() if "peft" in list_imports(path)]


def test_no_module_imports_snakemake():
    assert not [name for name, path in MODULES.items() if "snakemake" in list_imports(path)]


@pytest.mark.parametrize("folder", sorted({path.parent for path in MODULES.values()}))
def test_no_room_holds_more_than_twenty_things(folder):
    things = [path for path in folder.iterdir() if path.name not in MARKERS]
    assert len(things) <= (30 if folder.name == "training" else 20)


def run_python(code: str) -> str:
    """Return what `code` prints in a fresh interpreter that finds the library."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": str(LIBRARY.parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_library_is_imported_without_any_optional_part():
    plain = [
        name
        for name, path in MODULES.items()
        if not path.relative_to(LIBRARY).as_posix().startswith(NEED_EXTRAS)
    ]
    code = (
        "import importlib, sys\n"
        "class Refuse:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name.split('.')[0] in {EXTRAS!r}: raise ImportError(name)\n"
        "sys.meta_path.insert(0, Refuse())\n"
        f"for name in {plain!r}: importlib.import_module(name)\n"
    )
    run_python(code)


def test_the_configuration_is_checked_without_torch_or_pandas():
    rules = LIBRARY.parents[1] / "rules"
    text = "\n".join(path.read_text() for path in sorted(rules.rglob("*.smk")))
    lines = [line for line in text.splitlines() if line.startswith("from dnalm")]
    assert lines
    code = "\n".join(["import sys", *lines, "print(*sys.modules)"])
    loaded = set(run_python(code).split())
    assert not {"torch", "sklearn", "altair", "scipy.stats"} & loaded


def start_of(script: Path) -> list[str]:
    """Return the imports that a script begins with."""
    statements = ast.parse(script.read_text()).body
    return [ast.unparse(one) for one in statements if isinstance(one, ast.Import | ast.ImportFrom)]


@pytest.mark.parametrize(("unwanted", "scripts"), SCRIPTS_WITHOUT)
def test_a_script_loads_only_what_its_job_needs(unwanted, scripts):
    starts = [line for name in scripts.split() for line in start_of(SCRIPTS / f"{name}.py")]
    code = "\n".join(["import sys", *starts, "print(*sys.modules)"])
    assert not unwanted & set(run_python(code).split())


def test_of_every_script_it_is_said_what_it_does_without():
    named = " ".join(scripts for _, scripts in SCRIPTS_WITHOUT).split()
    assert sorted(named) == sorted(path.stem for path in SCRIPTS.glob("*.py"))
