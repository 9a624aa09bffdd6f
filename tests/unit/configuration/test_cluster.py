"""Nodes and GPUs of a training, by number or by the model's size."""

from pathlib import Path

import pytest
import yaml

from dnalm.configuration.cluster import size_cluster
from dnalm.configuration.finetuning import count_gpus, find_method_errors
from dnalm.configuration.resolve import merge

SHIPPED = yaml.safe_load((Path(__file__).parents[3] / "config.yaml").read_text())


def sized(model, **operation):
    entry = {"preset": model, "corpus": "human-reference", "operation": operation}
    size = size_cluster(merge(SHIPPED, {"models": {"mine": entry}}), "mine")
    return size.nodes, size.gpus_per_node


def test_numbers_of_a_model_win_over_those_of_all():
    config = merge(SHIPPED, {"operation": {"nodes": 8, "gpus_per_node": 8}})
    config = merge(config, {"models": {"500m-human-ref": {"operation": {"nodes": 3}}}})
    assert size_cluster(config, "500m-human-ref").nodes == 3
    assert size_cluster(config, "v2-50m-multi-species").gpus == 64


# 18 bytes a parameter in half of a GPU: 2.55 G parameters are 45.9 GB, 0.486 G are 8.7.
@pytest.mark.parametrize(
    ("model", "gigabytes", "found"),
    [
        ("v1-500m", 80, (1, 1)),
        ("v1-500m", 16, (1, 2)),  # 8.7 / 8
        ("v1-2.5b", 80, (1, 2)),  # 45.9 / 40
        ("v1-2.5b", 40, (1, 4)),  # 45.9 / 20 is 3
        ("v1-2.5b", 8, (2, 8)),  # 45.9 / 4 is 12
    ],
)
def test_without_numbers_the_memory_of_the_gpus_decides(model, gigabytes, found):
    assert sized(model, gpu_memory_gb=gigabytes) == found


def test_a_number_that_is_given_leaves_the_other_to_the_size():
    assert sized("v1-2.5b", gpus_per_node=4, gpu_memory_gb=8) == (3, 4)  # 12 GPUs
    assert sized("v1-500m", nodes=2) == (2, 8)
    assert sized("v1-500m", gpus_per_node=0, nodes=2) == (2, 0)


def test_a_training_on_processors_has_the_processes_of_its_operation_on_each_node():
    operation = {"nodes": 2, "gpus_per_node": 0, "processes": 4, "threads": 2}
    entry = {"preset": "v2-50m", "corpus": "human-reference", "operation": operation}
    size = size_cluster(merge(SHIPPED, {"models": {"mine": entry}}), "mine")
    assert (size.gpus, size.processes) == (0, 4)


def test_only_full_finetuning_of_our_models_asks_for_several_gpus():
    operation = {"gpus": {"500m-1000g": 4}}
    own = merge(SHIPPED, {"finetune": {"operation": operation}})
    asked = {method: count_gpus(own, method, "500m-1000g") for method in own["finetune"]["methods"]}
    assert asked == {"ia3": 1, "lora": 1, "full": 4, "head": 1}
    assert count_gpus(own, "full", "500m-human-ref") == 1
    same = merge(SHIPPED, {"finetune": {"operation": {"gpus": 2}}})
    assert count_gpus(same, "full", "500m-human-ref.untrained") == 2
    assert list(find_method_errors(own)) == []
    wrong = merge(SHIPPED, {"finetune": {"operation": {"gpus": {"500m": 4}}}})
    (sentence,) = find_method_errors(wrong)
    assert sentence.startswith("finetune.operation.gpus.500m: this model is unknown")
