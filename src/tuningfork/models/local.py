"""A model whose weights run in this process, behind the door that every model stands behind.

Adapted models share the base weights; a lock keeps two adapters from being worn at once.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import ModelError
from ..model import (
    Adapter,
    Answer,
    Capability,
    EmbedRequest,
    Failure,
    GenerateRequest,
    Model,
    Recipe,
    ScoreRequest,
    Scores,
    Tuned,
    TuneItem,
    Vector,
)
from .architecture import CAPABILITIES

if TYPE_CHECKING:
    from ..engine.moving import Worn
    from ..engine.render import Renderer
    from ..engine.weights import Weights


ADAPTERS = 2
"""Adapters that are kept in memory as they were read last."""


class LocalModel:
    """A causal model, an encoder-decoder or an encoder from a folder, in transformers' layout."""

    def __init__(self, id: str, folder: Path, cache_folder: Path) -> None:
        # Read once, when torch loads: how long a thread waits for others by spinning before it sleeps. Its habit, some
        # milliseconds, is slow on a busy machine; not at all costs a third on a quiet one, where steps are short.
        # Scoring 7,223 tokens on 2 quiet cores took 5.4 s without, 4.3 s with this; embedding beside two busy processes
        # 6.6 s without and 6.9 s with this.
        os.environ.setdefault("GOMP_SPINCOUNT", "20000")
        # a pass has another length each time, and a compiled product for each of 1,024 lengths is hundreds of MiB
        os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "64")
        from ..engine.device import choose
        from ..engine.identity import tokenizer_of
        from ..engine.opening import load
        from ..engine.render import Renderer

        self.id = id
        self._weights: Weights = load(folder, choose(cache_folder), cache_folder)
        self._tokenizer = tokenizer_of(folder)
        self._renderer: Renderer = Renderer(self._weights.tokenizer)
        self._worn: Worn | None = None
        self._read: dict[tuple[str, str], Worn] = {}
        self._training = cache_folder / "training"
        self._adapter: Adapter | None = None
        self._lock = threading.RLock()

    @property
    def identity(self) -> str:
        """Weights, tokenizer, dtype and adapter."""
        adapter = self._adapter.identity if self._adapter else ""
        dtype = str(self._weights.dtype).removeprefix("torch.")
        return f"{self._weights.identity}-{self._tokenizer}-{dtype}-{adapter}"

    @property
    def base(self) -> str:
        """What adapters of these weights name as theirs."""
        return self._weights.identity

    @property
    def parameters(self) -> int:
        """How many weights the base has."""
        return self._weights.parameters

    @property
    def capabilities(self) -> frozenset[Capability]:
        """A causal model can all; an encoder embeds and is tuned; an encoder-decoder can all."""
        return CAPABILITIES[self._weights.kind]

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences for the user about how this model runs here, such as that it reads every prompt whole."""
        return tuple(self._weights.notes)

    def score(self, requests: Sequence[ScoreRequest]) -> list[Scores | Failure]:
        """Log-probabilities in nats of every choice."""
        from ..engine import score, seq2seq

        self._must("score")
        run = seq2seq.score if self._weights.seq2seq else score.score
        with self._dressed():
            return run(self._weights, self._renderer, requests)

    def generate(
        self, requests: Sequence[GenerateRequest], on_text: Callable[[int, str], None] | None = None
    ) -> list[Answer | Failure]:
        """Text, greedy or sampled."""
        from ..engine.generate import generate

        self._must("generate")
        with self._dressed():
            return generate(self._weights, self._renderer, requests, on_text)

    def embed(self, requests: Sequence[EmbedRequest]) -> list[Vector | Failure]:
        """Float32 vectors."""
        from ..engine import embed, seq2seq

        run = seq2seq.embed if self._weights.seq2seq else embed.embed
        with self._dressed():
            return run(self._weights, self._renderer, requests)

    def tune(
        self, recipe: Recipe, items: Sequence[TuneItem], hold: Sequence[TuneItem], start: Adapter | None = None
    ) -> Tuned:
        """A new adapter on these base weights; this model itself stays as it is."""
        from ..engine.memory import give_back
        from ..engine.train import tune

        self._must("tune")
        with self._lock:
            try:
                return tune(self._weights, self._renderer, self.id, recipe, items, hold, start, self._training)
            finally:
                give_back()

    def adapted(self, adapter: Adapter) -> Model:
        """These weights with an adapter on. Raises ModelError when it belongs to others."""
        from ..engine.moving import unpack
        from ..engine.render import Renderer

        other = object.__new__(LocalModel)
        other.__dict__.update(self.__dict__)
        key = (adapter.base, adapter.identity)
        with self._lock:
            if key not in self._read:  # a race asks for the same adapter block after block
                while len(self._read) >= ADAPTERS:
                    del self._read[next(iter(self._read))]
                self._read[key] = unpack(self._weights, adapter)
            other._worn, other._adapter = self._read[key], adapter
        other._renderer = Renderer(self._weights.tokenizer, tuple(other._worn.lead))
        return other

    def _must(self, capability: Capability) -> None:
        if capability not in self.capabilities:
            can = ", ".join(sorted(self.capabilities))
            raise ModelError(f"{self.id} can't {capability}: it is an encoder. It can {can}.")

    @contextmanager
    def _dressed(self) -> Iterator[None]:
        """The base model is ours alone, with our adapter on, for the length of the block."""
        with self._lock, self._worn.on(self._weights) if self._worn else nullcontext():
            yield
