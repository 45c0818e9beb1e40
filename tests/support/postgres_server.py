"""A PostgreSQL server started for the tests, with its data in a temporary folder and no network port."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, make_url

VARIABLE = "SONIC_GUARD_TEST_POSTGRES"
"""A URL here names a server that is running already."""
START_S = 60
_USER = "sonic_guard"
_OPTIONS = ("listen_addresses=", "max_connections=50", "shared_buffers=16MB")
"""The server's clients are killed in tests, the server is not: nothing has to survive a power cut."""


@contextmanager
def running(*, durable: bool = False) -> Iterator[str]:
    """The URL of a server that runs meanwhile; skips where PostgreSQL is not installed.

    With `durable` it waits for the disk at each commit, as others than tests need it.
    """
    pytest.importorskip("psycopg", reason="PostgreSQL needs a driver; see requirements-dev.txt")
    if named := os.environ.get(VARIABLE):
        pytest.importorskip(make_url(named).get_driver_name(), reason=f"{VARIABLE} needs a driver")
        yield named
        return
    programs = _programs()
    folder = Path(tempfile.mkdtemp(prefix="sonic-guard-postgres-"))
    # PostgreSQL refuses to run as root. Its socket must be reachable, so no folder of pytest's: those are root's only.
    who: dict[str, Any] = {"user": _other_user(), "extra_groups": []} if os.geteuid() == 0 else {}
    try:
        if who:
            shutil.chown(folder, who["user"])
        make = [programs / "initdb", "-D", folder / "data", "-U", _USER, "--auth=trust", "--no-sync", "--encoding=UTF8"]
        made = subprocess.run([*make, "--locale=C"], cwd=folder, capture_output=True, text=True, **who)
        assert made.returncode == 0, made.stdout + made.stderr
        settings = [each for option in (*_OPTIONS, f"fsync={'on' if durable else 'off'}") for each in ("-c", option)]
        command = [programs / "postgres", "-D", folder / "data", "-k", folder, *settings]
        with (folder / "server.log").open("wb") as log:
            server = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, start_new_session=True, **who)
        url = f"postgresql+psycopg://{_USER}@/postgres?host={folder}"
        try:
            _wait(url, server, folder / "server.log")
            yield url
        finally:
            server.send_signal(signal.SIGINT)  # "fast": it ends its clients' connections
            try:
                server.wait(20)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def schema(server: str) -> Iterator[str]:
    """The URL of a new, empty schema on a server, removed at the end."""
    url, name = make_url(server), f"sonic_guard_test_{os.getpid()}_{time.monotonic_ns()}"
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.exec_driver_sql(f"CREATE SCHEMA {name}")
    try:
        yield url.update_query_dict({"options": f"-csearch_path={name}"}).render_as_string(hide_password=False)
    finally:
        with engine.begin() as connection:
            connection.exec_driver_sql(f"DROP SCHEMA {name} CASCADE")
        engine.dispose()


def _programs() -> Path:
    """The folder of PostgreSQL's programs: that of pg_ctl, else the newest of Debian's."""
    found = shutil.which("pg_ctl")
    candidates = [Path(found).resolve().parent] if found else []
    candidates += sorted(
        Path("/usr/lib/postgresql").glob("*/bin"), key=lambda candidate: candidate.parent.name.zfill(4)
    )[::-1]
    for candidate in candidates:
        if (candidate / "initdb").is_file() and (candidate / "postgres").is_file():
            return candidate
    pytest.skip(f"no PostgreSQL found; install Debian's package postgresql, or set {VARIABLE} to the URL of a server")


def _other_user() -> int:
    import pwd

    users = {user.pw_name: user.pw_uid for user in pwd.getpwall()}
    return users.get("postgres", users.get("nobody", 65534))


def _wait(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    engine, deadline = create_engine(url), time.monotonic() + START_S
    while server.poll() is None and time.monotonic() < deadline:
        try:
            engine.connect().close()
        except Exception:  # noqa: BLE001 - it does not listen yet
            time.sleep(0.05)
        else:
            engine.dispose()
            return
    pytest.fail(f"PostgreSQL did not start:\n{log.read_text(errors='replace')[-2000:]}")
