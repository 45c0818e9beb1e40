"""Starts the server with ComfyUI's options.

FARM_CALL_S: seconds that a video takes; FARM_SERVER: fields as JSON; FARM_LOADS: while this file
is there, it does not listen.
"""

import argparse
import json
import multiprocessing
import os
import socket
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from aiohttp import web

from tests.support.fake_comfyui import FakeComfyUi

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int)
    parser.add_argument("--output-directory", type=Path)
    arguments, _ = parser.parse_known_args()
    settings = {"make_s": float(os.environ.get("FARM_CALL_S", "0")), **json.loads(os.environ.get("FARM_SERVER", "{}"))}
    lock = multiprocessing.get_context("spawn").RLock()  # as tqdm has one
    fake = FakeComfyUi(arguments.output_directory.parent, **settings)
    # Nobody else gets the port while it loads. As ComfyUI's, the next server takes it as soon as this one has ended.
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, int(os.name == "posix"))
    bound.bind(("127.0.0.1", arguments.port))
    while os.path.exists(os.environ.get("FARM_LOADS", "")):
        time.sleep(0.05)
    # A signal ends it at once, as it does ComfyUI.
    web.run_app(fake.app(), sock=bound, print=None, handle_signals=False)
