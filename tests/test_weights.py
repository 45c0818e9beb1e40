"""Sizes and number formats from the header alone, held against files torch and safetensors really wrote."""

import json
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from sonic_guard.errors import WeightsError
from sonic_guard.vram.weights import Weights, read_header

REPO = Path(__file__).resolve().parent.parent
FORMATS = {
    "fp16": torch.float16,
    "bf16": torch.bfloat16,
    "fp32": torch.float32,
    "fp64": torch.float64,
    "int64": torch.int64,
    "uint8": torch.uint8,
    "bool": torch.bool,
}


@pytest.mark.parametrize(("name", "dtype"), FORMATS.items())
def test_a_torch_checkpoint_tells_its_parameters_bytes_and_format(tmp_path, name, dtype):
    path = tmp_path / "unet.pth"
    torch.save({"a": torch.zeros(3, 5, dtype=dtype), "b": torch.zeros(7, dtype=dtype)}, path)
    assert read_header(path) == Weights(22, 22 * dtype.itemsize, {name: 22})


@pytest.mark.parametrize(("name", "dtype"), [item for item in FORMATS.items() if item[0] not in ("int64", "uint8")])
def test_a_safetensors_checkpoint_tells_the_same(tmp_path, name, dtype):
    path = tmp_path / "unet.safetensors"
    save_file({"a": torch.zeros(3, 5, dtype=dtype), "b": torch.zeros(7, dtype=dtype)}, path, metadata={"format": "pt"})
    assert read_header(path) == Weights(22, 22 * dtype.itemsize, {name: 22})


def test_mixed_formats_are_counted_apart_the_most_frequent_first(tmp_path):
    tensors = {"step": torch.zeros(2, dtype=torch.float32), "weight": torch.zeros(9, dtype=torch.float16)}
    torch.save(tensors, tmp_path / "a.ckpt")
    save_file(tensors, tmp_path / "a.safetensors")
    for path in tmp_path.iterdir():
        weights = read_header(path)
        assert weights == Weights(11, 26, {"fp16": 9, "fp32": 2})
        assert list(weights.dtypes) == ["fp16", "fp32"]


def test_what_tensors_share_counts_once(tmp_path):
    path, shared = tmp_path / "tied.pt", torch.zeros(10, 4)
    torch.save({"embed": shared, "head": shared, "view": shared[:2], "own": torch.zeros(5)}, path)
    assert read_header(path) == Weights(45, 180, {"fp32": 45})


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_every_protocol_torch_writes_is_read(tmp_path, protocol):
    path = tmp_path / "unet.pth"
    torch.save({"a": torch.zeros(6), "b": torch.zeros(300, 300).half()}, path, pickle_protocol=protocol)
    assert read_header(path) == Weights(90_006, 180_024, {"fp16": 90_000, "fp32": 6})


def test_a_whole_network_with_its_other_state_is_read(tmp_path):
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.BatchNorm2d(8)).to(torch.bfloat16)
    path = tmp_path / "training.ckpt"
    torch.save({"state_dict": net.state_dict(), "epoch": 3, "lr": 1e-4, "notes": ["a", None]}, path)
    floats = sum(t.numel() for t in net.state_dict().values() if t.is_floating_point())
    assert read_header(path).dtypes == {"bf16": floats, "int64": 1}


def test_fp8_which_torch_saves_without_its_type_still_has_its_size(tmp_path):
    torch.save({"a": torch.zeros(8, dtype=torch.float8_e4m3fn)}, tmp_path / "fp8.pth")
    save_file({"a": torch.zeros(8, dtype=torch.float8_e4m3fn)}, tmp_path / "fp8.safetensors")
    assert read_header(tmp_path / "fp8.pth") == Weights(8, 8, {"untyped": 8})
    assert read_header(tmp_path / "fp8.safetensors") == Weights(8, 8, {"f8_e4m3": 8})


def test_a_checkpoint_without_tensors_has_no_weights(tmp_path):
    torch.save({"epoch": 3}, tmp_path / "empty.pth")
    save_file({}, tmp_path / "empty.safetensors")
    assert read_header(tmp_path / "empty.pth") == read_header(tmp_path / "empty.safetensors") == Weights(0, 0, {})


def test_the_content_decides_not_the_suffix(tmp_path):
    path = tmp_path / "really_torch.safetensors"
    torch.save({"a": torch.zeros(4)}, path)
    assert read_header(str(path)).parameters == 4


