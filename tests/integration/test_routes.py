"""The routes over a real socket: the answers to pages, and to other clients."""

import asyncio
import gzip
import json
import logging
import re
import socket
import sqlite3
import zlib
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sonic_guard.memory.overhead import overhead
from tests.support.graphs import after_preflight, node, preflight, sources, trio, write_files
from tests.support.installed import PACK
from tests.support.opened_files import opened_files
from tests.support.route_server import Site, site_next_to_secrets

CARD = "NVIDIA GeForce RTX 4060"
ROUTES = [
    ("POST", "/sonic_guard/predict"),
    ("POST", "/sonic_guard/watch"),
    ("GET", "/sonic_guard/history"),
    ("GET", "/sonic_guard/history.csv"),
    ("POST", "/sonic_guard/history/delete"),
]
POSTS = [path for method, path in ROUTES if method == "POST"]
QUESTION = {"graph": after_preflight(), "node": "3"}


@pytest.fixture(scope="module")
def site(pack, tmp_path_factory):
    site = site_next_to_secrets(pack, tmp_path_factory.mktemp("comfyui"))
    yield site
    site.close()


@pytest.fixture
def runs(site):
    """Three runs in the history: two on one card, one on another."""
    run, job = site.pack("sonic_guard.history.run_record"), site.pack("sonic_guard.job").Job
    stage_bytes = site.pack("sonic_guard.memory.stage_model").stage_bytes
    ids = []
    for duration_s, card in ((10.0, CARD), (11.0, CARD), (12.0, "NVIDIA GeForce RTX 3060")):
        environment = run.RunEnvironment(
            card, total_bytes=8 << 30, available_bytes=7 << 30, wrapper="1.0", torch="2.11.0"
        )
        settings = job(512, 512, duration_s)
        number = site.history.begin(settings, environment, stage_bytes(settings))
        took = {"denoise": run.StageFigures(9_400_000_000, 9_600_000_000, 10_200_000_000, 61.0)}
        site.history.finish(number, run.Outcome.DONE, "", took)
        ids.append(number)
    yield ids
    site.history.clear()
    site.services.forget()


def test_the_answer_of_a_prediction(site):
    reply = site.predict(after_preflight(preset="hd", target_card="8 GiB"), "3")
    assert (reply.status, reply.headers["Cache-Control"]) == (200, "no-store")
    answer = reply.data
    assert list(answer) == [
        "card", "verdict", "level", "verdict_text", "headroom_text", "budget_bytes", "available_bytes", "peak_bytes",
        "peak_stage", "stages", "frame_text", "advice", "attempt", "crop", "risk", "assumed", "optimizations", "parts",
        "changes", "limits", "time", "settings", "linked", "linked_loaders", "last",
        "missing_files",
    ]  # fmt: skip
    assert (answer["card"], answer["verdict"], answer["level"]) == ("8 GiB", "safe", "warn")
    assert answer["verdict_text"] == "Made smaller: 1024 → 384 px"
    assert answer["advice"]["actions"] == [{"do": "insert_low_vram", "sampler": "7", "values": {}}]
    assert answer["crop"]["file"] == "portrait.png"
    for box in (answer["crop"]["crop"], answer["crop"]["face"]):
        left, top, width, height = box
        assert 0 <= left < left + width <= 1
        assert 0 <= top < top + height <= 1
    assert [stage["stage"] for stage in answer["stages"]] == ["load", "predata", "denoise", "decode", "interpolate"]
    for stage in answer["stages"]:
        assert stage["weights"] + stage["window"] + stage["clip"] + stage["overhead"] == stage["required"]
        assert stage["upto"] >= stage["required"]
    assert max(stage["required"] for stage in answer["stages"]) == answer["peak_bytes"] <= answer["budget_bytes"]
    assert re.fullmatch(r"\d+×\d+ · 181 frames · 7\.24 s · fp16 · 30 steps", answer["frame_text"])
    assert len(answer["changes"]) == 1
    assert answer["changes"][0].startswith("min_resolution: 1024 → ")
    assert answer["settings"]["min_resolution"] < 1024
    assert answer["risk"] == {
        "probability": None, "runs": 0, "upper_bytes": None, "expected_bytes": answer["peak_bytes"],
        "text": "from the model alone",
    }  # fmt: skip
    assert (answer["assumed"], answer["last"]) == ([], None)
    assert (answer["optimizations"], answer["parts"]) == ([], 1)


