"""What other nodes may hand to ours: tensors of any kind, sounds, and values for widgets.

ComfyUI checks no value that comes over a link. A failing example prints as the call that makes it, such as
``tensor((1, 8, 8, 3), fill=nan)``, so that it can become a test.
"""

from decimal import Decimal
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np
import skimage.data
import torch
from hypothesis import strategies as st

NAN, INF = float("nan"), float("inf")
DTYPES = (
    *("float32", "float32", "float32", "float64", "float16", "bfloat16", "float8_e4m3fn", "uint8", "int64", "bool"),
    *("complex64", "int8", "uint16"),
)
FORMS = (
    *("plain", "plain", "plain", "transposed", "every second", "expanded", "needs grad", "parameter"),
    *("sparse", "csr", "meta", "numpy", "numpy backwards", "numpy object", "fortran"),
)
MOST = 1 << 19
"""Numbers in a tensor; a few megabytes at most."""


def tensor(shape: tuple[int, ...], fill: float | str = 0.5, dtype: str = "float32", form: str = "plain") -> Any:
    """A tensor or array of a shape: all of its numbers `fill`, or noise in 0 … 1, or noise with one NaN ("hole")."""
    if isinstance(fill, str):
        made = torch.rand(shape, generator=torch.Generator().manual_seed(0))
        if fill == "hole" and made.numel():
            made.view(-1)[made.numel() // 2] = NAN
    else:
        made = torch.full(shape, fill, dtype=torch.float64)
    made = made.to(getattr(torch, dtype))
    match form:
        case "transposed":
            return made.transpose(0, -1).contiguous().transpose(0, -1) if made.ndim else made
        case "every second":
            return made.repeat_interleave(2, -1)[..., ::2] if made.ndim and dtype != "float8_e4m3fn" else made
        case "expanded":
            return made[:1].expand(made.shape) if made.ndim and made.numel() else made
        case "needs grad":
            return made.requires_grad_() if made.is_floating_point() or made.is_complex() else made
        case "parameter":
            return torch.nn.Parameter(made, requires_grad=False)
        case "sparse":
            return made.to_sparse() if dtype not in ("float8_e4m3fn", "uint16") else made
        case "csr":
            return made.to_sparse_csr() if made.ndim == 2 and dtype in ("float32", "float64") else made
        case "meta":
            return made.to("meta")
    if not form.startswith("numpy") and form != "fortran" or dtype in ("bfloat16", "float8_e4m3fn"):
        return made
    array = made.numpy()
    match form:
        case "numpy backwards":
            return array[tuple(slice(None, None, -1) for _ in array.shape)]
        case "numpy object":
            return array.astype(object)
        case "fortran":
            return np.asfortranarray(array)
    return array


@cache
def _astronaut() -> np.ndarray:
    return skimage.data.astronaut()[:256:2, 128:384:2]


def portrait(side: int = 128, dtype: str = "float32") -> torch.Tensor:
    """A face, in an IMAGE of one."""
    picture = torch.from_numpy(_astronaut().copy()).float().div(255)[None]
    return picture[:, :side, :side].to(getattr(torch, dtype))


def tone(seconds: float, rate: int = 16_000, channels: int = 1) -> dict[str, Any]:
    """An AUDIO that is one."""
    samples = round(seconds * rate)
    wave = 0.5 * np.sin(2 * np.pi * 220 * np.arange(samples) / rate, dtype=np.float32)
    return {"waveform": torch.from_numpy(wave).expand(1, channels, -1), "sample_rate": rate}


def _small(shape: tuple[int, ...]) -> bool:
    return int(np.prod(shape, dtype=np.float64)) <= MOST


_fills = st.sampled_from([0.5, 0.0, 1.0, "noise", "noise", "hole", NAN, INF, -INF, 1e38, -1e30, 1e-45, 255.0, -1.0])
_sides = st.sampled_from([0, 1, 2, 3, 7, 31, 64, 100, 129])
_image_shapes = st.one_of(
    st.tuples(st.sampled_from([0, 1, 1, 1, 2, 5]), _sides, _sides, st.sampled_from([0, 1, 2, 3, 3, 3, 4, 4, 5, 64])),
    st.tuples(_sides, _sides, st.sampled_from([1, 3, 4])),
    st.lists(st.sampled_from([0, 1, 2, 3, 4, 17]), max_size=6).map(tuple),
    st.sampled_from([(1, 1, 3000, 3), (1, 3000, 1, 3), (1, 1, 140_000, 3), (1, 1, 1, 3), (300, 1, 1, 3)]),
).filter(_small)
_wave_shapes = st.one_of(
    st.tuples(st.sampled_from([0, 1, 1, 2]), st.sampled_from([0, 1, 2, 65]), st.sampled_from([0, 1, 2, 99, 8000])),
    st.lists(st.sampled_from([0, 1, 2, 3, 700]), max_size=5).map(tuple),
).filter(_small)
_dtypes, _forms = st.sampled_from(DTYPES), st.sampled_from(FORMS)

anything = st.one_of(
    st.sampled_from([None, True, False, 0, 1, -1, 2**31, -(2**63), 2**64, 10**400, -(10**5000), 0.5, NAN, INF, -INF]),
    st.sampled_from([1e308, 5e-324, -0.0, 12.5, 1 + 1j, Decimal("NaN"), Fraction(1, 3), b"fast", (), [], {}, set()]),
    st.sampled_from(["", " ", "\0", "\ud800", "nan", "auto", "9" * 5000, "1e999", "../../x", "fast", "None", "\n\n"]),
    st.builds(lambda text, times: text * times, st.sampled_from(["x", "é漢", "a+", "1,", " "]), st.just(100_000)),
    st.sampled_from([np.int64(3), np.float32(0.5), np.float64(NAN), np.bool_(True), np.str_("fast"), np.int8(-1)]),
    st.builds(np.zeros, st.sampled_from([(), (1,), (2, 3)])),
    st.builds(torch.ones, st.sampled_from([(), (1,), (2, 3)])),
    st.integers() | st.floats() | st.text(max_size=30),
    st.lists(st.integers() | st.text(max_size=5), max_size=5) | st.dictionaries(st.text(max_size=5), st.integers()),
)
"""Values for any input."""

tensors = st.builds(tensor, _image_shapes, _fills, _dtypes, _forms)
usable = st.builds(
    tensor,
    st.tuples(st.integers(1, 3), *2 * [st.sampled_from([1, 2, 64, 100, 129])], st.sampled_from([1, 3, 3, 4])),
    st.sampled_from([0.5, 0.0, "noise", 1e38, -1e30, 1e-45, 255.0]),
    st.sampled_from(["float32", "float32", "float64", "float16", "bfloat16"]),
    st.sampled_from(["plain", "transposed", "every second", "expanded", "needs grad", "parameter"]),
)
"""IMAGEs that are odd and no fault."""
images = st.one_of(
    st.builds(portrait),
    usable,
    usable,
    st.builds(portrait, st.integers(1, 128), st.sampled_from(["float16", "bfloat16", "float64"])),
    st.builds(tensor, _image_shapes, _fills, form=_forms),
    tensors,
)
"""Values for an IMAGE."""

_waveforms = st.builds(tensor, _wave_shapes, _fills, _dtypes, _forms) | anything
_rates = st.sampled_from([16_000, 44_100, 48_000, 8000, 1, 0, -1, 7, 10**6, 10**9, 10**18, 10**400, 192_000]) | anything
sounds = st.one_of(
    st.builds(tone, st.floats(0.01, 3), st.sampled_from([16_000, 44_100, 22_050]), st.sampled_from([1, 2])),
    st.builds(tone, st.floats(0.01, 3)),
    st.fixed_dictionaries({"waveform": st.builds(tensor, _wave_shapes, _fills, form=_forms), "sample_rate": _rates}),
    st.fixed_dictionaries(
        {}, optional={"waveform": _waveforms, "sample_rate": _rates, "path": st.text(), 3: st.none()}
    ),
)
"""Values for an AUDIO."""


def fingerprint(value: Any) -> Any:
    """A digest that shows whether a value was changed."""
    if isinstance(value, torch.Tensor):
        if value.is_meta:
            return "meta", value.shape
        layout = str(value.layout)
        dense = value.detach().to_dense() if layout != "torch.strided" else value.detach()
        raw = torch.empty(dense.numel(), dtype=dense.dtype).copy_(dense.reshape(-1)).view(torch.uint8)
        return layout, value.shape, value.dtype, value.requires_grad, value.device, raw.numpy().tobytes()
    if isinstance(value, np.ndarray):
        return value.shape, value.dtype, value.tolist() if value.dtype == object else value.tobytes()
    if isinstance(value, dict):
        return [(key, fingerprint(each)) for key, each in value.items()]
    if isinstance(value, (list, tuple)):
        return [fingerprint(each) for each in value]
    return id(value)
