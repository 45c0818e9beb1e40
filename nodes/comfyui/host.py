"""The only module that uses ComfyUI's own modules.

They are imported where they are needed, so that the nodes can be imported without ComfyUI. Tested from 0.3.64 on.
"""

import json
import logging
import os
import secrets
import sys
import time
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from ...sonic_guard.atomic_files import temp_for
from ...sonic_guard.comfy.api_graph import parse_graph
from ...sonic_guard.comfy.target_card import AUTO, target_for
from ...sonic_guard.comfy.weight_files import WeightFile
from ...sonic_guard.devices.budget import Budget, budget_for, host_memory_bytes
from ...sonic_guard.devices.steady_budget import SteadyBudget
from ...sonic_guard.errors import OutputError, SonicGuardError, brief
from ...sonic_guard.media.audio_file import Pick, TrackChoice
from ...sonic_guard.plain_files import open_plain
from ...sonic_guard.planning.capacity import Capacity
from .card_leases import promised_bytes

log = logging.getLogger(__name__)

PREVIEW_SIDE = 512
"""Largest side in pixels of a picture shown while a node works."""
NOTIFY_INTERVAL_S = 1.0
"""Least time between two texts or pictures on a node."""
Event = TypeVar("Event")
_SETTINGS = "comfy.settings.json"
_steady = SteadyBudget()
_MAX_SETTINGS_BYTES = 1 << 24


def is_running_comfyui() -> bool:
    """Whether this process is a running ComfyUI. The nodes can be imported without one."""
    return _server() is not None


def _server() -> Any:
    return getattr(getattr(sys.modules.get("server"), "PromptServer", None), "instance", None)


def user_folder() -> Path:
    """This pack's folder in ComfyUI's user folder: presets and the history of runs."""
    import folder_paths

    return Path(folder_paths.get_user_directory()) / "sonic_guard"


def user_presets() -> Path:
    """The folder of the user's own presets."""
    return user_folder() / "presets"


def input_folder() -> Path:
    """The folder from which LoadImage and LoadAudio read their files."""
    import folder_paths

    return Path(folder_paths.get_input_directory())


def models_folder() -> Path:
    """The folder of the models, with a subfolder for each kind."""
    import folder_paths

    return Path(folder_paths.models_dir)


def has_weights(file: WeightFile, name: str) -> bool:
    """Whether there is a file `name` where ComfyUI looks for the weight file `file`.

    A file that the user selects may be in any folder of its kind, which extra_model_paths.yaml adds to; the others are
    looked for by the wrapper in `models/sonic` alone.
    """
    import folder_paths

    folders = {str(models_folder() / file.folder)}
    if file.is_selected and file.folder in folder_paths.folder_names_and_paths:  # the wrapper adds its own
        folders.update(folder_paths.get_folder_paths(file.folder))
    # The name is the graph's: it must not ask about other files, and os.path.isfile is False for an impossible one.
    is_inside = not os.path.isabs(name) and ".." not in Path(name).parts
    return is_inside and any(os.path.isfile(os.path.join(folder, name)) for folder in folders)


def has_models(folder: str) -> bool:
    """Whether there is a folder of that name in the folder of the models."""
    return (models_folder() / folder).is_dir()


def upscale_model(name: str) -> Path | None:
    """The file that Load Upscale Model reads for `name`; None for a name that is not in its menu."""
    import folder_paths

    found = folder_paths.get_full_path("upscale_models", name) if name in upscale_models() else None
    return None if found is None else Path(found)


def upscale_models() -> list[str]:
    """The names in the menu of Load Upscale Model."""
    import folder_paths

    return folder_paths.get_filename_list("upscale_models")


def budget(target: str, reserve: float, held_bytes: int = 0) -> Budget:
    """The memory of `target` ("auto", a card or GiB) to plan with: the same in a preview and in the run after it."""
    if not isinstance(target, str) or target != AUTO:  # a link may bring any value
        return budget_for(target, reserve=reserve)
    return _steady(live_budget(reserve, held_bytes))


def live_budget(reserve: float, held_bytes: int = 0) -> Budget:
    """The memory of this machine's card now. What ComfyUI can still free counts as free.

    `held_bytes`, those of a Sonic that is loaded already, count as free, too. ComfyUI's --cpu changes nothing here:
    Sonic's wrapper uses the GPU whenever torch sees one.
    """
    from comfy import model_management

    live = budget_for(AUTO, reserve=reserve)
    # SONIC_PreData has ComfyUI unload all models before it ends; if its output is cached, `free_memory` does. From the
    # CPU and from a device that Sonic does not use, it unloads nothing that helps.
    loaded = [entry for entry in model_management.current_loaded_models if entry.device.type == live.device != "cpu"]
    models = [model for entry in loaded if (model := entry.model) is not None]  # a weak reference, which may end
    reclaimable = sum(model.loaded_size() for model in models) + held_bytes
    free = max(0, live.free_bytes - promised_bytes())  # what other processes have leased is as good as taken
    return replace(live, bf16=vae_in_16_bits(), free_bytes=free, reclaimable_bytes=reclaimable)


