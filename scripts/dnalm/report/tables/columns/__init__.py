"""The columns of all tables: name, unit and meaning, each in one place.

A column means the same wherever it stands; where it does not, `<table>.<column>` says what it means
there. A name with `<…>` stands for several columns. Nothing heavy is imported: rules read this.
"""

from dnalm.report.tables.columns.benchmark import BENCHMARK
from dnalm.report.tables.columns.data import DATA
from dnalm.report.tables.columns.prioritisation import PRIORITISATION
from dnalm.report.tables.columns.training import TRAINING

MEANINGS = {**BENCHMARK, **DATA, **TRAINING, **PRIORITISATION}
