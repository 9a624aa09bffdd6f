"""Hold all scores of a set of variants against its labels and classes."""

from dnalm.benchmark.scoring.bootstrap import BootstrapConfig
from dnalm.jobs.job import job
from dnalm.variants.prioritisation.evaluation import EvaluationConfig
from dnalm.variants.prioritisation.results import evaluate_set

evaluation = snakemake.params.evaluation

with job(snakemake.log[0]):
    statistics = dict(evaluation["statistics"])
    bootstrap = BootstrapConfig(**statistics.pop("bootstrap"))
    evaluate_set(
        snakemake.input.labels,
        snakemake.input.scores,
        [*snakemake.input.get("supervised", []), *snakemake.input.finetuned],
        evaluation["settings"],
        EvaluationConfig(bootstrap=bootstrap, **statistics),
        snakemake.output.evaluation,
    )
