"""Many small tensors in host memory: the same numbers, and no more memory than they are."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import installed

torch = pytest.importorskip("torch")

from sonic_guard.low_vram.host_tensors import SLAB_BYTES, SMALL_BYTES, HostTensorPool  # noqa: E402


@pytest.mark.parametrize("more", [None, 0, 1000])
def test_what_is_put_there_is_the_same(more):
    pool, numbers = HostTensorPool(), torch.Generator().manual_seed(1)
    for dtype in (torch.float16, torch.float64):
        some = [torch.randn(40, 50, generator=numbers) for _ in range(7)]
        for tensor, copy in [(tensor, pool.put(tensor, dtype, more=more)) for tensor in some]:
            assert torch.equal(copy, tensor.to(dtype))
            assert (copy.dtype, copy.device.type, copy.shape) == (dtype, "cpu", tensor.shape)
            assert copy.is_contiguous()


def test_what_is_there_already_stays_where_it_is():
    tensor = torch.zeros(40, 50)
    assert HostTensorPool().put(tensor) is HostTensorPool().put(tensor, torch.float32) is tensor


def test_a_few_numbers_get_no_chunk():
    (small,) = [HostTensorPool().put(torch.zeros(SMALL_BYTES // 4 - 1), torch.float16)]
    assert small.untyped_storage().nbytes() == small.nbytes


def test_chunks_grow_to_a_size_and_are_no_larger_than_what_comes():
    large, pool = torch.zeros(100, 100), HostTensorPool()
    chunks = [pool.put(large, torch.float16, more=9_999 - number) for number in range(10_000)]
    sizes = list(dict.fromkeys(chunk_size.untyped_storage().nbytes() for chunk_size in chunks))
    assert sizes[:4] == [20_000, 40_000, 80_000, 160_000]
    assert 0 <= max(sizes) - SLAB_BYTES < 20_000
    every = {chunk_size.untyped_storage().data_ptr(): chunk_size.untyped_storage().nbytes() for chunk_size in chunks}
    assert sum(every.values()) == 10_000 * 20_000


RESIDENT = """
import torch
from sonic_guard.low_vram.engine import to_host
from sonic_guard.low_vram.host_tensors import HostTensorPool
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096
del [torch.empty(1 << 22) for _ in range(4)][:]  # as in any program that has run for a while
before, count = resident(), 6000
made = (torch.randn(32, 1024, dtype=torch.float64) for _ in range(count))  # as on a GPU, one after the other
pool = HostTensorPool()
prompts = [pool.put(prompt, torch.float32) for prompt in made]
del pool  # as after `prompts_to_host`; frees the rest of its last slab
to_host(prompts, torch.float16)
print((resident() - before) / (count << 16))
"""


def test_prompts_take_no_more_than_they_are():
    """Of the process, as a part of what the prompts are: 1.1 here, and 2.4 or 4.0 if they are made one by one."""
    if not Path("/proc/self/statm").exists():
        pytest.skip("the resident memory of a process cannot be read here")
    command = [sys.executable, "-c", RESIDENT]
    takes = subprocess.run(command, cwd=installed.PACK, capture_output=True, text=True, check=True).stdout
    assert float(takes) < 1.7
