"""Starts the server with ComfyUI's options. FARM_CALL_S: seconds that a video takes."""

import argparse
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from aiohttp import web

from tests.support.fake_comfyui import FakeComfyUi

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int)
    parser.add_argument("--output-directory", type=Path)
    arguments, _ = parser.parse_known_args()
    fake = FakeComfyUi(arguments.output_directory.parent, make_s=float(os.environ.get("FARM_CALL_S", "0")))
    web.run_app(fake.app(), host="127.0.0.1", port=arguments.port, print=None)
