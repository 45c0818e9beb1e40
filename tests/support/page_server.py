"""A stand-in for ComfyUI's server: the real files of web/, and answers in the form the real routes have.

It predicts nothing: figures follow `min_resolution` by a rule of thumb, so that a test can distinguish answers.
"""

import json
import mimetypes
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

PACK = Path(__file__).resolve().parents[2]
FOLDERS = {
    "/extensions/sonic-guard/": PACK / "web",
    "/": PACK / "tests" / "browser" / "web" / "standin",
}
GIB = 2**30
CARD = "NVIDIA GeForce RTX 4060"
WORDS = {
    "en": {
        "safe": "Fits",
        "tight": "Tight",
        "fail": "Will run out of memory",
        "headroom": "denoise, {:.1f} GiB headroom",
        "over": "denoise, {:.1f} GiB over budget",
    },
    "zh": {
        "safe": "放得下",
        "tight": "显存紧张",
        "fail": "显存会不足",
        "headroom": "去噪阶段，余量 {:.1f} GiB",
        "over": "去噪阶段，超出预算 {:.1f} GiB",
    },
}
STAGES = {
    # stage: weights, window at 512 px, clip, in GiB; name in Chinese
    "load": (2.9, 0, 0, "加载"),
    "predata": (4.2, 0.6, 0.1, "预处理"),
    "denoise": (2.9, 5.8, 0.1, "去噪"),
    "decode": (0.1, 2.1, 0.2, "解码"),
    "interpolate": (0.1, 0.1, 1.5, "插帧"),
}


