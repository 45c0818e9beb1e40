"""The entry point of Sonic Guard, a ComfyUI pack."""

WEB_DIRECTORY = "./web"


async def comfy_entrypoint():  # noqa: ANN201  (its type is ComfyUI's)
    """Called by ComfyUI to load the nodes. The imports are here so that collecting tests does not need ComfyUI."""
    from .nodes import SonicGuardExtension

    return SonicGuardExtension()
