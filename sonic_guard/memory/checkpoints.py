"""Reads the sizes of a checkpoint's tensors from its header. Nothing is loaded, and no code in the file is executed.

A checkpoint from the internet is not trusted: the number of bytes read is limited, everything described has to be
present, and the data of two tensors may not overlap.

Formats
-------
safetensors
    Eight bytes with the length of a JSON header, the header (dtype, shape and offsets of every tensor), the data.
    https://github.com/huggingface/safetensors#format
torch
    A zip: ``<name>/data.pkl`` describes the tensors, each ``<name>/data/<key>`` holds one storage. The description is a
    pickle program; here its instructions are parsed, never executed. torch does not compress the members.
"""

import json
import math
import os
import pickletools
import re
import zipfile
from collections import Counter, deque
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from ..errors import WeightsError
from ..plain_files import open_plain, shown

MAX_HEADER_BYTES = 8 * 2**20
"""Longest header, description or directory that is read; parsing takes seconds at worst. Sonic's UNet has 300 kB."""
MAX_DIMENSIONS = 64
"""Most dimensions of a tensor, as in torch."""

_ZIP_MAGIC = b"PK\x03\x04"
_ZIP_ENTRY_BYTES = 30
"""Smallest size of the local header before a member's data."""
_DESCRIPTION = re.compile(r"[^/]*/data\.pkl")

_SAFETENSORS_BITS = {
    "BOOL": 8, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8,
    "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8, "I16": 16, "U16": 16, "F16": 16, "BF16": 16, "I32": 32, "U32": 32, "F32": 32,
    "C64": 64, "F64": 64, "I64": 64, "U64": 64,
}  # fmt: skip
"""https://github.com/huggingface/safetensors/blob/main/safetensors/src/tensor.rs"""
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
    """The sizes in a checkpoint's header."""

    parameters: int
    """Numbers stored, including buffers; storages shared by several tensors count once."""
    bytes: int
    """Size of these numbers in the file."""
    dtypes: Mapping[str, int]
    """`parameters` by number format, the most frequent first: {"fp16": 1575741162}."""


class _Storage(NamedTuple):
    dtype: str
    numbers: int
    bytes: int


class _Class(NamedTuple):
    """A class named in a description; a type of its own, so that no constant can be confused with it."""

    name: str


class _UnusableError(Exception):
    """A defect of a checkpoint, and what the user can do about it."""

    def __init__(self, fault: str, advice: str = "Download it again.") -> None:
        super().__init__(f"{fault}. {advice}")


def read_header(path: str | os.PathLike[str]) -> Weights:
    """The sizes of the checkpoint at `path`: safetensors, or torch's zip (.pth, .pt, .ckpt, since torch 1.6).

    The format is recognised by content, not by name. Raises `WeightsError` if it is not a plain file, is truncated,
    damaged or inconsistent, has no tensors, or is in a format without a header, such as torch's before 1.6.
    """
    with open_plain(path, WeightsError, "a checkpoint") as file:
        path = Path(path).absolute()
        try:
            start = file.read(9)
            if start.startswith(_ZIP_MAGIC):
                storages = _torch(file)
            elif start[8:] == b"{":
                storages = _safetensors(file)
            else:
                raise _UnusableError(
                    "is neither safetensors nor a checkpoint of torch 1.6 or later",
                    "If it is an older checkpoint, load it in torch and save it again.",
                )
            weights = _summed(storages)
        except OSError as error:
            raise WeightsError(f"{shown(path)}: cannot be read ({error.strerror or error}).", path=path) from error
        except _UnusableError as error:
            raise WeightsError(f"{shown(path)}: {error}", path=path) from error
    return weights


def _safetensors(file: BinaryIO) -> list[_Storage]:
    file.seek(0)
    length = int.from_bytes(file.read(8), "little")
    if length > MAX_HEADER_BYTES:
        raise _UnusableError(f"its header claims {length} bytes")
    header = file.read(length)
    data_bytes = file.seek(0, os.SEEK_END) - 8 - length
    if data_bytes < 0:
        raise _UnusableError("it is cut off inside its header")
    try:
        entries = json.loads(header.decode())
        tensors = sorted(_tensor(entry) for name, entry in entries.items() if name != "__metadata__")
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise _UnusableError("its header is not a list of tensors") from error
    end = 0
    for tensor in tensors:
        if tensor.start != end:
            raise _UnusableError("its tensors overlap, or leave gaps")
        end = tensor.end
    if end != data_bytes:
        raise _UnusableError(f"its header describes {end} bytes of data, and there are {data_bytes}")
    return [tensor.storage() for tensor in tensors]


class _Tensor(NamedTuple):
    """An entry of a safetensors header."""

    start: int
    end: int
    dtype: str
    shape: tuple[int, ...]

    def storage(self) -> _Storage:
        """Its storage. Raises `_UnusableError` if its shape does not match its bytes."""
        if self.dtype not in _SAFETENSORS_BITS:
            raise _UnusableError(f"{self.dtype:.20} is an unknown number format")
        numbers, size = math.prod(self.shape), self.end - self.start
        if numbers * _SAFETENSORS_BITS[self.dtype] != 8 * size:
            raise _UnusableError(f"the shape of a tensor is not that of its {size} bytes")
        return _Storage(_SAFETENSORS_NAMES.get(self.dtype) or self.dtype.lower(), numbers, size)