def test_an_answer_in_chinese(site):
    graph = sources() | trio(min_resolution=768, fps=["9", 0])
    answer = site.predict(graph, "7", language="zh").data
    assert answer["verdict_text"] == "尚无法判断"
    assert answer["advice"]["text"].startswith("加入“Sonic 低显存”，")
    assert answer["assumed"] == ["工作流过大，未能全部发送：fps 按 25 计算"]
    assert answer["stages"][2]["text"] == "去噪"


@pytest.mark.parametrize(
    ("language", "error"),
    [("zh", "节点：工作流中没有节点 '99'。"), ("en", "node: there is no node '99' in the graph.")],
)
def test_an_error_in_the_language_of_the_page(site, user_folder, language, error):
    assert site.predict(after_preflight(), "99", language=language).data["error"] == error
    reply = site.ask("POST", "/sonic_guard/watch", json={"client": "", "rate_hz": 1})  # says no language
    expected = {"zh": "client：应为 1 到 200 个可显示的字符。", "en": "client: expected 1 to 200 printable characters."}
    assert reply.data["error"] == expected[language]


def test_a_stage_that_is_left_out_is_not_shown(site):
    stages = site.predict(sources() | trio(use_interframe=False), "7").data["stages"]
    assert [stage["stage"] for stage in stages] == ["load", "predata", "denoise", "decode"]


def test_the_setting_names_the_card_of_sonics_own_nodes(site):
    graph = sources() | trio()
    assert site.predict(graph, "7").data["card"] == "RTX 4060 8GB"
    assert site.predict(graph, "7", target_card="24 GiB").data["card"] == "24 GiB"


def test_a_prediction_knows_what_such_runs_took(site, runs):
    answer = site.predict(sources() | trio() | {"9": node("X")}, "7", target_card=CARD).data
    assert answer["last"] is None  # another card's name, and 7.3 s of sound
    run, job = site.pack("sonic_guard.history.run_record"), site.pack("sonic_guard.job").Job
    stage_bytes = site.pack("sonic_guard.memory.stage_model").stage_bytes
    passes, pass_s = (
        site.pack("sonic_guard.planning.pace").passes,
        site.pack("sonic_guard.planning.pass_time").pass_s,
    )

    def work(settings):
        return passes(settings) * pass_s(settings, 3.0)

    environment = run.RunEnvironment("RTX 4060 8GB", total_bytes=8 << 30, available_bytes=20 << 30)
    for number in range(30):
        settings = job(512, 512, 36.3 - number)
        tensors = stage_bytes(settings)["denoise"]
        took = {"denoise": run.StageFigures(tensors, tensors + (number << 24), None, work(settings))}
        site.history.finish(site.history.begin(settings, environment, {"denoise": tensors}), run.Outcome.DONE, "", took)
    site.services.forget()
    answer = site.predict(sources() | trio(), "7").data
    assert answer["risk"]["runs"] == 30
    assert answer["risk"]["probability"] > 0.5  # 10 GiB on a card of 8
    assert answer["risk"]["upper_bytes"] >= answer["risk"]["expected_bytes"]
    assert answer["risk"]["text"].endswith("from 30 runs on this card")
    seconds = answer["last"]["stages"]["denoise"]["seconds"]
    assert seconds == pytest.approx(work(job(512, 512, 7.3)))
    assert answer["time"]["low_s"] <= seconds <= answer["time"]["high_s"]


@pytest.mark.parametrize(
    ("body", "lease"),
    [
        ({"client": "abc", "rate_hz": 2}, ("abc", 2.0)),
        ({"client": "abc", "rate_hz": 0.5}, ("abc", 0.5)),
        ({"client": "abc", "rate_hz": 0}, ("abc", 0.0)),
    ],
)
def test_watching(site, body, lease):
    reply = site.ask("POST", "/sonic_guard/watch", json=body)
    assert (reply.status, reply.data) == (200, {"lease_s": 15.0})
    assert site.watched[-1] == lease


