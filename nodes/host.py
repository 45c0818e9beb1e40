"""The only module that touches ComfyUI's own modules (`folder_paths`, `comfy.model_management`)."""

from pathlib import Path

from ..sonic_guard.vram.budget import Budget, budget_for


def user_presets() -> Path:
    """Where the user's own presets are: ``sonic_guard/presets`` in ComfyUI's user folder."""
    import folder_paths

    return Path(folder_paths.get_user_directory()) / "sonic_guard" / "presets"


def budget(target: str, reserve: float) -> Budget:
    """The memory of `target` ("auto", a card or GiB), with what ComfyUI can still free counted as free.

    ComfyUI's --cpu changes nothing here: Sonic's wrapper takes the GPU whenever torch sees one.
    """
    if target != "auto":
        return budget_for(target, reserve=reserve)
    from comfy import model_management

    # SONIC_PreData has all of ComfyUI's models unloaded before it ends.
    loaded = [entry for entry in model_management.current_loaded_models if entry.device.type != "cpu"]
    reclaimable = sum(entry.model_loaded_memory() for entry in loaded if entry.model is not None)
    return budget_for(target, reserve=reserve, reclaimable_bytes=reclaimable)
