"""Runs SONIC_PreData, the wrapper's own function, in ComfyUI's Python over small networks; prints the result.

Arguments: ComfyUI's folder, an empty folder for its data, "alone" for the wrapper without this pack or "helped", and
what "torchcodec" is to be: "absent", or as it "is". The test is `test_predata`.
"""

import asyncio
import hashlib
import importlib
import importlib.util
import json
import shutil
import sys
from contextlib import nullcontext
from pathlib import Path
from types import ModuleType
from typing import Any

COMFYUI, BASE, HOW, CODEC = sys.argv[1:]
PACK = Path(__file__).resolve().parents[2]
sys.path[0] = COMFYUI  # instead of this folder
sys.argv = ["main.py", "--cpu", "--base-directory", BASE]
if CODEC == "absent":
    sys.modules["torchcodec"] = None  # pyright: ignore[reportArgumentType]  # so that importing it fails


def main() -> None:
    """Load the wrapper as ComfyUI does, write its networks, run it."""
    import comfy.options  # pyright: ignore[reportMissingImports]

    comfy.options.enable_args_parsing()
    import torch
    import torchaudio  # pyright: ignore[reportMissingImports]

    import nodes  # pyright: ignore[reportMissingImports]

    sonic = next(Path(COMFYUI).glob("custom_nodes/*/src/pipelines/pipeline_sonic.py")).parents[2]
    assert asyncio.run(nodes.load_custom_node(str(sonic))), "the wrapper does not import"
    classes, real = nodes.NODE_CLASS_MAPPINGS, torchaudio.save
    wrapper = sys.modules[classes["SONIC_PreData"].__module__]
    (models := Path(BASE) / "models" / "sonic").mkdir(parents=True, exist_ok=True)
    _named("networks", PACK / "tests" / "support" / "hostpack" / "networks.py").write_networks(models, wrapper)
    if HOW == "helped":
        _named("pack_here", PACK / "__init__.py")
        importlib.import_module("pack_here.nodes.web_api.instrumentation").instrument(classes, lambda *_: nullcontext())
    torch.manual_seed(1)
    sound, rate = 1.5 * torch.randn(1, 2, 44_100), 44_100
    (Path(BASE) / "input").mkdir(exist_ok=True)
    kind: Any = classes["SONIC_PreData"]
    work = getattr(kind(), kind.FUNCTION)
    stored = _kept_when_read(Path(BASE) / "sound.wav")
    try:
        with torch.inference_mode():  # as ComfyUI runs its nodes
            (data,) = work(
                clip_vision=_Clip(), vae=_Vae(), audio={"waveform": sound, "sample_rate": rate},
                image=torch.rand(1, 96, 96, 3), weight_dtype=torch.float32, min_resolution=128, duration=0.5,
                expand_ratio=0.5,
            )  # fmt: skip
    except ImportError as error:
        sys.stdout.write(json.dumps({"error": str(error)}))
        return
    import soundfile  # pyright: ignore[reportMissingImports]

    samples, _ = soundfile.read(stored, dtype="float32", always_2d=True)
    tokens = torch.stack([*data["audio_tensor_list"], *data["uncond_audio_tensor_list"]])
    made = {
        "kept": bool((torch.from_numpy(samples.T) == sound[0]).all()),
        "tokens": list(tokens.shape),
        "finite": bool(tokens.isfinite().all()),
        "digest": hashlib.sha256(tokens.numpy().tobytes()).hexdigest(),
        "left": len(list((Path(BASE) / "input").iterdir())),
        "untouched": torchaudio.save is real and wrapper.torchaudio is torchaudio,
    }
    sys.stdout.write(json.dumps(made))


def _kept_when_read(copy: Path) -> Path:
    """Has a copy made of the sound that SONIC_PreData reads: with this pack the file is gone when it ends."""
    import librosa  # pyright: ignore[reportMissingImports]

    load = librosa.load

    def keep(path: Any, *others: Any, **named: Any) -> Any:
        shutil.copy(path, copy)
        return load(path, *others, **named)

    librosa.load = keep
    return copy


def _named(name: str, file: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec
    assert spec.loader
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class _Clip:
    """What the wrapper sees of a CLIP_VISION."""

    def encode_image(self, picture: Any) -> dict[str, Any]:
        import torch

        return {"image_embeds": torch.ones(1, 1024)}


class _Vae:
    """What the wrapper sees of a VAE."""

    device = "cpu"

    def encode(self, picture: Any) -> Any:
        import torch

        return torch.zeros(1, 4, picture.shape[1] // 8, picture.shape[2] // 8)


main()