def test_too_many_watch_already(site, monkeypatch):
    monkeypatch.setattr(site, "lease_s", 0.0)
    reply = site.ask("POST", "/sonic_guard/watch", json={"client": "abc", "rate_hz": 2})
    assert (reply.status, reply.data) == (429, {"error": "Too many pages watch already."})
    assert site.ask("POST", "/sonic_guard/watch", json={"client": "abc", "rate_hz": 0}).status == 200


def test_the_history(site, runs):
    reply = site.ask("GET", "/sonic_guard/history")
    assert reply.status == 200
    assert [run["id"] for run in reply.data["runs"]] == sorted(runs, reverse=True)
    assert reply.data["cards"] == ["NVIDIA GeForce RTX 3060", CARD]
    assert set(reply.data["calibration"]) == set(reply.data["cards"])
    assert reply.data["calibration"][CARD]["runs"] == 2
    run = reply.data["runs"][-1]
    assert list(run) == [
        "id", "started", "card", "outcome", "stage", "settings", "optimizations", "predicted_peak", "actual_peak",
        "stages", "wrapper", "comfyui", "torch", "driver",
    ]  # fmt: skip
    assert datetime.fromisoformat(run["started"]).tzinfo == UTC
    assert (run["card"], run["outcome"], run["torch"]) == (CARD, "done", "2.11.0")
    assert run["actual_peak"] == 9_600_000_000 + overhead().context_bytes
    assert run["predicted_peak"] == pytest.approx(run["actual_peak"], rel=0.1)
    assert run["stages"]["denoise"]["seconds"] == 61.0
    assert run["stages"]["load"]["allocated"] is None


@pytest.mark.parametrize(("query", "found"), [({"card": CARD}, 2), ({"limit": "1"}, 1), ({"card": "none"}, 0)])
def test_part_of_the_history(site, runs, query, found):
    assert len(site.ask("GET", "/sonic_guard/history", params=query).data["runs"]) == found


def test_the_history_in_pages(site, runs):
    newest = site.ask("GET", "/sonic_guard/history", params={"limit": "2"}).data
    assert ([run["id"] for run in newest["runs"]], newest["before"]) == (runs[:0:-1], runs[1])
    oldest = site.ask("GET", "/sonic_guard/history", params={"limit": "2", "before": str(newest["before"])}).data
    assert ([run["id"] for run in oldest["runs"]], oldest["before"]) == (runs[:1], None)
    assert oldest["cards"] == newest["cards"]


def test_the_calibration_of_the_cards_shown_is_reported(site, runs):
    run, job = site.pack("sonic_guard.history.run_record"), site.pack("sonic_guard.job").Job(512, 512, 10.0)
    for number in range(9):
        site.history.begin(job, run.RunEnvironment(f"card {number}"), {})
    data = site.ask("GET", "/sonic_guard/history").data
    assert (len(data["cards"]), list(data["calibration"])) == (11, ["card 8", "card 7", "card 6"])
    assert list(site.ask("GET", "/sonic_guard/history", params={"card": CARD}).data["calibration"]) == [CARD]


@pytest.fixture
def torn(site, runs):
    """The history, with a row that cannot be read."""
    with closing(sqlite3.connect(site.folder.parent / "history.db")) as file, file:
        file.execute("UPDATE sonic_guard_runs SET stages = '{\"denoise\": {' WHERE id = ?", runs[1:2])
    site.services.forget()
    return runs


def test_a_run_that_cannot_be_read_costs_none_of_the_others(site, torn):
    data = site.ask("GET", "/sonic_guard/history").data
    assert ([run["id"] for run in data["runs"]], data["unreadable"]) == ([torn[2], torn[0]], 1)
    assert data["calibration"][CARD]["runs"] == 1
    reply = site.ask("GET", "/sonic_guard/history.csv")
    assert (reply.status, reply.data.count("\r\n")) == (200, 3)
    assert site.predict(sources() | trio(), "7", target_card=CARD).status == 200


def test_the_history_as_a_file(site, runs):
    reply = site.ask("GET", "/sonic_guard/history.csv", params={"card": CARD})
    assert reply.status == 200
    assert reply.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert reply.headers["Content-Disposition"] == 'attachment; filename="sonic-guard-history.csv"'
    assert reply.data.count(CARD) == 2
    assert (reply.headers["Cache-Control"], reply.headers["X-Content-Type-Options"]) == ("no-store", "nosniff")
    assert "Content-Length" not in reply.headers, "it is sent as it is read"


