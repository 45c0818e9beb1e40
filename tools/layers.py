"""The layers of the code: one table, which the test of the imports holds and the picture of the architecture shows.

A layer may import those above it in `LAYERS`, and nothing else of the project. A layer is a package or a module at the
top of `sonic_guard/`, and last `nodes/`, ComfyUI's side. To add a package, add a line where its imports are above it.
"""

from typing import NamedTuple


class Layer(NamedTuple):
    """A package, or a module at the top of the library."""

    name: str
    """As it is called below `sonic_guard`; `NODES` and `ENTRY` lie outside of it."""
    purpose: str
    """In a few words, for the picture."""


NODES = "nodes"
ENTRY = "__main__"
BASE = ("errors", "optimizations", "plain_files", "quiet_logs", "atomic_files", "relatives", "job")
"""The modules at the top of `sonic_guard/`. Any package may import them, so the picture draws them as one box."""

LAYERS = (
    Layer("errors", "errors with a text for users"),
    Layer("optimizations", "the table of memory optimizations"),
    Layer("plain_files", "opens plain files only"),
    Layer("quiet_logs", "holds loggers down for a while"),
    Layer("atomic_files", "writes whole files or none"),
    Layer("relatives", "how packs like Sonic differ"),
    Layer("job", "a run's settings and its frames"),
    Layer("memory", "bytes by stage, limits"),
    Layer("media", "sound, picture, face, video files"),
    Layer("devices", "cards, budgets, memory snapshots"),
    Layer("planning", "capacity check, planner, presets"),
    Layer("comfy", "graphs and workflows as plain data"),
    Layer("low_vram", "Sonic's network in less memory"),
    Layer("history", "runs in a database, calibration"),
    Layer("resume", "finished pieces on disk, locks"),
    Layer("long_video", "parts, resume, rendering"),
    Layer("finishing", "smooths, interpolates, upscales"),
    Layer("farm", "many jobs, leases of a card's memory"),
    Layer("runtime", "watches and records a run"),
    Layer("operations", "what a node does"),
    Layer("park", "many jobs on many cards"),
    Layer("messages", "every text, en and zh"),
    Layer("preview", "predicts a graph before it runs"),
    Layer("devtools", "shape tracing, GPU benchmark"),
    Layer("cli", "commands, tables, chart, JSON"),
    Layer(ENTRY, "python -m sonic_guard"),
    Layer(NODES, "ComfyUI: nodes, routes, live service"),
)
"""Lowest first."""

NOT_FOR_NODES = ("park", "devtools", "cli", ENTRY)
"""Layers that ComfyUI's side does without: many servers, the command line, and what is not published."""

COMFYUI = frozenset(
    ("comfy", "comfy_api", "comfy_execution", "comfy_extras", "comfy_config", "comfyui_version", "execution",
     "folder_paths", "latent_preview", "nodes", "server", "app", "node_helpers", "utils")
)  # fmt: skip
"""ComfyUI's top-level modules, which the library never imports."""
COMFYUI_READERS = frozenset(("sonic_guard.devtools.comfy_vae", "sonic_guard.devtools.comfy_svd"))
"""Take networks out of a ComfyUI whose path they are given, for tracing and random weights; not published."""

PURE = {
    "memory": frozenset(
        (
            "sonic_guard.memory.constants",  # its own constants.json
            "sonic_guard.memory.overhead",  # its own overhead.json
            "sonic_guard.memory.checkpoints",  # the header of a checkpoint that the user names
        )
    ),
    "planning": frozenset(),
}
"""Layers that compute and do nothing else, and those of their modules that read files."""
ASKED_FROM_OUTSIDE = frozenset(("sonic_guard.memory.checkpoints",))
"""Readers of users' files in pure layers. No other module of these layers imports them: no plan depends on a disk."""
IMPURE = frozenset(
    ("torch", "cv2", "numpy", "av", "PIL", "psutil", "pynvml", "sqlalchemy", "time", "datetime", "random", "secrets",
     "subprocess", "socket", "threading", "multiprocessing", "asyncio", "urllib", "http", "tempfile", "shutil")
)  # fmt: skip
"""What a pure layer never imports: hardware, clocks, random numbers, processes and the network."""
FROM_DEVICES = frozenset(("Budget", "Card", "GIB", "Speed", "smallest_card_for"))
"""What a pure layer takes from `devices`: plain data and a lookup in the catalogue, and nothing that asks a machine."""
HIDDEN_IMPORTS = frozenset(("__import__", "importlib.import_module", "import_module", "exec", "eval"))
"""Calls that import what no test of imports sees; no module of the pack makes them."""
DISK = frozenset(("os", "pathlib", "io", "glob", "sonic_guard.plain_files", "sonic_guard.atomic_files"))
"""What only a pure layer's readers of files import."""

NVML_READER = "sonic_guard.devices.nvml"
"""The one module that imports pynvml."""
