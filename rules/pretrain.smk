"""From a corpus to trained weights.

Required inputs: <results>/corpora/{corpus}, <results>/genomes/{genome}; where training goes
    on from other weights, these
Outputs: <results>/models/{model}/{run.json, operation.json, weights.safetensors,
    history.jsonl, cluster_check.json}; undeclared state/
"""


rule describe_run:
    """Write what decides a model's weights: encoder, corpus, objective, optimiser, seed."""
    output:
        run="<results>/models/{model}/run.json",
    log:
        "<logs>/describe_run/{model}.log",
    benchmark:
        "<benchmarks>/describe_run/{model}.jsonl"
    wildcard_constraints:
        model="|".join(map(re.escape, weights.list_described(config))),
    priority: 1  # pretraining waits for it
    localrule: True
    conda:
        "../envs/torch.yaml"
    params:
        run=get_run,
    script:
        "../scripts/describe_run.py"


rule describe_operation:
    """Write how a model is trained: processes, batches per device, cadences; for estimates."""
    output:
        operation="<results>/models/{model}/operation.json",
    log:
        "<logs>/describe_operation/{model}.log",
    benchmark:
        "<benchmarks>/describe_operation/{model}.jsonl"
    localrule: True
    conda:
        "../envs/torch.yaml"
    params:
        operation=get_operation,
    script:
        "../scripts/describe_operation.py"


rule check_training:
    """Check the nodes and GPUs of a model's training: pre-flight and the speed of an all-reduce."""
    input:
        run="<results>/models/{model}/run.json",
    output:
        result="<results>/models/{model}/cluster_check.json",
    log:
        "<logs>/check_training/{model}.log",
    benchmark:
        "<benchmarks>/check_training/{model}.jsonl"
    wildcard_constraints:
        model="|".join(
            re.escape(name) for name, model in config["models"].items() if "corpus" in model
        ),
    conda:
        "../envs/torch.yaml"
    threads: get_training_threads
    resources:
        # As for rule pretrain, whose start it rehearses.
        runtime=0,
        nodes=get_nodes,
        gpus_per_node=get_gpus_per_node,
        gpu=get_gpus,
        mem_mb=get_training_memory,
        mpi=get_starter,
        tasks_per_node=get_tasks_per_node,
        cpus_per_task=get_cores_per_task,
    params:
        checker=get_checker,
        operation=get_operation_text,
        tokens=get_window_tokens,
    shell:
        "python {params.checker:q}"
        " --run {input.run:q}"
        " --operation {params.operation:q}"
        " --tokens {params.tokens}"
        " --result {output.result:q}"
        " --log {log:q}"
        " --nodes {resources.nodes}"
        " --gpus-per-node {resources.gpus_per_node}"
        " --runtime-minutes {resources.runtime}"


rule pretrain:
    """Train a model on masked tokens; checkpoints grow undeclared in state/ beside its weights."""
    input:
        run="<results>/models/{model}/run.json",
        corpus=get_model_manifest,
        validation=get_validation,
        test=get_test,
        kmer_counts=get_kmer_counts,
        bases=get_model_bases,
        haplotypes=get_model_haplotypes,
        initial_weights=get_initial_weights,
    output:
        weights="<results>/models/{model}/weights.safetensors",
        history="<results>/models/{model}/history.jsonl",
    log:
        "<logs>/pretrain/{model}.log",
    benchmark:
        "<benchmarks>/pretrain/{model}.jsonl"
    wildcard_constraints:
        model="|".join(
            re.escape(name) for name, model in config["models"].items() if "corpus" in model
        ),
    priority: 1  # everything waits for it
    conda:
        "../envs/torch.yaml"
    threads: get_training_threads
    resources:
        # What `operation` says of nodes and GPUs, for a scheduler. A profile that has one sets the
        # runtime, too; 0 means that nobody was asked: this machine, whatever it has.
        runtime=0,
        nodes=get_nodes,
        gpus_per_node=get_gpus_per_node,
        gpu=get_gpus,
        mem_mb=get_training_memory,
        # In the words of Snakemake's executor for Slurm. It takes `mpi` for two or more tasks only.
        mpi=get_starter,
        tasks_per_node=get_tasks_per_node,
        cpus_per_task=get_cores_per_task,
    params:
        trainer=get_trainer,
        trainer_sha256=get_trainer_sum,
        # How it is run does not decide the result: a new value must not train again.
        operation=get_operation_text,
        genomes=get_place("<results>/genomes"),
        panels=get_place("<results>/haplotypes"),
    shell:
        "python {params.trainer:q}"
        " --run {input.run:q}"
        " --operation {params.operation:q}"
        " --corpus {input.corpus:q}"
        " --validation {input.validation:q}"
        " --test {input.test:q}"
        " --kmer-counts {input.kmer_counts:q}"
        " --genomes-folder {params.genomes:q}"
        " --panels-folder {params.panels:q}"
        " --weights {output.weights:q}"
        " --history {output.history:q}"
        " --log {log:q}"
        " --nodes {resources.nodes}"
        " --gpus-per-node {resources.gpus_per_node}"
        " --runtime-minutes {resources.runtime}"
