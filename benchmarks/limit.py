"""The physical limit of a piece of work: how soon this machine could have done it, whatever the program.

Work is counted from token ids alone, by a plain prefix tree, so no engine has a say in it. Each phase takes at least as
long as its floating-point operations at the machine's best rate of matrix products, and as its bytes at the machine's
bandwidth; the limit of a phase is the larger, the limit of the work their sum over its phases. Both rates are measured
beside the run that they judge.

    operations = 2 x weights without embeddings x distinct tokens
               + 2 x hidden size x vocabulary x output rows needed
               + 4 x width of the query heads x layers x (tokens attended to, added up over the distinct tokens)

Not counted: tokenizing, norms, activations, softmax, and every other step between two matrix products. So 1.0 is out of
reach.
"""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

Ids = Sequence[int]
GIB = 1 << 30
SHORT = {"float32": "fp32", "bfloat16": "bf16", "float16": "fp16"}
BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
SIZES = (512, 1024, 2048, 4096)
"""Of the square products that the rate is measured on."""
BANDWIDTH_BYTES = 256 << 20
"""Of one array that the bandwidth is measured on: many times what a cache holds."""
NO_PRODUCT = ("embed", "lm_head", "pooler")
"""In the names of weights that not every token is multiplied by."""


# What the model is.


@dataclass(frozen=True)
class Shape:
    """Sizes of a transformer. `weights`: without embeddings, output layer and pooler. `queries` and `keys`: heads times
    head size. `bytes`: of one number in the dtype that it runs in."""

    weights: int
    layers: int
    hidden: int
    queries: int
    keys: int
    vocabulary: int
    bytes: int


def shape_of(folder: Path, dtype: str) -> Shape:
    """Read from a model folder's config.json and the headers of its safetensors files; no weights are opened."""
    from safetensors import safe_open

    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    weights = 0
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, "np") as file:
            for name in file.keys():  # noqa: SIM118 - no mapping
                if not any(part in name for part in NO_PRODUCT):
                    size = 1
                    for side in file.get_slice(name).get_shape():
                        size *= side
                    weights += size
    heads = config["num_attention_heads"]
    head = config.get("head_dim") or config["hidden_size"] // heads
    return Shape(
        weights=weights,
        layers=config["num_hidden_layers"],
        hidden=config["hidden_size"],
        queries=heads * head,
        keys=config.get("num_key_value_heads", heads) * head,
        vocabulary=config["vocab_size"],
        bytes=BYTES[dtype],
    )


# What must be done.


@dataclass(frozen=True)
class Phase:
    """One stretch of work. `tokens`: distinct tokens through the weights; `attended`: how many tokens each of them
    attends to, itself included, added up; `rows`: positions whose probabilities over the vocabulary are needed;
    `reads`: how often all weights must come from memory; `cached`: keys and values that must, in tokens. `times`: 1 for
    reading; 2 where gradients go back through frozen weights, 3 where the weights' own are needed too."""

    name: str
    tokens: int
    attended: int
    rows: int
    reads: int = 1
    cached: int = 0
    times: int = 1

    def flops(self, shape: Shape) -> float:
        """Floating-point operations, a multiplication and an addition counted as two."""
        products = 2 * shape.weights * self.tokens + 2 * shape.hidden * shape.vocabulary * self.rows
        return float(self.times * (products + 4 * shape.queries * shape.layers * self.attended))

    def bytes(self, shape: Shape) -> float:
        """Bytes that must come from memory."""
        weights = shape.weights + (shape.hidden * shape.vocabulary if self.rows else 0)
        held = 2 * shape.keys * shape.layers * self.cached
        return float((weights * self.reads + held) * shape.bytes)


class Tree:
    """Token sequences with their common beginnings held once. Node 0 is the empty beginning."""

    def __init__(self) -> None:
        self._next: list[dict[int, int]] = [{}]
        self.depth = [0]

    def walk(self, ids: Ids, node: int = 0) -> list[int]:
        """The nodes of `ids` below `node`, made where they are not there yet."""
        path = []
        for token in ids:
            child = self._next[node].get(token)
            if child is None:
                child = self._next[node][token] = len(self._next)
                self._next.append({})
                self.depth.append(self.depth[node] + 1)
            path.append(node := child)
        return path

    @property
    def tokens(self) -> int:
        """Distinct tokens: all nodes but the empty one."""
        return len(self._next) - 1


def of_scoring(prompts: Sequence[Ids], choices: Sequence[Sequence[Ids]]) -> Phase:
    """To score every choice of every prompt: the tokens of the prefix tree of all prompts and of the inner nodes of the
    choices (a choice's last token is asked for, never read), and an output row wherever a token is asked for."""
    tree = Tree()
    asked: set[int] = set()
    for prompt, own in zip(prompts, choices, strict=True):
        end = tree.walk(prompt)[-1]
        for choice in own:
            asked.update((end, *tree.walk(choice[:-1], end)))
    return Phase("read", tree.tokens, sum(tree.depth), len(asked))