def test_a_table_that_cannot_be_read_is_an_answer_of_its_own(site, runs):
    with closing(sqlite3.connect(site.folder.parent / "history.db")) as file, file:
        file.execute("ALTER TABLE sonic_guard_runs RENAME TO away")
    try:
        for path in ("/sonic_guard/history", "/sonic_guard/history.csv"):
            reply = site.ask("GET", path)
            assert (reply.status, list(reply.data)) == (500, ["error"])
    finally:
        with closing(sqlite3.connect(site.folder.parent / "history.db")) as file, file:
            file.execute("ALTER TABLE away RENAME TO sonic_guard_runs")


def many_runs(site):
    """So many runs that their table is sent in several chunks."""
    names = ", ".join(site.pack("sonic_guard.history.schema").RUNS.c.keys()[1:])
    with closing(sqlite3.connect(site.folder.parent / "history.db")) as file, file:
        for _ in range(13):
            file.execute(f"INSERT INTO sonic_guard_runs ({names}) SELECT {names} FROM sonic_guard_runs")  # noqa: S608


def test_a_table_that_breaks_off_is_not_taken_for_the_whole(site, runs, caplog):
    many_runs(site)

    async def read():
        async with site.client.get("/sonic_guard/history.csv") as response:
            await response.content.readline()
            (site.folder.parent / "history.db").write_bytes(b"no database" * 9999)
            await response.content.read()

    kept = site.history
    site.history = site.pack("sonic_guard.history.history_store").History(
        site.folder.parent / "history.db", existing=True
    )
    try:
        with pytest.raises(aiohttp.ClientPayloadError):
            site.run(read())
        assert "cut off" in caplog.text
    finally:
        site.history = kept


def test_a_reader_that_leaves_is_no_error(site, runs, caplog):
    many_runs(site)

    async def leave():
        response = await site.client.get("/sonic_guard/history.csv")
        await response.content.readline()
        response.close()
        await asyncio.sleep(0.5)

    site.run(leave())
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []
    assert site.ask("GET", "/sonic_guard/history").status == 200


@pytest.mark.parametrize("path", ["/sonic_guard/history", "/sonic_guard/history.csv"])
def test_no_prediction_waits_for_those_who_wait_for_the_history(pack, tmp_path, path):
    """For any number of requests for a locked history, even where the prediction would read it, too."""
    site = Site(pack, write_files(tmp_path / "input"), glance_s=0.01)
    site.history.runs()
    with closing(sqlite3.connect(tmp_path / "history.db.lock", isolation_level=None, check_same_thread=False)) as lock:
        lock.execute("BEGIN EXCLUSIVE")
        lock.execute("SELECT 1 FROM sqlite_master")

        async def ask():
            held = [asyncio.ensure_future(site.asking("GET", path)) for _ in range(20)]
            await asyncio.sleep(0.1)
            reply = await site.asking("POST", "/sonic_guard/predict", json={"graph": sources() | trio(), "node": "7"})
            waiting = sum(not each.done() for each in held)
            lock.execute("ROLLBACK")
            return reply, waiting, await asyncio.gather(*held)

        try:
            reply, waiting, replies = site.run(ask())
        finally:
            site.close()
    assert (reply.status, waiting) == (200, 20)
    assert {reply.status for reply in replies} == {200}


@pytest.mark.parametrize(
    ("what", "deleted"),
    [(lambda ids: {"ids": ids[:1]}, 1), (lambda _: {"card": CARD}, 2), (lambda _: {"all": True}, 3)],
)
def test_deleting(site, runs, what, deleted):
    reply = site.ask("POST", "/sonic_guard/history/delete", json=what(runs))
    assert (reply.status, reply.data) == (200, {"deleted": deleted})
    assert len(site.history.runs()) == 3 - deleted


def test_a_history_that_cannot_be_read_is_reported_and_costs_no_prediction(site, tmp_path):
    kept = site.history
    site.history = site.pack("sonic_guard.history.history_store").History(tmp_path / "ghost.db", existing=True)
    site.services.forget()
    try:
        reply = site.ask("GET", "/sonic_guard/history")
        assert reply.status == 500
        assert str(tmp_path) not in reply.data["error"]
        assert site.predict(sources() | trio(), "7").status == 200
    finally:
        site.history = kept
        site.services.forget()


