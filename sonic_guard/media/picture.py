"""Reads pictures: a file or a ComfyUI IMAGE becomes 8-bit RGB arrays, or a `PictureError`.

All other modules use one format: uint8 [H, W, 3], RGB, upright, without alpha.
"""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from os import PathLike
from typing import Any, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError
from PIL.ImageFile import ImageFile
from PIL.TiffImagePlugin import TiffImageFile

from ..errors import PictureError, SonicGuardError
from ..plain_files import shown
from . import jpeg_parts, libav_picture, png_parts
from .byte_source import Content, Stream
from .cancellation import Check, nothing
from .containers import opened

log = logging.getLogger(__name__)
Found = TypeVar("Found")
Rgb: TypeAlias = NDArray[np.uint8]
"""A picture, uint8 [H, W, 3]."""

MAX_PIXELS = 16_384 * 16_384
"""Largest picture accepted: 268 million pixels, 0.75 GiB as RGB. Pillow's own limit is a third of that."""
FORMATS = ("PNG", "JPEG", "MPO", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "PPM")
"""Pillow's names of the formats that are read. EPS is excluded: Pillow runs Ghostscript for it."""
STRIPE_ROWS = 256
"""Rows converted at a time, so that a huge picture is not held in two formats at once."""

_QUARTER_TURNS = frozenset({5, 6, 7, 8})
"""EXIF orientations that swap width and height."""
_TIFF_WIDTH, _TIFF_HEIGHT, _TIFF_BITS = 256, 257, 258
"""Tags of the size as stored, and of the bits of each channel."""
_DEEP_GREY = frozenset({"I", "I;16", "I;16L", "I;16B", "I;16N"})
"""Pillow's modes of 16-bit grey; a TIFF of 32-bit whole numbers is "I", too."""
_open_lock = threading.Lock()


