"""The conda files and the constraints pin the same versions."""

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PINS = {
    line.split("==")[0].lower(): line.split("==")[1]
    for line in (ROOT / "constraints.txt").read_text().split()
}


def test_every_constraint_is_an_exact_public_version():
    for version in PINS.values():
        assert re.fullmatch(r"[0-9][0-9a-z.]*", version), version


@pytest.mark.parametrize("path", sorted((ROOT / "envs").glob("*.yaml")), ids=lambda path: path.stem)
def test_a_conda_file_carries_the_versions_of_the_constraints(path):
    (pip,) = (
        d["pip"] for d in yaml.safe_load(path.read_text())["dependencies"] if isinstance(d, dict)
    )
    for pin in pip:
        name, version = pin.split("==")
        assert PINS[name.lower()] == version