def _tensor(entry: Mapping[str, Any]) -> _Tensor:
    """One tensor of a safetensors header. Raises `ValueError`, `TypeError` or `KeyError` for anything else."""
    (start, end), shape, dtype = entry["data_offsets"], entry["shape"], entry["dtype"]
    if not isinstance(dtype, str) or len(shape) > MAX_DIMENSIONS:
        raise ValueError("impossible tensor")
    if not all(type(number) is int and 0 <= number < 2**63 for number in (start, end, *shape)) or start > end:
        raise ValueError("impossible tensor")
    return _Tensor(start, end, dtype, tuple(shape))


def _torch(file: BinaryIO) -> list[_Storage]:
    try:
        with zipfile.ZipFile(_Bounded(file)) as archive:  # pyright: ignore[reportArgumentType]  # has the used methods
            members = archive.infolist()
            sizes = _sizes(members, file.seek(0, os.SEEK_END))
            description = next((name for name in sizes if _DESCRIPTION.fullmatch(name)), None)
            if description is None:
                raise _UnusableError("it is a zip, but not one that torch.save wrote", "Choose the checkpoint.")
            if sizes[description] > MAX_HEADER_BYTES:
                raise _UnusableError(f"its description claims {sizes[description]} bytes")
            program = archive.read(description)
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, ValueError, OverflowError) as error:
        raise _UnusableError(f"it is a zip that is cut off or broken ({error!s:.80})") from error
    storages: dict[str, _Storage] = {}
    try:
        for key, storage in _storages(program):
            if storages.setdefault(key, storage) != storage:
                raise ValueError(f"storage {key:.20} is described in two ways")
    except ValueError as error:
        raise _UnusableError(f"the description of its tensors makes no sense ({error!s:.80})") from error
    folder = description.removesuffix("data.pkl") + "data/"
    for key, storage in storages.items():
        if sizes.get(folder + key) != storage.bytes:
            raise _UnusableError(f"storage {key:.20} should have {storage.bytes} bytes")
    return list(storages.values())


class _Bounded:
    """A file for `zipfile` with limited reads: otherwise it reads a directory of any claimed size at once."""

    def __init__(self, file: BinaryIO) -> None:
        self.seek, self.tell, self.seekable = file.seek, file.tell, file.seekable
        self._file = file

    def read(self, size: int = -1) -> bytes:
        """Read at most `MAX_HEADER_BYTES`. `zipfile` reads without a size only within the last 64 KiB."""
        if size > MAX_HEADER_BYTES:
            raise zipfile.BadZipFile(f"{size} bytes of description")
        return self._file.read(MAX_HEADER_BYTES if size < 0 else size)


def _sizes(members: list[zipfile.ZipInfo], file_bytes: int) -> dict[str, int]:
    """The members' sizes by name. Raises `_UnusableError` if they overlap or do not fit into `file_bytes`."""
    sizes = {member.filename: member.file_size for member in members}
    if len(sizes) < len(members):
        raise _UnusableError("it is a zip with two members of one name")
    end = 0
    for member in sorted(members, key=lambda each: each.header_offset):
        if member.compress_type != zipfile.ZIP_STORED or member.file_size != member.compress_size:
            raise _UnusableError("it is a compressed zip", "Load it in torch and save it again.")
        if member.header_offset < end:
            raise _UnusableError("it is a zip whose members overlap")
        end = member.header_offset + _ZIP_ENTRY_BYTES + member.file_size
    if end > file_bytes:
        raise _UnusableError("it is a zip that is cut off")
    return sizes


def _storages(program: bytes) -> Iterator[tuple[str, _Storage]]:
    """The key and storage of each tensor in a description; a shared storage is repeated for each of its tensors.

    torch writes a storage as the constants ("storage", class, key, device, numbers) and the instruction BINPERSID.
    Constants used before come from the pickle's memo. Other instructions do not have to be interpreted.
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
            case "GLOBAL":
                constants.append(_Class(str(argument).split(" ")[-1]))
            case "STACK_GLOBAL":
                if len(constants) < 2:
                    raise ValueError("a class without a name")
                name = constants.pop()
                constants[-1] = _Class(name if isinstance(name, str) else "")
            case "BINPERSID":
                yield _storage(list(constants)[-5:])
            case _ if argument is not None:
                constants.append(argument)


def _storage(constants: list[Any]) -> tuple[str, _Storage]:
    match constants:
        case ["storage", _Class(name), str(key), str(), int(numbers)] if 0 <= numbers < 2**63:
            pass
        case _:
            raise ValueError("what should be a storage is none")
    if name not in _TORCH_STORAGES:
        raise ValueError(f"{name:.20} is of an unknown number format")
    dtype, size = _TORCH_STORAGES[name]
    return key, _Storage(dtype, numbers, numbers * size)


def _summed(storages: Collection[_Storage]) -> Weights:
    dtypes = Counter[str]()
    for storage in storages:
        dtypes[storage.dtype] += storage.numbers
    if not dtypes.total():
        raise _UnusableError("there are no tensors in it", "Choose the file with the weights.")
    return Weights(dtypes.total(), sum(storage.bytes for storage in storages), dict(dtypes.most_common()))