def load(path: str | PathLike[str], *, enough: int | None = None, check: Check = nothing) -> Rgb:
    """The picture in a file, as uint8 RGB [H, W, 3].

    It is turned upright by its EXIF orientation. Alpha is dropped without blending, as in ComfyUI's LoadImage. The
    first frame of an animation is taken. 16-bit grey is scaled, not clipped. The numbers of a TIFF of 32 bits, whole or
    floats, are levels 0…255, clipped and rounded down, as in LoadImage since it reads with PyAV (ComfyUI 0.3.64 divides
    whole ones by 255); the floats of a PFM are fractions 0…1. What is missing at the end of a file that was cut off is
    grey or black.
    With `enough`, a JPEG is decoded at a half, a quarter or an eighth of its size if its long side still has at least
    that many pixels; this is several times as fast.

    Raises `PictureError` if the file is missing, not a picture, damaged beyond decoding, or larger than `MAX_PIXELS`.
    `check` is called whenever bytes are read; its exceptions propagate.
    """
    name = shown(path)

    def decoded(image: ImageFile) -> Rgb:
        if enough:
            width, height = (max(1, enough * side // max(image.size)) for side in image.size)
            image.draft(None, (width, height))
        _decode(image, name)
        ImageOps.exif_transpose(image, in_place=True)
        return _file_to_rgb(image)

    return _read(path, check, decoded, libav_picture.load)


def read_size(path: str | PathLike[str], *, check: Check = nothing) -> tuple[int, int]:
    """Width and height in pixels of the picture that `load` would return, from the file's header alone.

    Kinds that Pillow does not read are decoded. Raises as `load` does, except for damage that only decoding shows.
    """
    return _read(path, check, _upright_size, libav_picture.size)


def is_batch(path: str | PathLike[str], *, check: Check = nothing) -> bool:
    """Whether ComfyUI's LoadImage makes a batch of the picture in a file: of an animated GIF, PNG or WebP.

    Raises as `read_size` does.
    """
    return _read(path, check, _is_animated, lambda *_: False)


def _is_animated(image: ImageFile) -> bool:
    return image.format in ("GIF", "PNG", "WEBP") and getattr(image, "is_animated", False)


def _read(
    path: str | PathLike[str],
    check: Check,
    by_pillow: Callable[[ImageFile], Found],
    by_libav: Callable[[Content, str], Found],
) -> Found:
    """What `by_pillow` finds in the picture at `path`, or `by_libav` where Pillow does not open it.

    ComfyUI's LoadImage asks libav first. Where both read a file, their pictures have the same size.
    """
    with opened(path, PictureError, "a picture", check) as source:
        if slow := jpeg_parts.fault(source):
            raise PictureError(f"{source.name}: it is damaged: {slow}. Save it again as PNG or JPEG.")
        content = png_parts.pixels_only(source)
        stream = Stream(content)
        try:
            with _opened(stream, source.name) as image:
                _check_size(image.width, image.height, source.name)
                found = by_pillow(image)
            stream.check()  # Pillow ignores errors of reading, or reports them as damage
            return found
        except _UnopenedError as unopened:
            stream.check()
            try:
                return by_libav(content, source.name)
            except libav_picture.UnreadableError:
                raise _picture_error(source.name, unopened.cause) from unopened
        except Exception as error:
            stream.check()
            raise _picture_error(source.name, error) from error


def _decode(image: ImageFile, name: str) -> None:
    """Decode `image`, as far as it is whole: ComfyUI reads a file that was cut off, too.

    Raises what Pillow does where nothing is decoded.
    """
    try:
        image.load()
    except (MemoryError, SonicGuardError):
        raise
    except Exception as error:  # Pillow's decoders raise many kinds of exceptions on damaged files
        image.tile = []  # nothing is left to decode
        if image.getbbox() is None:
            raise
        log.warning("%s: damaged or cut off (%s); what can be decoded of it is used.", name, error)


def _upright_size(image: Image.Image) -> tuple[int, int]:
    """Width and height of the turned picture, without decoding it."""
    width, height = image.size
    if isinstance(image, TiffImageFile):  # some versions of Pillow have swapped them already
        width, height = image.tag_v2[_TIFF_WIDTH], image.tag_v2[_TIFF_HEIGHT]
    exif = Image.Image.getexif(image)  # the PNG class's method would decode the whole picture to find EXIF
    turned = exif.get(ExifTags.Base.Orientation, 1) in _QUARTER_TURNS
    return (height, width) if turned else (width, height)


def _picture_error(name: str, error: Exception) -> Exception:
    """The error to raise for the exception `error` of Pillow; this pack's own and a `MemoryError` stay themselves."""
    match error:
        case MemoryError() | SonicGuardError():
            return error
        case UnidentifiedImageError():
            text = "this is not a picture, whatever its name says. Use a PNG, JPEG or WebP."
        case Image.DecompressionBombError():
            return PictureError(_too_large(name))
        case OSError():
            text = f"cannot be read: {error}. Save it again as PNG or JPEG."
        case _:  # Pillow's decoders raise many kinds of exceptions on damaged files
            text = f"the file is damaged ({error!r:.200}). Save it again as PNG or JPEG."
    return PictureError(f"{name}: {text}")


class _UnopenedError(Exception):
    """Pillow does not open a file."""

    def __init__(self, cause: Exception) -> None:
        super().__init__(str(cause))
        self.cause = cause


def from_batch(images: Any, name: str = "image") -> list[Rgb]:
    """The pictures of a ComfyUI IMAGE, each as uint8 RGB [H, W, 3].

    Args:
        images: floats 0…1, [B, H, W, C] or [H, W, C] with C = 1 (grey), 3 or 4 (alpha is dropped); a torch tensor
            of any device and precision, or a numpy array. Values outside 0…1 are clipped, as ComfyUI does on saving.
        name: this input's name in error messages.

    Raises `PictureError` for another type or shape, an empty batch or picture, NaN or infinity, and a picture larger
    than `MAX_PIXELS`.
    """
    shape = _batch_shape(images, name)
    batch = images if len(shape) == 4 else images[None]
    many = len(batch) > 1
    return [_floats_to_rgb(picture, f"{name}[{i}]" if many else name) for i, picture in enumerate(batch)]


def size_of(image: Any) -> tuple[int, int]:
    """Width and height in pixels of anything shaped [..., H, W, C]."""
    height, width, _ = image.shape[-3:]
    return int(width), int(height)


@contextmanager
def _opened(file: Any, name: str) -> Iterator[ImageFile]:
    """`Image.open` for `FORMATS`, with `MAX_PIXELS` as the limit instead of Pillow's."""
    formats = (*_formats(), "TGA") if name.lower().endswith(".tga") else _formats()  # it has no signature
    with _open_lock:  # the limit is a global of Pillow: two threads must not restore each other's value
        before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, MAX_PIXELS
        try:
            image = Image.open(file, formats=formats)
        except (MemoryError, Image.DecompressionBombError):
            raise
        except Exception as error:
            raise _UnopenedError(error) from error
        finally:
            Image.MAX_IMAGE_PIXELS = before
    with image:
        yield image


@cache
def _formats() -> tuple[str, ...]:
    """Those of `FORMATS` that this build of Pillow has."""
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


def _file_to_rgb(image: Image.Image) -> Rgb:
    rgb = np.empty((image.height, image.width, 3), np.uint8)
    has_levels = _has_levels(image)
    for top in range(0, image.height, STRIPE_ROWS):
        bottom = min(top + STRIPE_ROWS, image.height)
        stripe = image.crop((0, top, image.width, bottom))
        if has_levels:  # Pillow's convert clips them
            rgb[top:bottom] = np.asarray(stripe.convert("RGB"))
        elif image.mode in _DEEP_GREY:  # signed ones are read by their bits, as libav does
            rgb[top:bottom] = _of_16_bits(np.asarray(stripe))[..., None]
        else:
            rgb[top:bottom] = np.rint(np.clip(np.nan_to_num(np.asarray(stripe)), 0, 1) * 255)[..., None]
    return rgb


def _has_levels(image: Image.Image) -> bool:
    """Whether the numbers of `image` are levels 0…255, some perhaps outside, and not 16-bit or fractions."""
    if image.mode in _DEEP_GREY or image.mode == "F":
        return isinstance(image, TiffImageFile) and image.tag_v2.get(_TIFF_BITS) == (32,)
    return True


def _of_16_bits(grey: NDArray[Any]) -> NDArray[np.uint8]:
    """Levels 0…255, the nearest ones, of 16-bit grey."""
    return (((grey.astype(np.uint32) & 0xFFFF) + 128) // 257).astype(np.uint8)


def _batch_shape(images: Any, name: str) -> tuple[int, ...]:
    """Shape of an IMAGE. Raises `PictureError` for anything else."""
    shape = tuple(getattr(images, "shape", ()))
    if not shape or not hasattr(images, "dtype"):
        raise PictureError(f"{name}: expected an IMAGE, got {type(images).__name__}. Connect an IMAGE output.")
    described = "×".join(map(str, shape))
    if len(shape) not in (3, 4) or shape[-1] not in (1, 3, 4):
        raise PictureError(
            f"{name}: its shape is {described}, but an IMAGE is batch × height × width × channels "
            "with 1, 3 or 4 channels. A mask or a latent has to be converted first."
        )
    if 0 in shape:
        raise PictureError(f"{name}: it is empty ({described}). Check the node that makes it.")
    if "float" not in str(images.dtype):
        raise PictureError(f"{name}: its pixels are {images.dtype}, but an IMAGE holds fractions 0…1. Divide by 255.")
    _check_size(*size_of(images), name)
    return shape


def _floats_to_rgb(picture: Any, name: str) -> Rgb:
    width, height = size_of(picture)
    rgb = np.empty((height, width, 3), np.uint8)
    for top in range(0, height, STRIPE_ROWS):
        stripe = _as_numpy(picture[top : top + STRIPE_ROWS, :, :3])
        if not np.isfinite(stripe).all():
            raise PictureError(f"{name}: it contains NaN or infinity. The node that makes it has failed; run it again.")
        rgb[top : top + STRIPE_ROWS] = np.rint(np.clip(stripe, 0, 1) * 255)
    return rgb


def _as_numpy(floats: Any) -> NDArray[np.float32]:
    if hasattr(floats, "detach"):  # a torch tensor, converted there because numpy has no bfloat16
        return floats.detach().cpu().float().numpy()
    return floats.astype(np.float32)


def _check_size(width: int, height: int, name: str) -> None:
    if width * height > MAX_PIXELS:
        raise PictureError(f"{_too_large(name)} It has {width}×{height}.")


def _too_large(name: str) -> str:
    return f"{name}: too large, more than {MAX_PIXELS // 10**6} million pixels. Scale it down; 4096 a side is plenty."
