"""An S3-compatible server for the tests, on the loopback: moto's, in a process of its own."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

VARIABLE = "SONIC_GUARD_TEST_S3"
"""The URL of an S3-compatible server that runs already, with keys for it in AWS's own variables."""
START_S = 60
KEYS = {"AWS_ACCESS_KEY_ID": "tests", "AWS_SECRET_ACCESS_KEY": "not-a-secret", "AWS_DEFAULT_REGION": "us-east-1"}


@contextmanager
def running(log: Path) -> Iterator[dict[str, str]]:
    """The environment variables by which a program finds a server that runs meanwhile; skips without one.

    s3fs keeps its connections for the life of a process, also those to another test's server, which has ended.
    """
    s3fs = pytest.importorskip("s3fs", reason="S3 needs s3fs; see requirements-dev.txt")
    s3fs.S3FileSystem.clear_instance_cache()
    if named := os.environ.get(VARIABLE):
        yield {"AWS_ENDPOINT_URL": named}
        return
    pytest.importorskip("moto.server", reason="a server for S3 needs moto[server]; see requirements-dev.txt")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    with log.open("wb") as output:
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
        server = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        _wait(url, server, log)
        yield {"AWS_ENDPOINT_URL": url, **KEYS}
    finally:
        s3fs.S3FileSystem.clear_instance_cache()
        server.terminate()
        server.wait(20)


def _wait(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_S
    while server.poll() is None and time.monotonic() < deadline:
        try:
            urllib.request.urlopen(url, timeout=5).close()  # noqa: S310 - the loopback
        except OSError:  # it does not listen yet
            time.sleep(0.1)
        else:
            return
    pytest.fail(f"the server for S3 did not start:\n{log.read_text(errors='replace')[-2000:]}")