FOREIGN = [
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "nonsense"},
    {"Origin": "http://evil.example"},
    {"Origin": "null"},
    {"Origin": "file://"},
    {"Origin": "http://127.0.0.1:1"},
    {"Origin": "http://127.0.0.1:port"},
    {"Origin": "http://[::1"},
    {"Origin": "http://127.0.0.1.evil.example"},
    {"Origin": "http://comfy.example:8080", "Host": "comfy.example"},
]


@pytest.mark.parametrize("headers", FOREIGN)
@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_other_sites_are_refused(site, runs, method, path, headers):
    body = {"json": {"all": True}} if method == "POST" else {}
    reply = site.ask(method, path, headers=headers, **body)
    assert (reply.status, reply.data) == (403, {"error": "Only pages of this server are answered."})
    assert len(site.history.runs()) == 3


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Sec-Fetch-Site": "none"},
        {"Sec-Fetch-Site": "same-origin"},
        {"Origin": "http://comfy.example", "Host": "comfy.example"},
        {"Origin": "https://Comfy.example", "Host": "comfy.example:443", "Sec-Fetch-Site": "same-origin"},
        {"Origin": "https://via.a.proxy", "Host": "comfyui:8188", "Sec-Fetch-Site": "same-origin"},
        {"Origin": "http://127.0.0.1:8188", "Host": "127.0.0.1:8188"},
        {"Origin": "http://[::1]:8188", "Host": "[::1]:8188"},
    ],
)
def test_own_pages_are_answered(site, headers):
    assert site.ask("GET", "/sonic_guard/history", headers=headers).status == 200


REBOUND = ["attacker.example:{port}", "ATTACKER.example.:{port}", "127.0.0.1.evil.example:{port}", "comfy:{port}",
           "localhost.evil.example:{port}", "notlocalhost:{port}", "127.0.0.1:99999", "[::1"]  # fmt: skip
"""What a browser sends that connects to this machine because another name was made to lead here."""


@pytest.mark.parametrize("name", REBOUND)
@pytest.mark.parametrize(("method", "path"), ROUTES)
@pytest.mark.parametrize("site_", ["same-origin", "none", None])
def test_a_name_that_was_made_to_lead_here_is_refused(site, runs, method, path, name, site_):
    host = name.format(port=site.server.port)
    headers = {"Host": host, "Origin": f"http://{host}"} | ({"Sec-Fetch-Site": site_} if site_ else {})
    body = {"json": {"all": True}} if method == "POST" else {}
    reply = site.ask(method, path, headers=headers, **body)
    assert reply.status == 403
    assert len(site.history.runs()) == 3


@pytest.mark.parametrize(
    "name",
    [
        "localhost:{port}", "LOCALHOST.:{port}", "comfy.localhost:{port}", "127.0.0.1:{port}", "127.5.5.5:{port}",
        "[::1]:{port}", "192.168.1.5:{port}", "[fe80::1]:{port}", socket.gethostname() + ":{port}",
        # what a proxy passes on: the name and the port it was asked for
        "comfy.example", "comfy.example:443", "comfy.example:8188", "localhost",
    ],
)  # fmt: skip
def test_names_of_this_machine_and_of_proxies_are_answered(site, name):
    headers = {"Host": name.format(port=site.server.port), "Sec-Fetch-Site": "same-origin"}
    assert site.ask("GET", "/sonic_guard/history", headers=headers).status == 200


@pytest.mark.parametrize("path", POSTS)
@pytest.mark.parametrize(
    ("request_", "status"),
    [
        ({"data": "{}", "headers": {"Content-Type": "text/plain"}}, 415),
        ({"data": {"a": "b"}}, 415),
        ({"data": b"{}"}, 415),
        ({"data": "{"}, 400),
        ({"data": ""}, 400),
        ({"data": b"\xff\xfe\x00"}, 400),
        ({"data": "[]"}, 400),
        ({"data": "null"}, 400),
        ({"data": '{"graph": NaN}'}, 400),
        ({"data": '{"graph": -Infinity}'}, 400),
        ({"data": '{"graph": ' + "9" * 5000 + "}"}, 400),
        ({"data": '{"graph":' * 6000 + "1" + "}" * 6000}, 400),
        ({"data": "[" * 60_000}, 400),
        ({"data": '{"graph": "' + "x" * 70_000 + '"}'}, 413),
        ({"data": b" " * (8 << 20)}, 413),
        ({"json": {}}, 400),
    ],
    ids=lambda value: str(value)[:40],
)
def test_bad_bodies(site, path, request_, status):
    if "headers" not in request_ and request_.get("data") not in ({"a": "b"}, b"{}"):
        request_ = {**request_, "headers": {"Content-Type": "application/json"}}
    reply = site.ask("POST", path, **request_)
    assert reply.status == status
    assert isinstance(reply.data["error"], str)


