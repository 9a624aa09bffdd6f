"""Baselines of the two sorts of tasks: what is new to one sort makes nothing of the other again."""

NOTHING = r"(?!)"  # the pattern of no name


def select_baselines(suits):
    """Return the baselines of one sort that are run; all of it where none is."""
    known = [name for name, row in methods.SEQUENCE_BASELINES.items() if suits(row)]
    return [name for name in known if name in BASELINES] or known


def suits_pooled(row):
    return row.features


def suits_bases(row):
    return row.bases


PROBED_BASELINES = select_baselines(suits_pooled)
BASE_BASELINES = select_baselines(suits_bases)


def list_baseline_files(names, ending):
    """Return a file of each baseline, with the wildcard task."""
    return expand("<results>/baselines/{baseline}/{{task}}.{ending}", baseline=names, ending=ending)


def get_settings_of_features(wildcards):
    """Return the section `baselines` of what is probed."""
    return {name: config["baselines"][name] for name in PROBED_BASELINES}


def get_settings_of_bases(wildcards):
    """Return the section `baselines` of what scores single bases."""
    return {name: config["baselines"][name] for name in BASE_BASELINES}
