"""What a checkpoint holds, told from its header: nothing is loaded, and nothing in the file is executed.

Formats
-------
safetensors
    Eight bytes with the length of a JSON header, the header (dtype, shape and place of every tensor), the data.
    https://github.com/huggingface/safetensors#format
torch
    A zip: ``<name>/data.pkl`` describes the tensors, ``<name>/data/<key>`` holds one storage each. The
    description is a program for a stack machine; here its instructions are read, never run.
"""

import json
import math
import pickletools
import re
import zipfile
import zlib
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from ..errors import WeightsError

MAX_HEADER_BYTES = 100_000_000
"""Longest description read; safetensors' own limit. That of Sonic's UNet has some 300 kB."""

_ZIP_MAGIC = b"PK\x03\x04"
_DESCRIPTION = re.compile(r"[^/]*/data\.pkl")

_SAFETENSORS_NAMES = {"F64": "fp64", "F32": "fp32", "F16": "fp16", "BF16": "bf16", "BOOL": "bool"}

_TORCH_STORAGES = {
    "DoubleStorage": ("fp64", 8),
    "FloatStorage": ("fp32", 4),
    "HalfStorage": ("fp16", 2),
    "BFloat16Storage": ("bf16", 2),
    "LongStorage": ("int64", 8),
    "IntStorage": ("int32", 4),
    "ShortStorage": ("int16", 2),
    "CharStorage": ("int8", 1),
    "ByteStorage": ("uint8", 1),
    "BoolStorage": ("bool", 1),
    "ComplexFloatStorage": ("complex64", 8),
    "ComplexDoubleStorage": ("complex128", 16),
    "UntypedStorage": ("untyped", 1),  # how torch saves fp8 and its other newer types
}


@dataclass(frozen=True)
class Weights:
    """The sizes a checkpoint's header tells."""

    parameters: int
    """Numbers stored, buffers included; what several tensors share counts once."""
    bytes: int
    """Bytes these numbers have in the file."""
    dtypes: Mapping[str, int]
    """`parameters` by number format, the most frequent first: {"fp16": 1575741162}."""


class _Storage(NamedTuple):
    dtype: str
    numbers: int
    bytes: int


def read_header(path: str | Path) -> Weights:
    """The sizes of the checkpoint at `path`: safetensors, or torch's zip (.pth, .pt, .ckpt, since torch 1.6).

    What the file is decides, not its name. Raises `WeightsError` when there is no such file, when it is cut
    off or damaged, or when it is in a format without a header, such as torch's before 1.6.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            start = file.read(9)
            if start.startswith(_ZIP_MAGIC):
                return _read_torch(path, file)
            if start[8:] == b"{":
                return _read_safetensors(path, file)
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read: {error.strerror or error}.") from error
    raise WeightsError(
        f"{path}: is neither safetensors nor a checkpoint of torch 1.6 or later. "
        "If it is an older checkpoint, load it in torch and save it again."
    )


def _read_safetensors(path: Path, file: BinaryIO) -> Weights:
    file.seek(0)
    length = int.from_bytes(file.read(8), "little")
    if length > MAX_HEADER_BYTES:
        raise _damaged(path, f"its header claims {length} bytes")
    header = file.read(length)
    data_bytes = file.seek(0, 2) - 8 - length
    if data_bytes < 0:
        raise _damaged(path, "it is cut off inside its header")
    try:
        tensors = json.loads(header)
        storages = [_tensor(entry) for name, entry in tensors.items() if name != "__metadata__"]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise _damaged(path, "its header is not a list of tensors") from error
    described_bytes = sum(storage.bytes for storage in storages)
    if described_bytes != data_bytes:
        raise _damaged(path, f"its header describes {described_bytes} bytes of data, and there are {data_bytes}")
    return _summed(storages)


def _tensor(entry: Mapping[str, Any]) -> _Storage:
    """One tensor of a safetensors header; for what is none, the exception that the attempt raises."""
    start, end = entry["data_offsets"]
    shape, name = entry["shape"], entry["dtype"]
    if not all(isinstance(number, int) and number >= 0 for number in (start, end - start, *shape)):
        raise ValueError(f"impossible tensor {entry}")
    return _Storage(_SAFETENSORS_NAMES.get(name) or name.lower(), math.prod(shape), end - start)


def _read_torch(path: Path, file: BinaryIO) -> Weights:
    try:
        with zipfile.ZipFile(file) as archive:
            sizes = {member.filename: member.file_size for member in archive.infolist()}
            description = next((name for name in sizes if _DESCRIPTION.fullmatch(name)), None)
            if description is None:
                raise WeightsError(f"{path}: is a zip, but not one that torch.save wrote.")
            if sizes[description] > MAX_HEADER_BYTES:
                raise _damaged(path, f"its description claims {sizes[description]} bytes")
            program = archive.read(description)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise _damaged(path, f"it is a zip that is cut off or broken ({error})") from error
    try:
        storages = dict(_storages(program))
    except ValueError as error:
        raise _damaged(path, f"the description of its tensors makes no sense ({error})") from error
    folder = description.removesuffix("data.pkl") + "data/"
    for key, storage in storages.items():
        if sizes.get(folder + key) != storage.bytes:
            raise _damaged(path, f"storage {key} should have {storage.bytes} bytes")
    return _summed(storages.values())


def _storages(program: bytes) -> Iterator[tuple[str, _Storage]]:
    """The key and size of each storage a description names; a shared one comes once for each of its tensors.

    torch writes a storage as the constants ("storage", class, key, device, numbers) and the instruction
    BINPERSID. Constants it has used before come from a memo, so that is all of the machine to follow.
    """
    constants: deque[Any] = deque([None], maxlen=8)
    memo: dict[Any, Any] = {}
    for opcode, argument, _ in pickletools.genops(program):
        match opcode.name:
            case "BINPUT" | "LONG_BINPUT":
                memo[argument] = constants[-1]
            case "MEMOIZE":
                memo[len(memo)] = constants[-1]
            case "BINGET" | "LONG_BINGET":
                constants.append(memo.get(argument))
            case "STACK_GLOBAL":
                name = constants.pop()
                constants.append(f"{constants.pop()} {name}")
            case "BINPERSID":
                yield _storage(list(constants)[-5:])
            case _ if argument is not None:
                constants.append(argument)


def _storage(constants: list[Any]) -> tuple[str, _Storage]:
    match constants:
        case ["storage", str(kind), str(key), str(), int(numbers)] if numbers >= 0:
            class_name = kind.split(" ")[-1]
        case _:
            raise ValueError(f"{constants} is not a storage")
    if class_name not in _TORCH_STORAGES:
        raise ValueError(f"{class_name} is of an unknown number format")
    dtype, size = _TORCH_STORAGES[class_name]
    return key, _Storage(dtype, numbers, numbers * size)


def _summed(storages: Iterable[_Storage]) -> Weights:
    storages = list(storages)
    dtypes = Counter[str]()
    for storage in storages:
        dtypes[storage.dtype] += storage.numbers
    return Weights(dtypes.total(), sum(storage.bytes for storage in storages), dict(dtypes.most_common()))


def _damaged(path: Path, what: str) -> WeightsError:
    return WeightsError(f"{path}: {what}. Download it again.")