class _Trap:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_a_malicious_checkpoint_is_read_but_not_obeyed(tmp_path):
    path, sprung = tmp_path / "evil.pth", tmp_path / "sprung"
    torch.save({"a": torch.zeros(4), "evil": _Trap(sprung)}, path)
    assert read_header(path).parameters == 4
    assert not sprung.exists()
    torch.load(path, weights_only=False)
    assert sprung.exists()


def _legacy(path):
    torch.save({"a": torch.zeros(4)}, path, _use_new_zipfile_serialization=False)


def _other_zip(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("word/document.xml", "<hello/>")


def _without_storage(path):
    torch.save({"a": torch.zeros(4)}, path)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist() if not name.endswith("data/0")}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def _unknown_storage(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(
            "a/data.pkl",
            b"\x80\x02(X\x07\x00\x00\x00storagectorch\nOddStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x04tQ.",
        )


def _safetensors(header, data=b""):
    header = header if isinstance(header, bytes) else json.dumps(header).encode()
    return lambda path: path.write_bytes(len(header).to_bytes(8, "little") + header + data)


def _cut(write, keep):
    def cut(path):
        write(path)
        content = path.read_bytes()
        path.write_bytes(content[: int(len(content) * keep)])

    return cut


def _torch(path):
    torch.save({"a": torch.zeros(4000)}, path)


def _real_safetensors(path):
    save_file({"a": torch.zeros(4000)}, path)


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda path: path.write_bytes(b""), "neither safetensors nor"),
        (lambda path: path.write_bytes(b"not a checkpoint at all"), "neither safetensors nor"),
        (lambda path: path.write_bytes(pickle.dumps({"a": 1})), "neither safetensors nor"),
        (lambda path: path.mkdir(), "cannot be read"),
        (lambda path: None, "No such file"),
        (_legacy, "older checkpoint.*save it again"),
        (_other_zip, "not one that torch.save wrote"),
        (_without_storage, "storage 0 should have 16 bytes"),
        (_unknown_storage, "OddStorage is of an unknown number format"),
        (_cut(_torch, 0.5), "cut off"),
        (_cut(_real_safetensors, 0.5), "describes 16000 bytes of data"),
        (_cut(_real_safetensors, 0.002), "cut off inside its header"),
        (_safetensors(b"{" * 40), "not a list of tensors"),
        (_safetensors(b'{"a":' + b"[" * 100_000), "not a list of tensors"),
        (_safetensors({"a": 3}), "not a list of tensors"),
        (_safetensors({"a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}}), "not a list of tensors"),
        (_safetensors({"a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 0]}}), "not a list of tensors"),
        (_safetensors({"a": {"dtype": "F32", "shape": ["x"], "data_offsets": [0, 4]}}), "not a list of tensors"),
        (_safetensors({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}, b"12345678"), "there are 8"),
        (lambda path: path.write_bytes(b"\xff" * 8 + b"{}"), "header claims"),
    ],
)
def test_what_cannot_be_read_is_named_with_its_reason(tmp_path, write, message):
    path = tmp_path / "unet.pth"
    write(path)
    with pytest.raises(WeightsError, match=message) as caught:
        read_header(path)
    assert str(caught.value).startswith(str(path))


@pytest.mark.parametrize("write", [_torch, _real_safetensors])
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.data())
def test_whatever_is_damaged_the_answer_is_sizes_or_a_clear_error(tmp_path, write, data):
    path = tmp_path / "damaged"
    write(path)
    content = bytearray(path.read_bytes())
    # The header of the one and the directory of the other are what the reader looks at.
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.one_of(st.integers(0, 700), st.integers(-1200, -1)))
        content[place] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    try:
        assert read_header(path).parameters >= 0
    except WeightsError as error:
        assert str(error).startswith(str(path))


def test_reading_needs_no_torch(tmp_path):
    _torch(tmp_path / "unet.pth")
    code = """
import sys
from sonic_guard.vram.weights import read_header
assert read_header(sys.argv[1]).parameters == 4000
print(*({"torch", "safetensors"} & sys.modules.keys()))
"""
    run = subprocess.run([sys.executable, "-c", code, tmp_path / "unet.pth"], cwd=REPO, capture_output=True, text=True)
    assert (run.stdout.strip(), run.stderr) == ("", "")
