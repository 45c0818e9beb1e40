"""Which exceptions mean that a GPU is out of memory: their texts are from real reports."""

import subprocess
import sys

import pytest

from sonic_guard.devices.out_of_memory import is_out_of_memory, is_too_much_at_once
from tests.support import installed

OUT_OF_MEMORY = [
    "CUDA out of memory. Tried to allocate 2.87 GiB (GPU 0; 14.76 GiB total capacity; 8.77 GiB already allocated)",
    "CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has a total capacity of 8.00 GiB of which 0 bytes is free.",
    "CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported at some other API call",
    "CUDA driver error: out of memory",
    "cuda runtime error (2) : out of memory at /pytorch/aten/src/THC/THCCachingHostAllocator.cpp:278",
    "cuda failed with error 2 out of memory. use CUDA_LAUNCH_BLOCKING=1 to get correct traceback.",
    "Allocation on device ",
    "Allocation on device 0 would exceed allowed memory. (out of memory)\nCurrently allocated : 14.81 GiB",
    "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
    "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
    "cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED",
    "cusolver error: CUSOLVER_STATUS_ALLOC_FAILED, when calling `cusolverDnCreate(handle)`",
    "cuFFT error: CUFFT_ALLOC_FAILED",
    "NCCL Error 1: unhandled cuda error: Cuda failure 'out of memory'",
    'NVML_SUCCESS == r INTERNAL ASSERT FAILED at "../c10/cuda/CUDACachingAllocator.cpp":1154, please report a bug',
    "HIP out of memory. Tried to allocate 432.00 MiB. GPU 0 has a total capacity of 15.92 GiB of which",
    "HIP error: out of memory",
    "CUDA error: HIPBLAS_STATUS_ALLOC_FAILED when calling `hipblasCreate(handle)`",
    "miopenStatusAllocFailed",
    "MIOpen Error: handlehip.cpp:70: Memory not available to allocate buffer: 655360000",
    "MPS backend out of memory (MPS allocated: 15.72 GiB, other allocations: 2.41 MiB, max allowed: 18.13 GiB).",
    "Invalid buffer size: 71.78 GiB",
    "Invalid buffer size: 9.75 GB",
    "MPS backend out of memory (MPS allocated: 7.23 GB, other allocations: 1.54 GB, max allowed: 9.07 GB). Tried to",
    "Insufficient Memory (00000008:kIOGPUCommandBufferCallbackErrorOutOfMemory)",
    "XPU out of memory. Tried to allocate 1.00 GiB (GPU 0; 15.91 GiB total capacity)",
    "level_zero backend failed with error: 39 (UR_RESULT_ERROR_OUT_OF_DEVICE_MEMORY)",
    "Could not allocate tensor with 234881024 bytes. There is not enough GPU video memory available!",
]
TOO_LARGE_FOR_MPS = [
    "Can't be indexed using 32-bit iterator",
    "MPSGaph does not support tensor dims larger than INT_MAX",
    "MPSGraph does not support tensor dims larger than INT_MAX",
]
OTHER = [
    "CUDA error: invalid configuration argument",
    "CUDA error: an illegal memory access was encountered",
    "CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`",
    "cuDNN error: CUDNN_STATUS_INTERNAL_ERROR",
    "cuDNN error: CUDNN_STATUS_NOT_SUPPORTED. This error may appear if you passed in a non-contiguous input.",
    "cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED",
    "[enforce fail at alloc_cpu.cpp:114] data. DefaultCPUAllocator: can't allocate memory",
    "Placeholder storage has not been allocated on MPS device!",  # a tensor on the CPU
    "mat1 and mat2 shapes cannot be multiplied (77x2048 and 768x320)",
    "Expected all tensors to be on the same device, but found at least two devices, cuda:0 and cpu!",
    "out of resource: shared memory, Required: 147456, Hardware limit: 101376",
    "",
]


@pytest.mark.parametrize("text", OUT_OF_MEMORY)
def test_words_of_a_full_gpu(text):
    assert is_out_of_memory(RuntimeError(text))
    assert is_too_much_at_once(RuntimeError(text))


@pytest.mark.parametrize("text", TOO_LARGE_FOR_MPS)
def test_words_of_mps_for_too_many_numbers(text):
    """Recovered from in the same way; but they say nothing about how much memory there is."""
    assert is_too_much_at_once(RuntimeError(text))
    assert not is_out_of_memory(RuntimeError(text))
    wrapped = ValueError("in a node")
    wrapped.__cause__ = RuntimeError(text)
    assert is_too_much_at_once(wrapped)
    assert not is_too_much_at_once(ValueError(text))


@pytest.mark.parametrize("text", OTHER)
def test_words_of_another_failure(text):
    assert not is_out_of_memory(RuntimeError(text))
    assert not is_too_much_at_once(RuntimeError(text))


@pytest.mark.parametrize(
    "error",
    [
        MemoryError("Unable to allocate 3.2 GiB for an array"),
        ValueError("the prompt says: CUDA out of memory"),
        KeyboardInterrupt(),
    ],
)
def test_only_a_runtime_error_can_be_one(error):
    assert not is_out_of_memory(error)


def test_torchs_own_class_needs_no_words():
    torch = pytest.importorskip("torch")
    assert is_out_of_memory(torch.OutOfMemoryError())
    assert is_out_of_memory(torch.cuda.OutOfMemoryError("Allocation on device "))
    full = torch.AcceleratorError("some words")
    full.error_code = 2
    assert is_out_of_memory(full)
    other = torch.AcceleratorError("CUDA error: unspecified launch failure")
    other.error_code = 719
    assert not is_out_of_memory(other)


FULL = RuntimeError("CUDA out of memory.")


def raised(make):
    try:
        make()
    except BaseException as error:
        return error


def named():
    raise ValueError("the sampler failed") from FULL


def hidden():
    try:
        raise FULL
    except RuntimeError:
        raise ValueError("it was something else") from None


def while_handling():
    try:
        raise FULL
    except RuntimeError:
        {}["cleaning up failed too"]


def two_below():
    try:
        named()
    except ValueError as error:
        raise KeyError from error


def after_handling():
    try:
        raise FULL
    except RuntimeError:
        pass
    raise ValueError("a later failure")


@pytest.mark.parametrize(
    ("make", "expected"),
    [(named, True), (while_handling, True), (two_below, True), (hidden, False), (after_handling, False)],
)
def test_the_cause_counts_where_a_traceback_would_show_it(make, expected):
    assert is_out_of_memory(raised(make)) is expected


def test_a_ring_of_causes_ends():
    first, second = ValueError(), ValueError()
    first.__cause__, second.__cause__ = second, first
    assert not is_out_of_memory(first)


def test_it_needs_no_torch():
    code = (
        "import sys; from sonic_guard.devices.out_of_memory import is_out_of_memory; "
        "assert is_out_of_memory(RuntimeError('CUDA out of memory.')); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=installed.PACK).returncode == 0
