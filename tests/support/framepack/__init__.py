"""A pack for the end-to-end tests' ComfyUI: keeps a sampler's frames as they are, before they become 8 bits."""

from pathlib import Path

import folder_paths
import numpy as np


class KeepFrames:
    """Writes frames [n, H, W, 3] to ``NAME.npy`` in the output folder."""

    @classmethod
    def INPUT_TYPES(cls):  # noqa: N802
        return {"required": {"images": ("IMAGE",), "name": ("STRING", {"default": "frames"})}}

    RETURN_TYPES = ()
    FUNCTION = "keep"
    CATEGORY = "tests"
    OUTPUT_NODE = True

    def keep(self, images, name):
        np.save(Path(folder_paths.get_output_directory()) / f"{name}.npy", images.numpy())
        return {}


NODE_CLASS_MAPPINGS = {"KeepFrames": KeepFrames}
