"""What the rules of predictions are given, and which files they make."""

from types import SimpleNamespace

from dnalm.configuration.predictions import resolve_asked, resolve_prediction


def get_classifier_file(prediction):
    """Return the file of the probe, adapters or networks that a prediction is made with."""
    entry = config["predictions"][prediction]
    method, model, task = entry["method"], entry.get("model"), entry["task"]
    if method in methods.NETWORKS:
        return f"<results>/baselines/{method}/{task}.safetensors"
    folders = {probe.name: probe.folder for probe in methods.PROBES}
    if method in folders:
        return f"<results>/{folders[method]}/{model}/{task}.safetensors"
    return f"<results>/finetunes/{method}/{model}/{task}/adapters.safetensors"


def get_prediction_files(wildcards):
    """Return the files of a prediction, by the names that predict_sequences.py reads."""
    name = wildcards.prediction
    entry = config["predictions"][name]
    files = {"classifier": get_classifier_file(name)}
    source = "path" if "path" in entry else "bed"
    made = f"<results>/predictions/{name}.parquet"
    asked = watch(entry[source], f"predictions.{name}.{source}", made)
    if "model" in entry:
        files |= get_model_files(get_predicting(wildcards))
    if "path" in entry:
        return {**files, "sequences": asked}
    genome = f"<results>/genomes/{entry['genome']}"
    cut = {"bases": f"{genome}/bases.npy", "contigs": f"{genome}/contigs.tsv"}
    return {**files, **cut, "intervals": asked}


def get_predicting(wildcards):
    """Return the model of a prediction as rules of a model have it among their wildcards."""
    return SimpleNamespace(model=config["predictions"][wildcards.prediction].get("model"))


def get_prediction_environment(wildcards):
    """Return the conda environment in which the model of a prediction is opened."""
    return get_model_environment(get_predicting(wildcards))


def get_prediction(wildcards):
    """Return the settings of a prediction, with how the embedder of its model is opened, if any."""
    settings, model = resolve_prediction(config, wildcards.prediction), get_predicting(wildcards)
    own = {"embedder": get_embedder(model)} if model.model in EMBEDDERS else {}
    return leave_batches(settings) | own


def get_prediction_batches(wildcards, output):
    return keep_batches(resolve_prediction(config, wildcards.prediction))


def get_asked(wildcards):
    return resolve_asked(config, wildcards.prediction)


def get_predictions(wildcards):
    """Return the files of every prediction of the run."""
    return [
        *expand("<results>/predictions/{prediction}.parquet", prediction=PREDICTIONS),
        *expand("<results>/predictions/{prediction}.tsv", prediction=PREDICTED_ROWS),
        *expand("<results>/predictions/{prediction}.tracks", prediction=PREDICTED_TRACKS),
    ]
