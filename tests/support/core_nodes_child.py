"""Runs nodes of a real ComfyUI: a line of JSON in is a node with its inputs, a line out what it gives.

    python core_nodes_child.py COMFYUI

A picture is ``{"picture": [width, height]}``, a sound ``{"sound": [samples, rate]}``, a video of Load Video
``{"video": path}``; a refusal is ``{"error": text}``.
Nothing of this project is imported: ComfyUI's Python may not have it.
"""

import asyncio
import contextlib
import importlib
import json
import os
import sys
from types import SimpleNamespace

EXTRAS = (
    "latent", "images", "post_processing", "audio", "mask", "compositing", "dataset", "primitive", "logic", "video",
    "resolution", "number_convert", "rebatch",
)  # fmt: skip


def main(comfyui):
    sys.path.insert(0, comfyui)
    sys.argv = [sys.argv[0]]
    with contextlib.redirect_stdout(sys.stderr):
        from comfy.cli_args import args

        args.cpu = True
        importlib.import_module("utils")  # as in main.py: nodes.py puts a folder with another one on the path
        kinds = asyncio.run(node_classes(comfyui))
    say(sorted(kinds))
    for line in sys.stdin:
        node = json.loads(line)
        with contextlib.redirect_stdout(sys.stderr):
            given = run(kinds[node["class_type"]], node["inputs"])
        say(given)


def say(answer):
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


async def node_classes(comfyui):
    import nodes

    for name in EXTRAS:
        path = os.path.join(comfyui, "comfy_extras", f"nodes_{name}.py")
        if os.path.exists(path):
            await nodes.load_custom_node(path, module_parent="comfy_extras")
    return nodes.NODE_CLASS_MAPPINGS


def run(kind, inputs):
    try:
        values = nested({name: unpacked(value) for name, value in inputs.items()})
        if hasattr(kind, "define_schema"):
            kind.hidden = SimpleNamespace(unique_id=None, prompt=None, extra_pnginfo=None)
            outputs = kind.execute(**values).args
        else:
            outputs = getattr(kind(), kind.FUNCTION)(**values)
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"}
    return [packed(each) for each in outputs]


def nested(values):
    """ComfyUI's dictionaries of the inputs whose names have a dot: the chosen option and its settings."""
    inputs = {}
    for name, value in values.items():
        head, dot, tail = name.partition(".")
        if dot:
            inputs[head] = inputs.get(head, {})
            if not isinstance(inputs[head], dict):
                inputs[head] = {head: inputs[head]}
            inputs[head][tail] = value
        elif isinstance(inputs.get(head), dict):
            inputs[head][head] = value
        else:
            inputs[head] = value
    return inputs


def unpacked(value):
    import torch

    match value:
        case {"picture": [width, height]}:
            return torch.zeros(1, height, width, 3)
        case {"sound": [samples, rate]}:
            return {"waveform": torch.zeros(1, 1, samples), "sample_rate": rate}
        case {"video": path}:
            from comfy_api.latest import InputImpl

            return InputImpl.VideoFromFile(path)
    return value


def packed(value):
    if isinstance(value, dict) and "waveform" in value:
        return {"sound": [value["waveform"].shape[-1], value["sample_rate"]]}
    shape = getattr(value, "shape", ())
    if len(shape) == 4:
        return {"picture": [shape[2], shape[1]]}
    return value if isinstance(value, (str, int, float)) else None


if __name__ == "__main__":
    main(sys.argv[1])