def answer(question: dict[str, Any], last: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """The answer to a question of POST /sonic_guard/predict."""
    node = question["graph"][question["node"]]["inputs"]
    size = node.get("min_resolution", 512)
    zh = question["language"] == "zh"
    word = WORDS[question["language"]]
    stages = [_stage(name, figures, size, zh) for name, figures in STAGES.items()]
    peak = max(stages, key=lambda stage: stage["required"])
    budget = int(7.2 * GIB)
    headroom = (budget - peak["required"]) / GIB
    verdict = "fail" if headroom < 0 else "tight" if headroom < 0.5 else "safe"
    advice = {"text": "min_resolution 448 reduces the peak to 6.4 GiB.", "button": None, "actions": []}
    return {
        "card": "RTX 4060 8GB",
        "verdict": verdict,
        "level": {"safe": "ok", "tight": "warn", "fail": "bad"}[verdict],
        "verdict_text": word[verdict],
        "headroom_text": word["headroom" if headroom >= 0 else "over"].format(abs(headroom)),
        "budget_bytes": budget,
        "available_bytes": 8 * GIB,
        "peak_bytes": peak["required"],
        "peak_stage": peak["stage"],
        "stages": stages,
        "frame_text": f"{size}×{size} · 249 frames · 9.96 s · fp16 · 25 steps",
        "advice": None if headroom >= 0 else advice,
        "attempt": None,
        "crop": None,
        "risk": {"probability": None, "runs": 0, "upper_bytes": None, "text": "risk from the model alone"},
        "assumed": ["image unknown: a square is assumed"],
        "optimizations": [],
        "parts": 1,
        "changes": ["min_resolution: 768 → 448 (13.4 GiB → 6.4 GiB)."],
        "limits": [],
        "time": {"low_s": 220.0, "high_s": 280.0, "text": "about 4 min" if not zh else "约 4 分"},
        "settings": {
            "width": size, "height": size, "min_resolution": size, "duration_s": 10.0, "fps": 25.0, "dtype": "fp16",
            "steps": 25, "interpolate": True,
        },
        "last": last,
        **more,
    }  # fmt: skip


def _stage(name: str, figures: tuple[float, float, float, str], size: int, zh: bool) -> dict[str, Any]:
    weights, window, clip, chinese = figures
    parts = [int(part * GIB) for part in (weights, window * (size / 512) ** 2, clip)]
    overhead = GIB // 2 + sum(parts) // 20
    required = sum(parts) + overhead
    return {
        "stage": name,
        "text": chinese if zh else name,
        **dict(zip(("weights", "window", "clip"), parts, strict=True)),
        "overhead": overhead,
        "required": required,
        "upto": required * 2 if name == "decode" else required,
    }


def run(**changes: Any) -> dict[str, Any]:
    """A run in the middle of its denoising, as the events have it."""
    predicted = {name: sum(figures[:3]) for name, figures in STAGES.items()}
    measured = {"load": 2.95, "predata": 4.6, "denoise": 8.5}
    return {
        "id": 17,
        "outcome": "running",
        "stage": "denoise",
        "step": 14,
        "steps": 25,
        "elapsed_s": 61.0,
        "left_s": 52.0,
        "peak_bytes": int(8.5 * GIB),
        "nodes": {},
        "stages": {
            name: {
                "predicted": int(size * GIB),
                "allocated": int(measured[name] * GIB) if name in measured else None,
                "reserved": None,
                "device": None,
                "seconds": 12.0 if name in measured else None,
            }
            for name, size in predicted.items()
        },
        **changes,
    }


def live(**changes: Any) -> dict[str, Any]:
    """The machine's figures, as in the event."""
    return {
        "gpu": True,
        "source": "nvml+torch",
        "card": CARD,
        "index": 0,
        "device_used": int(5.1 * GIB),
        "device_total": 8 * GIB,
        "allocated": int(3.7 * GIB),
        "reserved": int(4.2 * GIB),
        "host_used": int(12.3 * GIB),
        "host_total": 32 * GIB,
        "cards": [{"index": 0, "name": CARD, "used": int(5.1 * GIB), "total": 8 * GIB}],
        "run": None,
        **changes,
    }


def past_run(number: int, **changes: Any) -> dict[str, Any]:
    """A run of the history."""
    settings = answer({"graph": {"1": {"inputs": {}}}, "node": "1", "language": "en"})["settings"]
    return {
        "id": number,
        "started": f"2026-11-{number:02}T12:00:00+00:00",
        "card": CARD,
        "outcome": "done",
        "stage": "",
        "settings": settings,
        "optimizations": [],
        "predicted_peak": int(9 * GIB),
        "actual_peak": int((8.8 + number / 50) * GIB),
        "stages": {},
        **changes,
    }


@dataclass
class Server:
    """A server whose requests a test can read, whose answers it can set, and which it can stop and restart."""

    past: list[dict[str, Any]] = field(default_factory=list)
    """What the history holds, oldest first."""
    unreadable: int = 0
    """How many more of each page it cannot read."""
    last: dict[str, Any] | None = None
    """The last run of the same job, in every answer."""
    optimizations: list[str] = field(default_factory=list)
    """Those that every answer counts on."""
    parts: int = 1
    """Runs it takes, in every answer."""
    problem: str | None = None
    """Sent instead of a prediction."""
    delays_s: list[float] = field(default_factory=list)
    """Time for each of the next answers, first come first served."""
    questions: list[dict[str, Any]] = field(default_factory=list)
    leases: list[dict[str, Any]] = field(default_factory=list)
    deleted: list[dict[str, Any]] = field(default_factory=list)
    port: int = 0
    _http: ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        """Where the page is."""
        return f"http://127.0.0.1:{self.port}/"

    def start(self) -> None:
        """Listen, at the same port as before."""
        self._http = ThreadingHTTPServer(("127.0.0.1", self.port), _handler(self))
        self.port = self._http.server_port
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        """Stop: connections are refused."""
        if self._http:
            self._http.shutdown()
            self._http.server_close()
            self._http = None

    def get(self, path: str, query: dict[str, list[str]]) -> tuple[int, Any]:
        """Status and JSON of a GET."""
        if path != "/api/sonic_guard/history":
            return 404, {}
        card, limit, before = (query.get(name, [""])[0] for name in ("card", "limit", "before"))
        runs = [run for run in reversed(self.past) if card in ("", run["card"])]
        runs = [run for run in runs if not before or run["id"] < int(before)]
        cards = sorted({run["card"] for run in self.past})
        card_history = {"runs": len(runs), "median_error_model": 0.041, "median_error": 0.015, "upper_factor": 1.06}
        more = {"unreadable": self.unreadable, "before": runs[int(limit) - 1]["id"] if len(runs) > int(limit) else None}
        return 200, {
            "runs": runs[: int(limit)],
            "cards": cards,
            "calibration": dict.fromkeys(cards, card_history),
            **more,
        }

    def post(self, path: str, body: dict[str, Any]) -> tuple[int, Any]:
        """Status and JSON of a POST."""
        match path:
            case "/api/sonic_guard/predict":
                self.questions.append(body)
                if self.delays_s:
                    threading.Event().wait(self.delays_s.pop(0))
                if self.problem:
                    return 422, {"error": self.problem}
                return 200, answer(body, self.last, optimizations=self.optimizations, parts=self.parts)
            case "/api/sonic_guard/watch":
                self.leases.append(body)
                return 200, {"lease_s": 15}
            case "/api/sonic_guard/history/delete":
                self.deleted.append(body)
                self.past = [run for run in self.past if run["id"] not in body.get("ids", [])]
                return 200, {"deleted": 1}
        return 404, {}


def _handler(server: Server) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # noqa: N802  (named by the library)
            url = urlsplit(self.path)
            if url.path.startswith("/api/"):
                self._json(*server.get(url.path, parse_qs(url.query)))
                return
            prefix = next(prefix for prefix in FOLDERS if url.path.startswith(prefix))
            file = FOLDERS[prefix] / (url.path.removeprefix(prefix) or "index.html")
            if not file.is_file():
                self.send_error(404)
                return
            kind = "text/javascript" if file.suffix in (".js", ".mjs") else mimetypes.guess_type(file.name)[0]
            self._send(200, kind or "text/plain", file.read_bytes())

        def do_POST(self) -> None:  # noqa: N802
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self._json(*server.post(self.path, body))

        def _json(self, status: int, body: Any) -> None:
            self._send(status, "application/json", json.dumps(body).encode())

        def _send(self, status: int, kind: str, body: bytes) -> None:
            try:
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
            except (BrokenPipeError, ConnectionResetError):
                pass  # the page gave the request up

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """No log output."""

    return Handler
