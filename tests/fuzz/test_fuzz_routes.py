"""The routes over a real socket: whatever is sent, the answer is short, is JSON or CSV, and is no 5xx.

Nothing outside the input folder is opened, and the next request gets its usual answer.
"""

import gzip
import json
import logging
import sys
from pathlib import Path

import pytest
from hypothesis import strategies as st

from tests.fuzz import damaged_graphs
from tests.fuzz.size import cases
from tests.support.graphs import after_preflight
from tests.support.installed import PACK
from tests.support.opened_files import opened_files
from tests.support.route_server import Site, site_next_to_secrets

MAX_ANSWER = 200_000
"""Characters; the history has three runs."""
MAX_TEXT = 4_100


@pytest.fixture(scope="module")
def site(pack, tmp_path_factory):
    site = site_next_to_secrets(pack, tmp_path_factory.mktemp("comfyui"))
    site.usual = site.predict(after_preflight(cut_silence=True), "3").data
    logging.getLogger(pack.__name__).setLevel(logging.ERROR)
    yield site
    logging.getLogger(pack.__name__).setLevel(logging.NOTSET)
    site.close()


def in_folders(path: str, site: Site) -> bool:
    """Whether a file is one that the server may open: of the input folder, its own, Python's or the system's."""
    home = Path(path).resolve()
    own_folders = (site.folder.resolve(), site.folder.parent / "presets", PACK)
    database = [f"{site.folder.parent / 'history.db'}{suffix}" for suffix in ("", "-wal", "-shm", "-journal")]
    folders = (*own_folders, sys.prefix, sys.base_prefix, "/proc", "/sys")
    return any(map(home.is_relative_to, folders)) or str(home) in database or path.endswith(".pyc")


def text_of(value) -> bytes:
    """JSON as Python writes it, NaN and all."""
    try:
        return json.dumps(value).encode()
    except (ValueError, RecursionError):  # a number of thousands of digits
        return b'{"graph": ' + b"9" * 5000 + b"}"


def utf16(body: bytes) -> bytes:
    return body.decode("utf-8", "replace").encode("utf-16")


def cut(body: bytes) -> bytes:
    return body[: len(body) // 2]


questions = st.fixed_dictionaries(
    {
        "graph": damaged_graphs.anything,
        "node": st.integers(0, 9) | st.integers(0, 9) | damaged_graphs.ids | damaged_graphs.values,
    },
    optional={
        "language": st.sampled_from(["en", "zh"]) | damaged_graphs.values,
        "target_card": st.sampled_from(["auto", "24 GiB"]) | damaged_graphs.texts | damaged_graphs.values,
        "more": damaged_graphs.values,
    },
)
watches = st.fixed_dictionaries(
    {"client": st.just("a") | damaged_graphs.values, "rate_hz": damaged_graphs.numbers | damaged_graphs.values},
    optional={"record": damaged_graphs.values},
)
deletes = st.dictionaries(
    st.sampled_from(["ids", "card", "all", "more"]),
    st.lists(damaged_graphs.numbers | st.integers(-2, 10), max_size=3) | damaged_graphs.values,
    max_size=3,
)
writers = st.sampled_from([text_of] * 6 + [lambda value: cut(text_of(value)), lambda value: utf16(text_of(value))])
extremes = (b"[" * 60_000, b'{"a":' * 9000, b"NaN", b"\xef\xbb\xbf{}", b" " * 70_000)
raw = st.binary(max_size=60) | st.sampled_from(extremes)
headers = st.fixed_dictionaries(
    {
        "Content-Type": st.sampled_from(["application/json"] * 6 + [
            "application/json; charset=utf-7", "application/json;charset=", "text/json", "multipart/form-data", "\xe9",
            "application/json, text/html", "x", "application/x-www-form-urlencoded", "application/json; charset=x\xe9",
        ]),
    },
    optional={
        "Origin": st.sampled_from(["http://127.0.0.1", "null", "http://[", "http://a:99999", "x" * 3000, "\xe9://\xe9"]),
        "Sec-Fetch-Site": st.sampled_from(["same-origin", "none", "cross-site", "\xe9"]),
        "Host": st.sampled_from(["localhost", "a b", "[::1", "x:y:z", "127.0.0.1:99999", "\xe9"]),
        "Content-Encoding": st.sampled_from(["gzip", "deflate", "br", "identity", "x", "gzip, gzip"]),
        "Accept-Encoding": st.sampled_from(["gzip", "*;q=0", "x"]),
    },
)  # fmt: skip
queries = st.dictionaries(
    st.sampled_from(["card", "limit", "more", ""]),
    st.sampled_from(["1", "0", "-1", "10000", "10001", "1e3", "9" * 5000, "\uff11", "NaN", "\0", "\u202e", ""])
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    max_size=3,
)


def judged(site, method, path, **request) -> str:
    """The status of a request, after everything that has to hold was checked."""
    with opened_files() as opened:
        reply = site.ask(method, path, **request)
    assert reply.status < 500, reply.data
    assert [each for each in opened if not in_folders(each, site)] == []
    kind = reply.headers.get("Content-Type", "")
    if reply.status == 200:
        assert kind.startswith("text/csv" if path.endswith(".csv") else "application/json")
        assert len(json.dumps(reply.data)) < MAX_ANSWER
    elif kind.startswith("application/json"):
        assert 0 < len(reply.data["error"]) <= MAX_TEXT
        assert str(site.folder.parent) not in reply.data["error"]
    again = site.predict(after_preflight(cut_silence=True), "3")
    assert (again.status, again.data) == (200, site.usual)
    return str(reply.status)


@cases(80, 60, question=questions)
def test_question_of_a_page(site, question):
    if isinstance(question["node"], int):
        question = question | {"node": damaged_graphs.node_asked(question["graph"], question["node"])}
    return judged(
        site, "POST", "/sonic_guard/predict", data=text_of(question), headers={"Content-Type": "application/json"}
    )


@cases(
    40, 40,
    path=st.sampled_from(["predict", "watch", "history/delete"]),
    body=st.one_of(questions, watches, deletes, damaged_graphs.values), write=writers, sent=headers, query=queries,
    packed=st.booleans(), instead=st.none() | st.none() | st.none() | raw,
)  # fmt: skip
def test_body_of_any_kind(site, path, body, write, sent, query, packed, instead):
    data = write(body) if instead is None else instead
    if packed and sent.get("Content-Encoding") == "gzip":
        data = gzip.compress(data)
    return judged(site, "POST", f"/sonic_guard/{path}", data=data, headers=sent, params=query)


@cases(20, 20, path=st.sampled_from(["history", "history.csv"]), sent=headers, query=queries)
def test_history(site, path, sent, query):
    return judged(site, "GET", f"/sonic_guard/{path}", headers=sent, params=query)
