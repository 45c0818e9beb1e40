"""Runs ComfyUI's LoadImage and Load Audio and the wrapper's conversion of a picture on files; prints what they give.

Arguments: ComfyUI's folder, an empty folder for its data, the wrapper's folder, and the files. The test is
`test_load_nodes`. One line of JSON: for each file's name the shape of its picture, the red of its first row in 0…255,
the samples of its sound, and whether SONIC_PreData converts the picture; null for what is refused.
"""

import importlib
import importlib.util
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

COMFYUI, BASE, SONIC, *FILES = sys.argv[1:]
sys.path[0] = COMFYUI  # instead of this folder
sys.argv = ["main.py", "--cpu", "--base-directory", BASE]


def main() -> None:
    """Load the nodes as ComfyUI does and run them."""
    import comfy.options  # pyright: ignore[reportMissingImports]

    comfy.options.enable_args_parsing()
    import folder_paths
    from comfy_extras import nodes_audio  # pyright: ignore[reportMissingImports]

    comfyui_nodes: Any = importlib.import_module("nodes")  # not this pack's

    spec = importlib.util.spec_from_file_location("sonic_node_utils", Path(SONIC) / "node_utils.py")
    assert spec
    assert spec.loader
    wrapper: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(wrapper)
    folder_paths.get_annotated_filepath = lambda name: name  # any file, not only those of the input folder

    def picture(path: str) -> list[int]:
        return list(comfyui_nodes.LoadImage().load_image(path)[0].shape)

    def row(path: str) -> list[float]:
        return (255 * comfyui_nodes.LoadImage().load_image(path)[0][0, 0, :, 0].float()).tolist()

    def converted(path: str) -> bool:
        image = comfyui_nodes.LoadImage().load_image(path)[0]
        return bool(wrapper.tensor2cv(image).size and wrapper.tensor2pil(image).size)

    def samples(path: str) -> list[int]:
        waveform, rate = nodes_audio.load(path)
        return [waveform.shape[-1], rate]

    given = {
        Path(path).name: {work.__name__: _or_none(work, path) for work in (picture, row, converted, samples)}
        for path in FILES
    }
    sys.stdout.write("\n" + json.dumps(given) + "\n")


def _or_none(work: Callable[[str], Any], path: str) -> Any:
    try:
        return work(path)
    except Exception:
        return None


main()