def test_a_body_without_a_length_has_its_limit_too(site):
    async def endless():
        for _ in range(100):
            yield b" " * 4096

    reply = site.ask("POST", "/sonic_guard/predict", data=endless(), headers={"Content-Type": "application/json"})
    assert reply.status == 413


def raw(site, data, *, leave=False):
    """The status line that the server answers with, or None where the client has left; and what was logged of it."""

    async def ask():
        reader, writer = await asyncio.open_connection("127.0.0.1", site.server.port)
        writer.write(data)
        await writer.drain()
        if leave:
            writer.transport.abort()
            await asyncio.sleep(0.2)
            return None
        line = await reader.readline()
        await reader.read()
        writer.close()
        return line.decode()

    return site.run(ask())


def post(path, body, *headers, length=None):
    head = [f"POST {path} HTTP/1.1", "Host: localhost", "Content-Type: application/json", "Connection: close", *headers]
    if length is not None or not any(header.startswith("Transfer-Encoding") for header in headers):
        head.append(f"Content-Length: {len(body) if length is None else length}")
    return "\r\n".join([*head, "", ""]).encode() + body


PACKED = gzip.compress(b'{"a": 1}', mtime=0)


@pytest.mark.parametrize("path", POSTS)
@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"not packed", ["Content-Encoding: gzip"], 400),
        (PACKED[:-8] + b"12345678", ["Content-Encoding: gzip"], 400),
        (PACKED[:12] + b"\xff" * 20, ["Content-Encoding: gzip"], 400),
        (b"\xff" * 50, ["Content-Encoding: deflate"], 400),
        (gzip.compress(b" " * (64 << 20), mtime=0), ["Content-Encoding: gzip"], 413),
        (zlib.compress(b" " * (1 << 20)), ["Content-Encoding: deflate"], 413),
        (PACKED, ["Content-Encoding: gzip"], 400),  # it is unpacked, and makes no sense
        (b"not packed", ["Content-Encoding: gzip", "Sec-Fetch-Site: cross-site"], 403),
        (b'{"a": 1}', ["Content-Type: application/json; charset=nonsense"], 400),
    ],
    ids=lambda value: str(value)[:30],
)
def test_packed_bodies(site, path, body, headers, status, caplog):
    request = post(path, body, *headers)
    if any("charset" in header for header in headers):
        request = request.replace(b"Content-Type: application/json\r\n", b"", 1)
    assert f" {status} " in raw(site, request)
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


