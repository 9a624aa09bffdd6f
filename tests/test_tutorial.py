"""The tutorial, typed as it stands: yeast, and a task that a block of the page makes."""

import os
import shutil
import subprocess
import sys

import documents
import pandas as pd
import pytest

PAGE = documents.ROOT / "docs/tutorial.md"


@pytest.mark.slow
def test_the_yeast_of_the_tutorial_ends_in_the_scores_that_it_promises(make_workflow, data_folder):
    workflow = make_workflow()
    (overlay,) = documents.find_blocks(PAGE, "yaml")
    (code,) = documents.find_blocks(PAGE, "python")
    (workflow.folder / "yeast.yaml").write_text(overlay)
    (workflow.folder / "genomes").mkdir()
    yeast = data_folder / "multispecies/saccharomyces_cerevisiae_s288c_r64.fa.gz"
    shutil.copy(yeast, workflow.folder / "genomes/yeast.fa.gz")
    commands = [words for words in documents.find_commands(PAGE) if "yeast.yaml" in words]
    corpora, everything = ([w for w in words[1:] if w != "--profile"] for words in commands)
    for words in (corpora, everything):
        words.remove("profiles/local")
    done = workflow.run(*corpora)
    assert done.returncode == 0, done.stdout[-3000:]
    subprocess.run(
        [sys.executable, "-c", code],
        cwd=workflow.folder,
        env=os.environ | {"PYTHONPATH": str(workflow.folder / "scripts")},
        check=True,
    )
    done = workflow.run(*everything)
    assert done.returncode == 0, done.stdout[-3000:]
    results = workflow.folder / "results/yeast"
    assert (results / "report.html").exists()
    scores = pd.read_csv(results / "tables/summary.tsv", sep="\t").set_index("model")["score_mean"]
    print(scores)
    # A shuffle keeps the letters, and breaks what neighbours have in common.
    assert abs(scores["gc_content"]) < 0.1
    assert scores["kmers"] > 0.3