def device() -> str:
    """Torch's type of the device that Sonic uses here: cuda (also for ROCm), mps or cpu."""
    return budget_for(AUTO).device


def vae_in_16_bits() -> bool:
    """Whether ComfyUI runs Sonic's VAE in 16 bits here, as its version, its options and the card decide."""
    import torch
    from comfy import model_management

    formats = [torch.bfloat16, torch.float32]  # what ComfyUI allows a VAE of Stable Video Diffusion
    return model_management.vae_dtype(model_management.vae_device(), formats).itemsize == 2


def target_of(target: Any) -> Any:
    """The card that the executing node plans for, given its `target_card`: see `target_for`."""
    if not isinstance(target, str) or target != AUTO or not is_running_comfyui():  # a link may bring any value
        return target
    prompt, node = executing()
    return target_for(parse_graph(running_graph(prompt), max_nodes=None), node, target, target_setting())


def target_setting() -> str:
    """The card that the users have set for all nodes; "auto" where they differ."""
    saved_cards = {str(card or AUTO) for card in saved("SonicGuard.TargetCard")}  # a cleared one, as on the page
    return saved_cards.pop() if len(saved_cards) == 1 else AUTO


def capacity(target: str, reserve: float, held_bytes: int = 0) -> Capacity:
    """What a run of the executing node may use, given its `target_card`; host memory counts where it runs here."""
    card = target_of(target)
    return Capacity(budget(card, reserve, held_bytes), host_memory_bytes(card))


def free_memory(needed_bytes: int | None) -> None:
    """Have ComfyUI unload models until `needed_bytes` are free on the GPU; None: all of them."""
    from comfy import model_management

    model_management.free_memory(1e30 if needed_bytes is None else needed_bytes, model_management.get_torch_device())


def make_room(needed_bytes: int, device: Any) -> None:
    """Have ComfyUI unload models until `needed_bytes` are free on `device`, a torch.device; nothing for the CPU."""
    from comfy import model_management

    if device.type != "cpu":
        model_management.free_memory(needed_bytes, device)


def video_track() -> TrackChoice:
    """The audio track of a file that is a VIDEO's sound: the first in ComfyUI 0.3.64, which cannot trim one yet."""
    from comfy_api.latest import InputImpl

    return Pick.LAST if hasattr(InputImpl.VideoFromFile, "as_trimmed") else 1


def version() -> str:
    """ComfyUI's version."""
    from comfyui_version import __version__

    return __version__


def add_routes(routes: Iterable[Any]) -> None:
    """Serve aiohttp `routes`; ComfyUI serves them under ``/api``, too."""
    from server import PromptServer

    for route in routes:  # without aiohttp's own options: ComfyUI ignores them
        PromptServer.instance.routes.route(route.method, route.path)(route.handler)


def send(event: str, data: Mapping[str, Any], client: str | None = None) -> None:
    """Send an event to the page `client`, or to every page. Any thread may call it."""
    from server import PromptServer

    PromptServer.instance.send_sync(event, dict(data), client)


def is_connected(client: str) -> bool:
    """Whether the page `client` is connected to ComfyUI."""
    return client in getattr(_server(), "sockets", ())


def on_prompt(handler: Callable[[], None]) -> None:
    """Have `handler` called whenever a graph is queued, before it is validated: by then every pack is loaded."""
    from server import PromptServer

    def call(data: Any) -> Any:
        handler()
        return data

    PromptServer.instance.add_on_prompt_handler(call)


def node_classes() -> MutableMapping[str, type]:
    """ComfyUI's registry: every node class by its name; empty without ComfyUI."""
    # ComfyUI's own module `nodes`, which is always loaded; this pack's has another name.
    return getattr(sys.modules.get("nodes"), "NODE_CLASS_MAPPINGS", {})


def log_lines() -> list[str]:
    """The last lines of ComfyUI's log, some hundreds; none without ComfyUI."""
    logger = sys.modules.get("app.logger")
    return [str(line.get("m", "")) for line in logger.get_logs() or ()] if logger else []


def executing() -> tuple[str, str]:
    """Prompt and node id of what this thread executes; empty outside of a graph."""
    try:
        from comfy_execution.utils import get_executing_context
    except ImportError:  # only the nodes are there, without ComfyUI
        return "", ""
    context = get_executing_context()
    return (str(context.prompt_id), str(context.node_id)) if context else ("", "")


