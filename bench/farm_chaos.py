"""A farm of real ComfyUI servers on the CPU, whose processes are killed at random moments.

``python -m bench.farm_chaos [--jobs 40] [--kills 200] [--servers 2] [--roles server …] [--fake] [--folder FOLDER]``

The servers have this pack, the real Sonic wrapper, and loaders that need no weights (`tests/support/farmpack`). With
``--fake`` they are `tests/support/fake_comfyui`. Prints figures as JSON, and ends with status 1 where a video is
missing, was made otherwise than in the undisturbed farm, or is there twice.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from tests.support import comfyui_server, installed
from tests.support.farm_chaos import ROLES, Kills, Setup, calm, storm, summary, write_jobs


def setup(folder: Path, servers: int, *, fake: bool) -> Setup:
    if fake:
        return Setup(folder, installed.PACK / "tests" / "support" / "fake_comfyui", Path(sys.executable), servers)
    base = folder / "base"
    if not base.exists():
        base.mkdir()
        comfyui_server.install(base, installed.sonic(), "farmpack")
        (base / "models").mkdir(exist_ok=True)
    arguments = f"--base-directory '{base}'"
    return Setup(folder, installed.comfyui(), installed.python(), servers, arguments, call_s=0.05)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=40)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--servers", type=int, default=2)
    parser.add_argument("--seconds", type=float, nargs=2, default=(0.6, 3.0))
    parser.add_argument("--pause", type=float, nargs=2, default=(1.0, 8.0))
    parser.add_argument("--roles", nargs="+", choices=ROLES, default=ROLES)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--fake", action="store_true")
    parser.add_argument("--folder", type=Path)
    arguments = parser.parse_args()
    folder = arguments.folder or Path(tempfile.mkdtemp(prefix="farm-"))
    folder.mkdir(exist_ok=True)
    made = setup(folder, arguments.servers, fake=arguments.fake)
    if not made.jobs.exists():  # else a folder of an earlier run, with its undisturbed farm
        write_jobs(made, arguments.jobs, tuple(arguments.seconds))
    wanted, passes, seconds = calm(made)
    print(f"undisturbed: {len(wanted)} videos in {seconds:.0f} s", file=sys.stderr, flush=True)
    kills = Kills(arguments.kills, tuple(arguments.pause), arguments.seed, arguments.roles)
    seen = storm(made, wanted, kills)
    print(summary(seen, passes, seconds))
    sys.exit(bool(seen.faults))


if __name__ == "__main__":
    main()
