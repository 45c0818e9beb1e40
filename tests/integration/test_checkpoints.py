"""Sizes and number formats from the header alone, held against files torch and safetensors really wrote."""

import json
import os
import pickle
import pickletools
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from sonic_guard.errors import WeightsError
from sonic_guard.memory.checkpoints import MAX_HEADER_BYTES, Weights, read_header

REPO = Path(__file__).resolve().parents[2]
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
def test_a_torch_checkpoint_reports_its_parameters_bytes_and_format(tmp_path, name, dtype):
    path = tmp_path / "unet.pth"
    torch.save({"a": torch.zeros(3, 5, dtype=dtype), "b": torch.zeros(7, dtype=dtype)}, path)
    assert read_header(path) == Weights(22, 22 * dtype.itemsize, {name: 22})


@pytest.mark.parametrize(("name", "dtype"), [item for item in FORMATS.items() if item[0] not in ("int64", "uint8")])
def test_a_safetensors_checkpoint_reports_the_same(tmp_path, name, dtype):
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


def test_the_content_decides_not_the_suffix(tmp_path):
    path = tmp_path / "really_torch.safetensors"
    torch.save({"a": torch.zeros(4)}, path)
    assert read_header(str(path)).parameters == 4


class _Trap:
    """Creates a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_a_malicious_checkpoint_is_read_but_not_executed(tmp_path):
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


def _f32(start, end, *shape):
    return {"dtype": "F32", "shape": shape, "data_offsets": [start, end]}


def _zip(program, *members, compression=zipfile.ZIP_STORED):
    """A torch checkpoint with `program` as its description and `members` of 16 bytes."""

    def write(path):
        with zipfile.ZipFile(path, "w", compression) as archive:
            archive.writestr("a/data.pkl", program)
            for name in members:
                archive.writestr(name, bytes(16))

    return write


def _text(text):
    return b"X" + struct.pack("<I", len(text)) + text


def _stored(key=b"0", numbers=b"K\x04", kind=b"ctorch\nFloatStorage\n"):
    """The instructions that name a storage, as torch writes them."""
    return b"(" + _text(b"storage") + kind + _text(key) + _text(b"cpu") + numbers + b"tQ"


def _twice(path):
    with pytest.warns(UserWarning, match="Duplicate name"):
        _zip(b"\x80\x02" + _stored() + b".", "a/data/0", "a/data/0")(path)


def _overlapping(path):
    """Two members of a zip that are the same bytes of it."""
    _zip(b"\x80\x02" + _stored(b"0") + _stored(b"1") + b".", "a/data/0", "a/data/1")(path)
    content = path.read_bytes()
    first, second = (content.rindex(b"a/data/" + key) - 46 + 42 for key in (b"0", b"1"))
    path.write_bytes(content[:second] + content[first : first + 4] + content[second + 4 :])


def _lzma(path):
    _zip(b"\x80\x02" + _stored() * 100 + b".", "a/data/0", compression=zipfile.ZIP_LZMA)(path)
    content = bytearray(path.read_bytes())
    content[60:80] = b"\xff" * 20
    path.write_bytes(content)


def _doubling(steps):
    """A class whose name is a class whose name … each naming the one before twice."""
    program = b"\x80\x04" + _text(b"a" * 10) + b"\x94"
    return program + b"".join(b"h" + bytes([i]) + b"h" + bytes([i]) + b"\x93\x94" for i in range(steps)) + b"Q."


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
        (lambda path: path.mkdir(), "this is a folder, not a checkpoint"),
        (lambda path: None, "there is no such file"),
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
        (_safetensors({"a": _f32(0, 4, -1)}), "not a list of tensors"),
        (_safetensors({"a": _f32(4, 0, 1)}), "not a list of tensors"),
        (_safetensors({"a": _f32(0, 4, "x")}), "not a list of tensors"),
        (_safetensors({"a": _f32(False, 4, True)}, b"1234"), "not a list of tensors"),
        (_safetensors({"a": _f32(0, 4, 1) | {"dtype": ["F32"]}}, b"1234"), "not a list of tensors"),
        (_safetensors({"a": _f32(0, 4, 1)}, b"12345678"), "there are 8"),
        (lambda path: path.write_bytes(b"\xff" * 8 + b"{}"), "header claims"),
        # contradictions
        (_safetensors({"a": _f32(0, 4, 1), "b": _f32(0, 4, 1)}, bytes(8)), "overlap"),
        (_safetensors({"a": _f32(0, 4, 1), "b": _f32(8, 12, 1)}, bytes(12)), "leave gaps"),
        (_safetensors(b'{"a":%b,"a":%b}' % (json.dumps(_f32(0, 4, 1)).encode(), json.dumps(_f32(4, 8, 1)).encode()),
                      bytes(8)), "leave gaps"),
        (_safetensors({"a": _f32(0, 4, 1000)}, bytes(4)), "shape of a tensor is not that of its 4 bytes"),
        (_safetensors({"a": _f32(0, 4, 1) | {"dtype": "F31"}}, bytes(4)), "F31 is an unknown number format"),
        (_twice, "two members of one name"),
        (_overlapping, "members overlap"),
        (_zip(b"\x80\x02" + _stored() + _stored(numbers=b"K\x02") + b".", "a/data/0"), "described in two ways"),
        # nothing in it
        (lambda path: torch.save({"epoch": 3}, path), "there are no tensors in it"),
        (lambda path: save_file({}, path), "there are no tensors in it"),
        (lambda path: save_file({"a": torch.zeros(0)}, path), "there are no tensors in it"),
        # which has to be fast
        (_safetensors({"a": _f32(0, 4, *[10**4000] * 40)}, bytes(4)), "not a list of tensors"),
        (_safetensors({"a": _f32(0, 4, *[1] * 65)}, bytes(4)), "not a list of tensors"),
        (_safetensors(b'{"a":[' + b",".join([b"9" * 4000] * 2700) + b"]}"), "header claims 10802707 bytes"),
        (_zip(b"\x80\x02" + b"0" * 9_000_000 + b".", compression=zipfile.ZIP_DEFLATED), "compressed zip"),
        (_zip(b"\x80\x02" + b"0" * MAX_HEADER_BYTES), "description claims 8388610 bytes"),
        (_lzma, "compressed zip.*save it again"),
        (_zip(b"\x80\x04\x93\x93\x93."), "makes no sense"),
        (_zip(b"\x80\x04K\x01K\x02\x93Q."), "makes no sense"),
        (_zip(_doubling(200)), "makes no sense"),
        (_zip(b"\x80\x02" + _stored(numbers=b"\x8b\xa0\x0f\0\0" + b"\x7f" * 4000) + b"."), "makes no sense"),
        (_zip(b"\x80\x02" + _stored(kind=b"ctorch\n" + b"y" * 10**6 + b"\n") + b"."), "unknown number format"),
        (_zip(b"\x80\x02" + _stored(key=b"y" * 10**6) + b"."), "storage yyy.* should have 16 bytes"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_named_with_its_reason(tmp_path, write, message):
    path = tmp_path / "unet.pth"
    write(path)
    with pytest.raises(WeightsError, match=message) as caught:
        read_header(path)
    text = str(caught.value)
    assert text.startswith("unet.pth: ")
    assert (str(tmp_path) in text, len(text) < 250) == (False, True)
    assert caught.value.path == path


def test_a_zip_with_a_directory_of_many_megabytes_is_not_read(tmp_path):
    path = tmp_path / "unet.pth"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/data.pkl", b"\x80\x02}.")
        for number in range(70_000):
            archive.writestr(f"a/{number:0100}", b"")
    assert 70_000 * 100 < MAX_HEADER_BYTES < path.stat().st_size
    with pytest.raises(WeightsError, match="cut off or broken.*bytes of description"):
        read_header(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes in the file system")
@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (os.mkfifo, "a pipe cannot be read twice: save it to a file"),
        (lambda path: path.symlink_to("/dev/zero"), "this is a device, not a checkpoint"),
    ],
)
def test_what_never_ends_is_not_opened(tmp_path, make, reason):
    make(tmp_path / "unet.pth")
    with pytest.raises(WeightsError, match=f"^unet.pth: {reason}"):
        read_header(tmp_path / "unet.pth")


@pytest.mark.parametrize("write", [_torch, _real_safetensors])
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.data())
def test_whatever_is_damaged_the_answer_is_sizes_or_a_clear_error(tmp_path, write, data):
    path = tmp_path / "damaged"
    write(path)
    content = bytearray(path.read_bytes())
    # The header of the one and the directory of the other are what the reader looks at.
    for _ in range(data.draw(st.integers(1, 4))):
        position = data.draw(st.one_of(st.integers(0, 700), st.integers(-1200, -1)))
        content[position] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    _sizes_or_error(path)


def _sizes_or_error(path):
    """What is read of a file, whatever is in it: what the formats' own libraries read, or a clear error."""
    try:
        weights = read_header(path)
    except WeightsError as error:
        assert str(error).startswith(f"{path.name}: ")
        assert len(str(error)) < 250
        return
    try:
        if path.read_bytes()[8:9] == b"{":
            tensors = load_file(path)
            stored = len(tensors)
        else:
            tensors = torch.load(path, weights_only=True)
            stored = sum("/data/" in name for name in zipfile.ZipFile(path).namelist())
    except Exception as error:  # noqa: BLE001  # more than the sizes is damaged
        assert str(error)
        return
    if not isinstance(tensors, dict) or not all(map(torch.is_tensor, tensors.values())):
        return
    storages = {tensor.untyped_storage().data_ptr(): tensor for tensor in tensors.values()}
    if len(storages) == stored:  # a description may name one and not use it
        sizes = [(tensor.untyped_storage().nbytes(), tensor.element_size()) for tensor in storages.values()]
        assert weights.bytes == sum(size for size, _ in sizes)
        assert weights.parameters == sum(size // each for size, each in sizes)


_NUMBERS = st.sampled_from([0, 1, 2, 3, 4, 8, 12, 16, 2**31, 2**63, 2**64, 10**30, -1, 0.5, True, None, "1"])
_ENTRY = st.fixed_dictionaries(
    {
        "dtype": st.sampled_from(["F32", "F16", "BF16", "U8", "F8_E4M3", "F4", "BOOL", "X", "", 3, None]),
        "shape": st.lists(st.one_of(st.integers(0, 4), _NUMBERS), max_size=4) | st.just("22") | st.none(),
        "data_offsets": st.lists(st.one_of(st.integers(0, 16), _NUMBERS), max_size=3)
        | st.sampled_from([[0, 4], [0, 8], [4, 8], [0, 16]]),
    }
)
_RIGHT = st.sampled_from([_f32(0, 4, 1), _f32(4, 12, 2), _f32(12, 16, 1, 1), _f32(0, 16, 2, 2), _f32(16, 16, 0)])


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(header=st.dictionaries(st.sampled_from("abcd"), _RIGHT | _RIGHT | _ENTRY, max_size=4), size=st.integers(0, 4))
def test_whatever_a_safetensors_header_reports_the_answer_is_right_or_a_clear_error(tmp_path, header, size):
    path = tmp_path / "made"
    _safetensors(header, bytes(4 * size))(path)
    _sizes_or_error(path)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@given(st.data(), st.integers(2, 5))
def test_whatever_a_description_does_the_answer_is_right_or_a_clear_error(tmp_path, data, protocol):
    """Instructions of a real description left out, doubled, moved, or put between."""
    path = tmp_path / "made"
    torch.save({"a": torch.zeros(3), "b": torch.zeros(2).half()}, path, pickle_protocol=protocol)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    program = members["made/data.pkl"]
    starts = [position for _, _, position in pickletools.genops(program)]
    steps = [program[a:b] for a, b in zip(starts, [*starts[1:], None], strict=True)]
    others = st.sampled_from([b"\x93", b"\x94", b"Q", b"h\x00", b"K\x04", b"\x8a\x09" + b"\x7f" * 9, b"0", b"2", b"}"])
    for _ in range(data.draw(st.integers(1, 5))):
        position = data.draw(st.integers(0, len(steps) - 1))
        match data.draw(st.sampled_from(["out", "double", "move", "between"])):
            case "out" if len(steps) > 1:
                steps.pop(position)
            case "double":
                steps.insert(position, steps[position])
            case "move":
                steps.insert(data.draw(st.integers(0, len(steps) - 1)), steps.pop(position))
            case _:
                steps.insert(position, data.draw(others))
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, b"".join(steps) if name == "made/data.pkl" else content)
    _sizes_or_error(path)


def test_a_header_is_read_without_torch(tmp_path):
    _torch(tmp_path / "unet.pth")
    code = """
import sys
from sonic_guard.memory.checkpoints import read_header
assert read_header(sys.argv[1]).parameters == 4000
print(*({"torch", "safetensors"} & sys.modules.keys()))
"""
    run = subprocess.run([sys.executable, "-c", code, tmp_path / "unet.pth"], cwd=REPO, capture_output=True, text=True)
    assert (run.stdout.strip(), run.stderr) == ("", "")
