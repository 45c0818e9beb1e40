"""Sonic Guard, a ComfyUI pack: the door, and nothing else."""

WEB_DIRECTORY = "./web"


async def comfy_entrypoint():  # noqa: ANN201  (its type lives in the host)
    """ComfyUI's way in. The imports are here so that collecting tests does not need the host."""
    from .nodes import SonicGuardExtension

    return SonicGuardExtension()
