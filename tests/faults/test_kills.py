"""Every rule killed twice: its job at a random moment, the whole run right before its end."""

import faults
import pytest

pytestmark = pytest.mark.slow
SEED = 1


def test_every_rule_of_the_workflow_has_a_job_in_the_run_under_test(finished):
    assert set(finished.undisturbed.outputs) == set(finished.undisturbed.rules)
    assert len(finished.undisturbed.rules) > 20


def test_every_result_gets_its_name_by_a_rename(finished):
    """So it is whole or not there at any moment, also at those that no test draws."""
    named = set(finished.undisturbed.named)
    names = [name for made in finished.undisturbed.outputs.values() for name in made]
    assert [name for name in names if name not in named] == []


def test_a_job_of_every_rule_killed_twice_leaves_no_trace(finished, unfinished):
    undisturbed = finished.undisturbed
    run = faults.Run(unfinished, finished.servers, ("moment", "end"), undisturbed.last_names)
    report = faults.Watcher(run, undisturbed, SEED).watch("--retries", "2")
    assert report.wrong == []
    rules = undisturbed.rules
    assert sorted(report.planted) == sorted(f"{r}.{f}" for r in rules for f in ("moment", "end"))
