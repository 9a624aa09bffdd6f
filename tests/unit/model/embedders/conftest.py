"""Random models of `transformers`, each saved once."""

import pytest
import random_transformers


@pytest.fixture(scope="session")
def save(tmp_path_factory):
    """Return what saves a random model of an architecture and returns its folder."""
    saved = {}

    def save_once(name: str) -> str:
        if name not in saved:
            folder = tmp_path_factory.mktemp(name)
            random_transformers.save_model(name, folder)
            saved[name] = str(folder)
        return saved[name]

    return save_once