def of_writing(prompts: Sequence[Ids], written: Sequence[int]) -> tuple[Phase, Phase]:
    """To read the prompts and write `written[i]` tokens after prompt i, all of them at once as far as they are there.

    Reading gives the first token of each, so writing takes one step less than the longest answer has tokens. A step
    reads all weights, and the keys and values of the distinct tokens before the rows that are still being written.
    """
    tree = Tree()
    needed: dict[int, int] = {}  # prompt node -> in how many steps its keys and values are read
    ends = set()
    for prompt, count in zip(prompts, written, strict=True):
        path = tree.walk(prompt)
        ends.add(path[-1])
        for node in path:
            needed[node] = max(needed.get(node, 0), count - 1)
    steps = [count - 1 for count in written if count > 1]
    own = sum(n * (n + 1) // 2 for n in steps)  # 1 + 2 + ... + n: a row's own tokens, the newest included
    attended = own + sum(len(prompt) * max(0, count - 1) for prompt, count in zip(prompts, written, strict=True))
    read = Phase("read", tree.tokens, sum(tree.depth), len(ends))
    cached = sum(needed.values()) + own
    return read, Phase("write", sum(steps), attended, sum(steps), reads=max(steps, default=0), cached=cached)


def of_embedding(texts: Iterable[Ids]) -> Phase:
    """To read each distinct text once through an encoder, where every token attends to the whole text."""
    lengths = [len(text) for text in {tuple(text) for text in texts}]
    return Phase("read", sum(lengths), sum(n * n for n in lengths), 0)


def of_training(prompts: Sequence[Ids], answers: Sequence[int], batch: int, epochs: int, times: int) -> Phase:
    """To train on prompts, `answers[i]` tokens after prompt i asked for, in batches as they stand: in each step the
    distinct tokens of its batch are read once."""
    tokens = attended = rows = steps = 0
    for begin in range(0, len(prompts), batch):
        tree = Tree()
        ends = {tree.walk(prompt)[-1] for prompt in prompts[begin : begin + batch]}
        tokens, attended, steps = tokens + tree.tokens, attended + sum(tree.depth), steps + 1
        rows += sum(answers[begin : begin + batch]) if max(answers) > 1 else len(ends)
    return Phase("train", epochs * tokens, epochs * attended, epochs * rows, epochs * steps, times=times)


# What the machine can do.


@dataclass(frozen=True)
class Rates:
    """`gflops` of the best square product in each dtype, by its short name (bf16, fp32); `gib_per_s` of memory."""

    gflops: dict[str, float]
    gib_per_s: float

    def best(self, *others: Rates) -> Rates:
        """The highest of each: a busy machine can only measure too low."""
        every = (self, *others)
        names = {name for rates in every for name in rates.gflops}
        gflops = {name: max(rates.gflops.get(name, 0.0) for rates in every) for name in sorted(names)}
        return Rates(gflops, max(rates.gib_per_s for rates in every))


def measure(device: str = "cpu", seconds: float = 0.3, dtypes: Sequence[str] = ("bfloat16", "float32")) -> Rates:
    """Rates of this machine now: `seconds` for each size and dtype, and for each of three ways to move memory."""
    gflops = {SHORT[d]: max(_product_gflops(device, d, size, seconds) for size in SIZES) for d in dtypes}
    return Rates({name: round(rate, 1) for name, rate in gflops.items()}, round(_gib_per_s(device, seconds), 2))


def _product_gflops(device: str, dtype: str, size: int, seconds: float) -> float:
    import torch

    a = torch.randn(size, size, device=device).to(getattr(torch, dtype))
    b, out = a.t().contiguous(), torch.empty_like(a)
    return 2 * size**3 / _least_seconds(lambda: torch.mm(a, b, out=out), device, seconds) / 1e9


def _gib_per_s(device: str, seconds: float) -> float:
    """The best of a copy, a triad and a dot product of large fp32 arrays, bytes read and written added up."""
    import torch

    a, b, c = (torch.ones(BANDWIDTH_BYTES // 4, device=device) for _ in range(3))
    ways = (
        (2, lambda: a.copy_(b)),
        (3, lambda: torch.add(b, c, alpha=3.0, out=a)),
        (2, lambda: torch.dot(b, c)),
    )
    return max(arrays * BANDWIDTH_BYTES / GIB / _least_seconds(way, device, seconds) for arrays, way in ways)


def _least_seconds(work: Any, device: str, seconds: float) -> float:
    """The shortest of as many runs as fit into `seconds`; two at least, after one that is not counted."""
    import torch

    def run() -> float:
        start = time.perf_counter()
        work()
        if device != "cpu":
            torch.cuda.synchronize()
        return time.perf_counter() - start

    run()
    end, times = time.perf_counter() + seconds, [run(), run()]
    while time.perf_counter() < end:
        times.append(run())
    return min(times)


# Both together.


def limit_seconds(shape: Shape, phases: Iterable[Phase], rates: Rates, dtype: str) -> float:
    """The sum over phases of the larger of operations over the rate and bytes over the bandwidth."""
    return sum(_seconds(shape, phase, rates, dtype)[0] for phase in phases)


def shown(shape: Shape, phases: Iterable[Phase], rates: Rates, dtype: str) -> list[dict[str, Any]]:
    """Everything that the limit was worked out from, for the JSON."""
    found = []
    for phase in phases:
        seconds, bound = _seconds(shape, phase, rates, dtype)
        counts = {**asdict(phase), "gflop": phase.flops(shape) / 1e9, "gib": phase.bytes(shape) / GIB}
        found.append({**counts, "seconds": seconds, "bound_by": bound})
    return found


def _seconds(shape: Shape, phase: Phase, rates: Rates, dtype: str) -> tuple[float, str]:
    by_rate = phase.flops(shape) / 1e9 / rates.gflops[SHORT[dtype]]
    by_memory = phase.bytes(shape) / GIB / rates.gib_per_s
    return max((by_rate, "matrix rate"), (by_memory, "bandwidth"))


def machine(rates: Rates) -> dict[str, Any]:
    """Where this runs, without a name that would tell whose it is."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {"cores": cores, "processor": _processor(), "matmul_gflops": rates.gflops, "gib_per_s": rates.gib_per_s}


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text(errors="replace").splitlines() if info.is_file() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def versions(*packages: str) -> dict[str, str]:
    """Versions of the packages that are installed here, and of Python."""
    found = {"python": platform.python_version()}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