@pytest.mark.parametrize("path", POSTS)
@pytest.mark.parametrize(
    "request_",
    [
        (b'{"a": 1}', "Content-Length: 100"),
        (PACKED[:9], "Content-Encoding: gzip", "Content-Length: 100"),
        (b"5\r\n{", "Transfer-Encoding: chunked"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_client_that_leaves_in_the_middle_is_no_error(site, path, request_, caplog):
    body, *headers = request_
    length = 100 if "Content-Length: 100" in headers else None
    headers = [header for header in headers if not header.startswith("Content-Length")]
    assert raw(site, post(path, body, *headers, length=length), leave=True) is None
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []
    assert site.ask("GET", "/sonic_guard/history").status == 200


@pytest.mark.parametrize(("method", "path"), ROUTES)
@pytest.mark.parametrize("wrong", ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_other_methods_are_not_there(site, method, path, wrong):
    if wrong != method:
        assert site.ask(wrong, path).status == 405


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("predict", QUESTION | {"language": "fr"}),
        ("predict", QUESTION | {"language": 5}),
        ("predict", QUESTION | {"node": 3}),
        ("predict", QUESTION | {"target_card": ["24 GiB"]}),
        ("predict", QUESTION | {"target_card": "x" * 300}),
        ("predict", {"graph": {str(i): node("X") for i in range(201)}, "node": "1"}),
        ("watch", {"client": "", "rate_hz": 2}),
        ("watch", {"client": "x" * 300, "rate_hz": 2}),
        ("watch", {"client": "a\ud800", "rate_hz": 2}),
        ("watch", {"client": "a", "rate_hz": "2"}),
        ("watch", {"client": "a", "rate_hz": True}),
        ("watch", {"client": "a", "rate_hz": -1}),
        ("watch", {"client": "a", "rate_hz": 1e9}),
        ("watch", {"client": "a", "rate_hz": 10**30}),
        ("history/delete", {"ids": 5}),
        ("history/delete", {"ids": ["1"]}),
        ("history/delete", {"ids": [True]}),
        ("history/delete", {"ids": [1.5]}),
        ("history/delete", {"ids": [10**30]}),
        ("history/delete", {"all": 1}),
        ("history/delete", {"all": False}),
        ("history/delete", {"card": ""}),
        ("history/delete", {"card": "\ud800"}),
        ("history/delete", {"card": CARD, "all": True}),
    ],
)
def test_requests_that_make_no_sense(site, runs, path, body):
    watched = len(site.watched)
    reply = site.ask("POST", f"/sonic_guard/{path}", json=body)
    assert reply.status == 400
    assert reply.data["error"]
    assert len(site.history.runs()) == 3
    assert len(site.watched) == watched


@pytest.mark.parametrize(
    "query",
    [
        {"limit": "0"},
        {"limit": "-1"},
        {"limit": "x"},
        {"limit": "1e9"},
        {"limit": "99999999"},
        {"card": "\x01"},
        {"limit": ""},
        {"before": "0"},
        {"before": "-1"},
        {"before": "x"},
        {"before": str(1 << 63)},
        {"before": "9" * 99},
    ],
)
def test_queries_that_make_no_sense(site, query):
    assert site.ask("GET", "/sonic_guard/history", params=query).status == 400


def picture(name):
    return sources(image=name) | trio()


def sound(name):
    return sources(audio=name) | trio()


TRAVERSAL = [
    "../secret.png", "sub/../../secret.png", "..", "/etc/passwd", "//x/y", "C:/secret.png", "c:\\secret.png",
    "..\\secret.png", "a\0.png", "portrait.png\0", "out.png", "outside/secret.png", "x" * 3000, 5, True, {"a": 1},
    ["portrait.png"], "\ud800",
]  # fmt: skip
NOT_THERE = ["ghost.png", "sub", "portrait.png [output]", "portrait.png [temp]", "../secret.png [output]", "", None]


@pytest.mark.parametrize("graph", [picture, sound])
@pytest.mark.parametrize("name", TRAVERSAL, ids=lambda name: repr(name)[:20])
def test_names_that_lead_out_of_the_input_folder(site, graph, name):
    reply = site.predict(graph(name), "7")
    assert reply.status == 400
    assert "file" in reply.data["error"]
    assert str(site.folder.parent) not in reply.data["error"]


@pytest.mark.parametrize("graph", [picture, sound])
@pytest.mark.parametrize("name", NOT_THERE, ids=repr)
def test_a_file_that_is_not_there_is_assumed(site, graph, name):
    reply = site.predict(graph(name), "7")
    assert (reply.status, reply.data["verdict"], len(reply.data["assumed"])) == (200, "unknown", 1)
    assert str(site.folder.parent) not in reply.data["assumed"][0]


@pytest.mark.parametrize(
    ("graph", "asked", "status", "error"),
    [
        (after_preflight(preset="turbo"), "3", 404, "turbo"),
        (after_preflight(preset="../../secret"), "3", 404, "not a preset's name"),
        (after_preflight(), "99", 400, "no node '99'"),
        (trio(fps=["7", 1]), "7", 400, "circle"),
        (sources() | trio(fps="fast"), "7", 400, "fps: expected a number"),
        (picture("no face.png") | preflight(), "3", 422, "no face found"),
        (picture("broken.png"), "7", 422, "broken.png"),
        (sources() | trio(duration=0), "7", 422, "too short"),
        (sources() | preflight(target_card="potato"), "3", 422, "potato"),
    ],
)
def test_graphs_that_cannot_be_answered(site, graph, asked, status, error):
    reply = site.predict(graph, asked)
    assert (reply.status, error in reply.data["error"]) == (status, True)
    assert str(site.folder.parent) not in reply.data["error"]


def allowed(path: str, site: Site) -> bool:
    """Whether a file is one that the server may open: of the input folder, its own, Python's or the system's."""
    inside = Path(path).resolve().is_relative_to
    own = (site.folder.resolve(), site.folder.parent / "presets", PACK, Path(json.__file__).parent)
    system = ("/proc/", "/sys/fs/cgroup/")
    return any(map(inside, own)) or path.endswith(".pyc") or "/site-packages/" in path or path.startswith(system)


def test_nothing_outside_the_input_folder_is_opened(site):
    graphs = [graph(name) for graph in (picture, sound) for name in TRAVERSAL + NOT_THERE]
    graphs += [after_preflight(preset=str(name)) for name in TRAVERSAL]
    graphs += [picture("portrait.png"), sound("voice.wav"), after_preflight(cut_silence=True)]
    with opened_files() as opened:
        statuses = {site.predict(graph, "7").status for graph in graphs}
    assert statuses == {200, 400, 404}
    assert [path for path in opened if not allowed(path, site)] == []
    assert not allowed(str(site.folder.parent / "secret.png"), site)


def test_a_thousand_at_once(site):
    """Some of them hostile: each gets its answer, and the others theirs."""
    kinds = [
        (after_preflight(preset="hd"), "3", 200),
        (sources("sub/wide.jpg") | trio(), "7", 200),
        (picture("../secret.png"), "7", 400),
        (trio(fps=["7", 1]), "7", 400),
        (after_preflight(preset="turbo"), "3", 404),
    ]

    async def all_of_them():
        asked = [
            site.asking("POST", "/sonic_guard/predict", json={"graph": graph, "node": asked})
            for graph, asked, _ in kinds * 200
        ]
        return await asyncio.gather(*asked)

    replies = site.run(all_of_them())
    assert [reply.status for reply in replies] == [status for *_, status in kinds] * 200


junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=10), inner, max_size=5),
    max_leaves=20,
)
slots = st.tuples(st.sampled_from("1235679"), st.integers(-1, 20)).map(list)
kinds = st.sampled_from([
    "LoadImage", "LoadAudio", "SonicGuardPreflight", "SonicGuardAudioDuration", "SonicGuardFaceBox", "SonicGuardPreset",
    "SonicGuardOOMRisk", "SonicGuardAutoDowngrade", "SONICTLoader", "SONIC_PreData", "SONICSampler", "ImageScale",
    "ImageScaleBy", "ImageScaleToTotalPixels", "ImageCrop", "PrimitiveInt", "Reroute", "UnknownNode",
])  # fmt: skip
names = st.sampled_from([
    "image", "audio", "preset", "target_card", "on_risk", "policy", "aspect", "face_index", "face_box", "cut_silence",
    "reserve", "min_resolution", "duration", "fps", "dtype", "use_interframe", "inference_steps", "expand_ratio",
    "dynamic_scale", "model", "data_dict", "weight_dtype", "width", "height", "x", "y", "scale_by", "megapixels",
    "value", "",
])  # fmt: skip
values = (
    junk
    | slots
    | slots
    | st.sampled_from(
        ["portrait.png", "voice.wav", "../secret.png", "fast", "hd", "8 GiB", "auto", "fp16", "1, 2, 3, 4"]
    )
)
unsupported = st.dictionaries(
    st.sampled_from("1235679"),
    st.builds(lambda kind, inputs: node(kind, **inputs), kinds, st.dictionaries(names, values, max_size=12)) | junk,
    max_size=7,
)
bodies = junk | st.fixed_dictionaries(
    {"graph": unsupported | junk, "node": st.sampled_from("1235679") | junk},
    optional={"language": st.sampled_from(["en", "zh"]) | junk, "target_card": junk},
)


@pytest.mark.parametrize("path", POSTS)
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=bodies)
def test_no_json_breaks_it(site, path, body):
    reply = site.ask("POST", path, data=json.dumps(body), headers={"Content-Type": "application/json"})
    assert reply.status in (200, 400, 404, 413, 422)
    assert reply.status == 200 or reply.data["error"]