def running_graph(prompt_id: str | None = None) -> dict[str, Any]:
    """The graph of a running prompt, in API format; without an id, of any. Empty if none is running."""
    queue = getattr(_server(), "prompt_queue", None)
    running = list(queue.currently_running.values()) if queue else []
    return next((item[2] for item in running if prompt_id in (None, item[1])), {})


def is_running(prompt_id: str) -> bool:
    """Whether a prompt is still running."""
    return bool(running_graph(prompt_id))


def has_failed(prompt_id: str) -> bool:
    """Whether a prompt has ended with an error of a node. A cancelled one has not; of a deleted one it is not known."""
    queue = getattr(_server(), "prompt_queue", None)
    if queue is None:
        return False
    with queue.mutex:  # ComfyUI takes a prompt out of the running ones, and only then adds it to its history
        status = queue.history.get(prompt_id, {}).get("status")
    return any(event == "execution_error" for event, *_ in (status or {}).get("messages", ()))


def saved(setting: str) -> list[Any]:
    """A setting of the page as ComfyUI's users last saved it, one value for each user who has changed it.

    It is read from the files: only pages can ask ComfyUI for it, and a run may start without a page.
    """
    import folder_paths
    from comfy.cli_args import args

    values = []
    for file in Path(folder_paths.get_user_directory()).glob(f"{'*' if args.multi_user else 'default'}/{_SETTINGS}"):
        try:
            with open_plain(file, SonicGuardError, "a settings file") as opened:
                values.append(json.loads(opened.read(_MAX_SETTINGS_BYTES))[setting])
        except (SonicGuardError, OSError, ValueError, LookupError, TypeError, RecursionError) as error:
            log.debug("%s: %s", file, error)
    return values


def interrupted() -> type[BaseException]:
    """The exception that ComfyUI raises when the user cancels."""
    from comfy.model_management import InterruptProcessingException

    return InterruptProcessingException


def stop_if_interrupted() -> None:
    """Raise `interrupted` if the user has cancelled."""
    from comfy.model_management import throw_exception_if_processing_interrupted

    throw_exception_if_processing_interrupted()


def progress_bar(steps: int) -> Callable[..., None]:
    """A bar on the executing node; call it with the steps done, and with a picture to show if there is one."""
    from comfy.utils import ProgressBar

    bar = ProgressBar(steps)

    def show(done: int, picture: Any = None) -> None:
        bar.update_absolute(done, preview=None if picture is None else ("JPEG", picture, PREVIEW_SIDE))

    return show


def show_text(text: str) -> None:
    """Show `text` on the executing node."""
    from server import PromptServer

    _, node = executing()
    PromptServer.instance.send_progress_text(text, node)


def seldom(show: Callable[[Event], None], interval_s: float = NOTIFY_INTERVAL_S) -> Callable[[Event], None]:
    """`show`, called at most once in `interval_s`: pages need not know more, and each message costs time."""
    shown_s = -interval_s

    def call(event: Event) -> None:
        nonlocal shown_s
        if time.monotonic() - shown_s >= interval_s:
            shown_s = time.monotonic()
            show(event)

    return call


def blocked(text: str) -> Any:
    """A value for an output: nodes behind it do not run, and `text` says why."""
    from comfy_execution.graph import ExecutionBlocker

    return ExecutionBlocker(text)


def new_temporary(prefix: str, suffix: str) -> Path:
    """A new file in ComfyUI's temporary folder, which ComfyUI empties when it starts."""
    import folder_paths

    folder = Path(folder_paths.get_temp_directory())
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"sonic_guard_{prefix}_{secrets.token_hex(8)}{suffix}"


def new_output(prefix: str, suffix: str, width: int, height: int) -> tuple[Path, str]:
    """A new file in ComfyUI's output folder, and the subfolder it is in, as ComfyUI names it.

    `width` and `height` replace %width% and %height%. Raises `OutputError` for a prefix that leads out of the folder,
    or that no file can have.
    """
    import folder_paths

    out = folder_paths.get_output_directory()
    try:
        folder, name, counter, subfolder, _ = folder_paths.get_save_image_path(prefix, out, width, height)
        target = Path(folder) / f"{name}_{counter:05}_{suffix}"
        with suppress(FileNotFoundError):  # a name that no file can have is reported now, not when the video is done
            temp_for(target).lstat()
    except Exception as error:  # ComfyUI raises a plain Exception whose text names folders of this machine
        log.warning("filename_prefix: %s", error)
        raise OutputError(
            f"filename_prefix: {brief(prefix)} names no file in ComfyUI's output folder that can be written; ComfyUI's "
            "log says why. Use one such as video/sonic."
        ) from error
    return target, subfolder
