"""From annotated genomes to what a model has learned of them: attention, reconstruction, maps.

Required inputs: annotations.*.{transcripts, bed}; <results>/genomes/{genome}; <results>/models/{model}
Outputs: <results>/interpretation/windows/{annotation}.parquet;
    <results>/interpretation/attention/{annotation}/{model}.{counts.npy, tsv};
    <results>/interpretation/reconstruction/{annotation}/{model}.{tsv, parquet};
    <results>/interpretation/maps/{annotation}/{model}.{tsv, json}; <results>/interpretation.html
"""


rule lay_windows:
    """Lay the windows of an annotation along the genome, or around its elements."""
    input:
        unpack(get_window_files),
    output:
        windows="<results>/interpretation/windows/{annotation}.parquet",
    log:
        "<logs>/lay_windows/{annotation}.log",
    benchmark:
        "<benchmarks>/lay_windows/{annotation}.jsonl"
    conda:
        "../envs/torch.yaml"
    params:
        settings=get_window_settings,
    script:
        "../scripts/lay_windows.py"


rule count_attention:
    """Count of every head and token how often its attention exceeds the thresholds."""
    input:
        unpack(get_read_windows),
    output:
        counts="<results>/interpretation/attention/{annotation}/{model}.counts.npy",
    log:
        "<logs>/count_attention/{annotation}/{model}.log",
    benchmark:
        "<benchmarks>/count_attention/{annotation}/{model}.jsonl"
    conda:
        "../envs/torch.yaml"
    resources:
        gpu=1,
    params:
        settings=get_counting_settings,
    script:
        "../scripts/count_attention.py"


rule compare_heads:
    """Test how much of each head's attention falls on each element."""
    input:
        unpack(get_annotated_windows),
        counts="<results>/interpretation/attention/{annotation}/{model}.counts.npy",
    output:
        heads="<results>/interpretation/attention/{annotation}/{model}.tsv",
    log:
        "<logs>/compare_heads/{annotation}/{model}.log",
    benchmark:
        "<benchmarks>/compare_heads/{annotation}/{model}.jsonl"
    conda:
        "../envs/torch.yaml"
    params:
        settings=get_attention_settings,
    script:
        "../scripts/compare_heads.py"


rule reconstruct_windows:
    """Predict masked tokens of every window, beside a Markov model and k-mer frequencies."""
    input:
        unpack(get_annotated_windows),
    output:
        summary="<results>/interpretation/reconstruction/{annotation}/{model}.tsv",
        tokens="<results>/interpretation/reconstruction/{annotation}/{model}.parquet",
    log:
        "<logs>/reconstruct_windows/{annotation}/{model}.log",
    benchmark:
        "<benchmarks>/reconstruct_windows/{annotation}/{model}.jsonl"
    conda:
        get_model_environment
    resources:
        gpu=1,
    params:
        settings=get_reconstruction_settings,
        downloads=get_place("<results>/downloads"),
    script:
        "../scripts/reconstruct_windows.py"


rule map_elements:
    """Draw a map of the embeddings of elements, and measure how far these lie apart."""
    input:
        unpack(get_annotated_windows),
    output:
        coordinates="<results>/interpretation/maps/{annotation}/{model}.tsv",
        summary="<results>/interpretation/maps/{annotation}/{model}.json",
    log:
        "<logs>/map_elements/{annotation}/{model}.log",
    benchmark:
        "<benchmarks>/map_elements/{annotation}/{model}.jsonl"
    conda:
        get_model_environment
    resources:
        gpu=1,
    params:
        settings=get_map_settings,
        downloads=get_place("<results>/downloads"),
    script:
        "../scripts/map_elements.py"


rule make_interpretation:
    """Draw the page on attention, reconstruction and maps."""
    input:
        tables=get_interpretation_tables,
        genomes=get_annotated_manifests,
        published=PUBLISHED_SCORES,
    output:
        page=report(
            "<results>/interpretation.html",
            caption="../resources/captions/interpretation.rst",
            category="Report",
        ),
    log:
        "<logs>/make_interpretation.log",
    benchmark:
        "<benchmarks>/make_interpretation.jsonl"
    conda:
        "../envs/report.yaml"
    params:
        published_as=get_published_models,
        title=lookup("report/title", within=config),
    script:
        "../scripts/make_interpretation.py"
