"""Which device and number format to compute in, found by measuring and remembered.

bf16 is several times faster than fp32 on processors with bf16 instructions and tens of times slower on others, and no
flag says which; so about a second of matrix products decides, once per machine and torch version. A GPU is used where
torch sees one.
"""

from __future__ import annotations

import json
import platform
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from ..store.blobs import write_atomically


@dataclass(frozen=True)
class Device:
    """`name` and `dtype` as torch spells them; `gflops` of a square product in each dtype that was tried."""

    name: str
    dtype: str
    gflops: dict[str, float]

    @property
    def torch_dtype(self) -> torch.dtype:
        dtype: torch.dtype = getattr(torch, self.dtype)
        return dtype


def choose(cache_folder: Path, seconds: float = 1.0) -> Device:
    """The fastest dtype on the best device here; remembered in `cache_folder`/device.json."""
    name = "cuda" if torch.cuda.is_available() else "cpu"
    key = f"{torch.__version__} {name} {_processor(name)} {torch.get_num_threads()}"
    path = cache_folder / "device.json"
    known = _read(path)
    device = _device(known.get(key))
    if device is None:
        gflops = {dtype: _gflops(name, getattr(torch, dtype), seconds / 2) for dtype in ("float32", "bfloat16")}
        # A tie goes to fp32, whose answers do not depend on the batch.
        dtype = "bfloat16" if gflops["bfloat16"] > 1.3 * gflops["float32"] else "float32"
        device = Device(name, dtype, gflops)
        known[key] = asdict(device)
        with suppress(OSError):  # a cache that can't be written costs this second again next time, and nothing else
            cache_folder.mkdir(parents=True, exist_ok=True)
            write_atomically(path, json.dumps(known, indent=1).encode())
    return device


def _device(entry: object) -> Device | None:
    """What the cache says, or None where it says nothing that can be used."""
    match entry:
        case {"name": str(name), "dtype": "float32" | "bfloat16" as dtype, "gflops": dict(gflops)}:
            return Device(name, dtype, gflops)
    return None


def _processor(name: str) -> str:
    if name == "cuda":
        return str(torch.cuda.get_device_name(0))
    info = Path("/proc/cpuinfo")
    if info.is_file():
        lines = [line for line in info.read_text(errors="replace").splitlines() if line.startswith("model name")]
        if lines:
            return lines[0].split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def _read(path: Path) -> dict[str, Any]:
    try:
        known = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def _gflops(device: str, dtype: torch.dtype, seconds: float, size: int = 768) -> float:
    """Best rate of (size x size) products within `seconds`; one product at least, since the first may be slow."""
    a = torch.randn(size, size, device=device).to(dtype)
    best, end = 0.0, time.perf_counter() + seconds
    while True:
        start = time.perf_counter()
        (a @ a).sum().item()
        now = time.perf_counter()
        best = max(best, 2 * size**3 / (now - start) / 1e9)
        if now > end:
            return round(best, 1)
