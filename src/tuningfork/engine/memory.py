"""How much memory there is to work in, and whether an error says that there was too little."""

from __future__ import annotations

import ctypes
import mmap
import sys
from contextlib import suppress
from pathlib import Path

import torch

PAGE_OUT = 21
"""Linux's MADV_PAGEOUT."""
UNKNOWN = 1 << 33
"""What is taken to be free where the system does not say: 8 GiB."""


def free_bytes(device: torch.device) -> int:
    """Memory that a call may still take: on a GPU also what torch keeps and does not use."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return int(free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device))
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration, ValueError):
        return UNKNOWN


def ran_short(error: Exception) -> bool:
    """Whether an error says that memory ran short."""
    return isinstance(error, torch.OutOfMemoryError) or "allocate memory" in str(error)


def peak_gib(device: torch.device) -> float:
    """The most memory that this process has held so far, in GiB; 0 where the system does not say."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / (1 << 30)
    try:
        import resource
    except ImportError:  # not on Windows
        return 0.0
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / (1 << 30)


def give_back() -> None:
    """Let the system have what was freed: glibc keeps it, in pieces too small for the next large thing."""
    with suppress(OSError, AttributeError):  # another C library has no such call
        ctypes.CDLL(None).malloc_trim(0)


def page_out(tensor: torch.Tensor) -> None:
    """Let the system have the pages of a tensor that lies in a mapped file and will hardly be read again; if it is,
    they come back from the file. Nothing is lost either way: memory of other kinds stays as it is."""
    page = mmap.PAGESIZE
    begin = -(-tensor.data_ptr() // page) * page
    length = (tensor.data_ptr() + tensor.nbytes) // page * page - begin
    if length > 0 and sys.platform == "linux":
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).madvise(ctypes.c_void_p(begin), ctypes.c_size_t(length), PAGE_OUT)
