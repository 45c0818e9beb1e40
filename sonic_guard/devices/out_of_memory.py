"""Recognises errors of GPUs after which less at a time may work, and frees memory after them. Works without torch."""

import gc
import re
import sys
from collections.abc import Iterator

_FORMS = re.compile(
    r"""
      (?:CUDA|HIP|MPS|XPU|GPU|NCCL)\b .* \bout\ of\ memory   # torch's allocators, and the runtimes
    | \bout\ of\ memory\b .* (?:CUDA|HIP|MPS|XPU|GPU)\b
    | CU[A-Z]+_STATUS_ALLOC_FAILED                           # cuBLAS, cuDNN 8, cuSOLVER, cuSPARSE
    | CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED   # cuDNN 9
    | CUFFT_ALLOC_FAILED
    | HIP[A-Z]+_STATUS_ALLOC_FAILED | rocblas_status_memory_error | miopenStatusAllocFailed
    | Memory\ not\ available\ to\ allocate\ buffer           # MIOpen
    | CUDA_ERROR_OUT_OF_MEMORY | cudaErrorMemoryAllocation | hipErrorOutOfMemory | ERROR_OUT_OF_DEVICE_MEMORY
    | ^Allocation\ on\ device\b                              # torch on cudaMallocAsync
    | ^Invalid\ buffer\ size:                                # Metal: above the limit of one buffer
    | kIOGPUCommandBufferCallbackErrorOutOfMemory            # Metal: while the commands ran
    | not\ enough\ GPU\ video\ memory                        # DirectML
    | NVML_SUCCESS\ ==\ r\ .* CUDACachingAllocator           # torch failed to query NVML for its out-of-memory message
    """,
    re.VERBOSE | re.IGNORECASE | re.MULTILINE,
)
_TOO_LARGE_FOR_MPS = re.compile(
    r"""
      Can't\ be\ indexed\ using\ 32-bit\ iterator         # torch's own kernels for MPS
    | MPSGr?aph\ does\ not\ support\ tensor\ dims\ larger  # Metal's; torch spells it both ways
    """,
    re.VERBOSE,
)
_CUDA_ERROR_MEMORY_ALLOCATION = 2
"""CUDA's error code; HIP has the same."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether `error`, its cause, or its context is an out-of-memory error of a GPU.

    True for torch's ``OutOfMemoryError`` and for a `RuntimeError` with a text of CUDA, ROCm, Metal, XPU, DirectML or
    their libraries. Codes that may have other causes (``CUDNN_STATUS_INTERNAL_ERROR``,
    ``CUBLAS_STATUS_NOT_INITIALIZED``) do not count, nor does host memory (`MemoryError`, torch's
    ``DefaultCPUAllocator``), for which the optimizations for the GPU do not help.
    """
    return any(map(_is_gpu_out_of_memory, _chain(error)))


def is_too_much_at_once(error: BaseException) -> bool:
    """Whether `error` is an out-of-memory error of a GPU, or says that a tensor has too many numbers for MPS.

    Both end when less goes through the network at a time. Metal's assertions about "NDArray > 2**32" end the process
    and cannot be recovered from.
    """
    return is_out_of_memory(error) or any(
        isinstance(each, RuntimeError) and _TOO_LARGE_FOR_MPS.search(str(each)) for each in _chain(error)
    )


def give_back_memory() -> None:
    """Collect garbage and empty torch's cache on the GPU, after a failed attempt."""
    gc.collect()
    torch = sys.modules.get("torch")  # without it there is nothing on a GPU
    if torch and torch.cuda.is_available():
        torch.cuda.empty_cache()
    elif torch and torch.backends.mps.is_available():
        torch.mps.empty_cache()


def _is_gpu_out_of_memory(error: BaseException) -> bool:
    if not isinstance(error, RuntimeError):
        return False
    # By name: the class is `torch.OutOfMemoryError` or, before torch 2.5, `torch.cuda.OutOfMemoryError`.
    if any(kind.__name__ == "OutOfMemoryError" and kind.__module__.startswith("torch") for kind in type(error).__mro__):
        return True
    if getattr(error, "error_code", None) == _CUDA_ERROR_MEMORY_ALLOCATION:  # torch.AcceleratorError
        return True
    return _FORMS.search(str(error)) is not None


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """`error` and its causes and contexts, as a traceback would print them."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
