"""The number format of the VAE on this machine is the one that ComfyUI decides on."""

import subprocess

import pytest

from tests.support import installed

IN_COMFYUI = """
import importlib, sys
from pathlib import Path
pack, sys.argv = Path(sys.argv[1]), ["main.py", *sys.argv[2:]]
import comfy.options
comfy.options.enable_args_parsing()
sys.path.append(str(pack.parent))
host = importlib.import_module(f"{pack.name}.nodes.comfyui.host")
print(host.vae_in_16_bits(), host.budget("auto", 0.0).bf16, host.budget("RTX 3060 12GB", 0.0).bf16)
"""


@pytest.mark.parametrize(
    ("options", "printed"),
    [([], "False False True"), (["--bf16-vae"], "True True True"), (["--fp16-vae"], "True True True")],
    ids=["a CPU's own", "bf16", "fp16"],
)
def test_the_live_budget_takes_the_hosts_decision_and_a_named_card_its_own(tmp_path, options, printed):
    pack = tmp_path / "sonic_guard_pack"  # whatever the folder of this clone is called
    pack.symlink_to(installed.PACK)
    command = [str(installed.python()), "-c", IN_COMFYUI, str(pack), "--cpu", *options]
    result = subprocess.run(command, cwd=installed.comfyui(), capture_output=True, text=True)
    assert result.returncode == 0, result.stderr[-3000:]
    assert result.stdout.splitlines()[-1] == printed
