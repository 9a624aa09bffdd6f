"""Classifiers of fixed embeddings."""

from dataclasses import dataclass

from dnalm.suggestions import check_choice


@dataclass(frozen=True, kw_only=True)
class Probe:
    """A classifier of fixed embeddings, with a rule of its own.

    Attributes:
        folder: of its results, below `<results>/`.
        words: what figures and tables call it.
        explained: what the glossary of the report says of it.
        shape: its mark in figures; colour says which model.
        published: what the method of a published value begins with; None where there is none.
        not_converged: the sentence of the report on so many fits that failed.
        fitted: the class of its chosen models, which `load` makes of a kept state.
    """

    name: str
    folder: str
    words: str
    explained: str
    shape: str
    published: str | None
    not_converged: str
    fitted: str


PROBES = (
    Probe(
        name="probe",
        folder="probes",
        words="probe",
        explained="Logistic regression on the embedding of a sequence, made of the token vectors "
        "of one layer. The encoder itself stays as it is.",
        shape="circle",
        published="probing",
        not_converged="{} fits stopped at their iteration limit; raise probe.max_iterations.",
        fitted="dnalm.benchmark.probing.linear.fitted.LinearModel",
    ),
    Probe(
        name="mlp",
        folder="mlp_probes",
        words="MLP probe",
        explained="A multilayer perceptron of one or two hidden layers on the same embeddings.",
        shape="diamond",
        published="probing",
        not_converged="{} trials of networks diverged and were not chosen from.",
        fitted="dnalm.benchmark.probing.mlp.fitted.NetworkModel",
    ),
)
LINEAR = PROBES[0]  # by which features of baselines are probed
PROBE_NAMES = tuple(probe.name for probe in PROBES)


def find_probe(name: str) -> Probe:
    """Return the row of a probe; raise InputError, with the known ones, for another name."""
    check_choice("probe", name, PROBE_NAMES)
    return PROBES[PROBE_NAMES.index(name)]
