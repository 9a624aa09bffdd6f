"""Settings of the baselines, in two parts: what is new to one makes nothing of the other again."""

NOTHING = r"(?!)"  # the pattern of no name


def get_settings_of_features(wildcards):
    """Return the section `baselines` of what is probed."""
    return {
        name: settings
        for name, settings in config["baselines"].items()
        if methods.SEQUENCE_BASELINES[name].features
    }


def get_settings_of_bases(wildcards):
    """Return the section `baselines` of what scores single bases."""
    return {
        name: settings
        for name, settings in config["baselines"].items()
        if methods.SEQUENCE_BASELINES[name].bases
    }
