"""A Dask cluster as a user starts it: ``dask scheduler`` and ``dask worker``, over TCP or TLS, on the loopback."""

import datetime
import ipaddress
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.support.installed import PACK

FAKE = PACK / "tests" / "support" / "fake_comfyui" / "main.py"
START_S = 60


class Tls(NamedTuple):
    """PEM files."""

    ca: Path
    cert: Path
    key: Path

    def options(self) -> list[str]:
        """Of ``dask scheduler`` and ``dask worker``."""
        return ["--tls-ca-file", str(self.ca), "--tls-cert", str(self.cert), "--tls-key", str(self.key)]


class Cluster(NamedTuple):
    """What runs."""

    scheduler: str
    servers: tuple[str, ...]
    """Addresses of the ComfyUI servers' stand-ins; worker ``w1`` is bound to the first."""
    processes: dict[str, subprocess.Popen]


def tls_files(folder: Path) -> Tls:
    """An authority of its own, and a certificate of it for 127.0.0.1."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    folder.mkdir(parents=True)
    now = datetime.datetime.now(datetime.UTC)
    files = Tls(folder / "ca.pem", folder / "cert.pem", folder / "key.pem")
    ca_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    ca_name, name = (x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)]) for text in ("tests", "farm"))

    def signed(subject, public_key, *, is_ca):
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(ca_name).public_key(public_key)
        builder = builder.serial_number(x509.random_serial_number())
        builder = builder.not_valid_before(now - datetime.timedelta(hours=1))
        builder = builder.not_valid_after(now + datetime.timedelta(days=1))
        builder = builder.add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
        loopback = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
        return builder.add_extension(loopback, critical=False).sign(ca_key, hashes.SHA256())

    pem = serialization.Encoding.PEM
    files.ca.write_bytes(signed(ca_name, ca_key.public_key(), is_ca=True).public_bytes(pem))
    files.cert.write_bytes(signed(name, key.public_key(), is_ca=False).public_bytes(pem))
    files.key.write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    return files


@contextmanager
def cluster(
    folder: Path, workers: int, tls: Tls | None = None, environment: Sequence[tuple[str, str]] = ()
) -> Iterator[Cluster]:
    """A scheduler, and workers with a server each; all are ended when the block ends."""
    variables = os.environ | {"PYTHONPATH": str(PACK), **dict(environment)}
    ports = free_ports(1 + workers)
    scheme, options = ("tls", tls.options()) if tls else ("tcp", [])
    address = f"{scheme}://127.0.0.1:{ports[0]}"
    servers = tuple(f"http://127.0.0.1:{port}" for port in ports[1:])
    processes: dict[str, subprocess.Popen] = {}
    with ExitStack() as stack:

        def start(name: str, *command: object, **more: str) -> None:
            log = stack.enter_context((folder / f"{name}.log").open("wb"))
            made = [sys.executable, *map(str, command)]
            process = subprocess.Popen(made, stdout=log, stderr=log, env=variables | more, cwd=PACK)
            processes[name] = process
            stack.callback(_end, process)

        start(
            "scheduler", "-m", "dask", "scheduler", "--host", "127.0.0.1", "--port", ports[0], "--protocol", scheme,
            "--no-dashboard", *options,
        )  # fmt: skip
        for number, (server, port) in enumerate(zip(servers, ports[1:], strict=True), start=1):
            start(f"s{number}", FAKE, "--port", port, "--output-directory", folder / f"s{number}" / "output")
            start(
                f"w{number}", "-m", "dask", "worker", address, "--name", f"w{number}", "--nthreads", 1, "--no-nanny",
                "--no-dashboard", "--local-directory", folder, *options, SONIC_GUARD_SERVER=server,
            )  # fmt: skip
        for port in ports:
            _wait(port, processes, folder)
        yield Cluster(address, servers, processes)


def free_ports(count: int) -> list[int]:
    """Ports of the loopback that nobody listens at."""
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


def _wait(port: int, processes: dict[str, subprocess.Popen], folder: Path) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        for name, process in processes.items():
            assert process.poll() is None, (folder / f"{name}.log").read_text(errors="replace")[-2000:]
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError(f"nobody listens at port {port}")


def _end(process: subprocess.Popen) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)
