"""Everything that wants a card, in one command: ``python -m bench.card SONIC [--seconds 480]``.

SONIC is the wrapper's folder. Needs Python 3.12, torch, numpy, transformers, diffusers, einops and psutil. What matters
most is measured first; a call ends in time and the next one goes on, also after a kill. The results are in the folder
``--out``: ``ALLOCATOR/results.jsonl``, a line a row, and ``page.md``, with ``page.png`` where matplotlib is installed.

On a card the checks run in a child process for each of torch's allocators, since that is chosen when torch starts, and
a process on the card takes memory that the other would count as in use. ``--cpu --tiny`` runs what makes sense without
a card, with small networks.
"""

import argparse
import logging
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from sonic_guard.errors import SonicGuardError
from sonic_guard.quiet_logs import quiet

if TYPE_CHECKING:
    from .checks import Check

ALLOCATORS = ("native", "cudaMallocAsync")
"""The second one runs only the checks that differ with it."""
SETUP = ("card", "torch", "driver", "allocator", "sonic_commit", "tiny")
"""Fields of the header that must be equal for all rows of a file."""
CALL_S = 480.0
LAST_S = 5.0
"""Kept of a call for the page."""


def main(arguments: Sequence[str] | None = None) -> int:
    given = _parse(arguments)
    begun = time.monotonic()
    given.out.mkdir(parents=True, exist_ok=True)
    try:
        finished = _run(given, begun) if given.cpu or given.allocator else _run_children(given, begun)
    except SonicGuardError as error:
        print(error, file=sys.stderr)
        return 1
    if not given.allocator:
        from .page import write_page

        print(f"{write_page(given.out)}: {'finished' if finished else 'call again to go on'}")
    return 0


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="bench.card", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("sonic", type=Path, help="the wrapper's folder")
    parser.add_argument("--out", type=Path, default=Path("card-results"), help="folder of the results")
    parser.add_argument("--seconds", type=float, default=CALL_S, help="of this call")
    parser.add_argument("--only", nargs="+", default=[], metavar="CHECK", help="only these checks")
    parser.add_argument("--comfyui", type=Path, help="ComfyUI's folder, for the templates")
    parser.add_argument("--cpu", action="store_true", help="without a card")
    parser.add_argument("--tiny", action="store_true", help="small networks and sizes")
    parser.add_argument("--allocator", choices=ALLOCATORS, help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def _run_children(given: argparse.Namespace, begun: float) -> bool:
    """Run the checks with each allocator; returns whether all are finished."""
    for name in ALLOCATORS:
        left = given.seconds - LAST_S - (time.monotonic() - begun)
        if left <= 0:
            return False
        options = [*(["--only", *given.only] if given.only else []), *(["--tiny"] if given.tiny else [])]
        options += ["--comfyui", str(given.comfyui)] if given.comfyui else []
        command = [
            sys.executable, "-m", "bench.card", str(given.sonic), "--out", str(given.out), "--allocator", name,
            "--seconds", f"{left:.1f}", *options,
        ]  # fmt: skip
        environment = {**os.environ, "PYTORCH_CUDA_ALLOC_CONF": f"backend:{name}"}
        environment.pop("PYTORCH_ALLOC_CONF", None)
        if status := subprocess.run(command, env=environment, check=False).returncode:
            raise SonicGuardError(
                f"bench.card: the checks with {name} ended with status {status}; call again to go on."
            )
        if not _is_finished(given.out / name, given.only, name):
            return False
    return True


def _is_finished(folder: Path, only: Sequence[str], allocator: str) -> bool:
    from . import results

    found = results.read(folder / "results.jsonl")
    names = [check.name for check in _checks(only, allocator)]
    return set(names) <= found.finished | set(found.given_up(names))


def _checks(only: Sequence[str], allocator: str | None) -> list["Check"]:
    from .checks import CHECKS

    unknown = set(only) - {check.name for check in CHECKS}
    if unknown:
        raise SonicGuardError(f"bench.card: no check {', '.join(sorted(unknown))}; there are "
                              f"{', '.join(check.name for check in CHECKS)}.")  # fmt: skip
    second = allocator == ALLOCATORS[1]
    return [check for check in CHECKS if (not only or check.name in only) and (check.each_allocator or not second)]


def _run(given: argparse.Namespace, begun: float) -> bool:
    """Run the checks in this process; returns whether all are finished."""
    from sonic_guard.devtools.gpu_setup import describe, open_device
    from sonic_guard.devtools.measure import WRAPPER_LOGGERS, need_packages
    from sonic_guard.devtools.sonic_checkout import open_checkout

    from . import results
    from .checks import run_check
    from .session import CARD, TINY, Session

    need_packages()
    if given.tiny:
        import torch

        torch.set_num_threads(1)  # more of them only wait for each other in such small networks
    checks = _checks(given.only, given.allocator)
    device = open_device("cpu" if given.cpu else "cuda")
    header = {**asdict(describe(device, given.sonic)), "tiny": given.tiny}
    folder = given.out / (given.allocator or str(device))
    folder.mkdir(exist_ok=True)
    found = results.read(folder / "results.jsonl")
    found.begin(header, SETUP)
    scale = TINY if given.tiny else CARD
    limit = given.seconds if given.allocator else given.seconds - LAST_S
    session = Session(open_checkout(given.sonic), device, scale, folder, begun, limit, given.comfyui)
    with quiet(logging.ERROR, *WRAPPER_LOGGERS):
        finished = [run_check(check, session, found, lambda line: print(line, flush=True)) for check in checks]
    return all(finished)


if __name__ == "__main__":
    sys.exit(main())
