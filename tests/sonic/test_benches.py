"""Every bench says what it measures and takes, and starts nothing when it is asked for that."""

import runpy
import sys
from pathlib import Path

import pytest

for package in ("torch", "diffusers", "transformers", "einops"):
    pytest.importorskip(package)

BENCHES = sorted(file.stem for file in (Path(__file__).parents[2] / "bench").glob("*.py") if file.stem != "__init__")
NO_PROGRAM = {"host_peak", "real_clips"}
"""What other benches share."""


@pytest.mark.parametrize("name", [name for name in BENCHES if name not in NO_PROGRAM])
def test_a_bench_has_a_help_text(name, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [f"bench.{name}", "--help"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_module(f"bench.{name}", run_name="__main__")
    assert ended.value.code == 0
    assert f"python -m bench.{name}" in capsys.readouterr().out
