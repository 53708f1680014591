"""GGUF to safetensors, once.

transformers reads a GGUF file in about 20 seconds and refuses to save what it read, so the weights go into a plain
model of the same config, in bfloat16, and that is saved; from then on the model opens in under a second. The tokenizer
is saved with its chat template. Everything that transformers prints meanwhile is noise to the user and is kept off the
screen.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..errors import MissingExtra


def require_converter() -> None:
    """Raises MissingExtra when a library that the conversion needs is not installed."""
    for library in ("torch", "transformers", "gguf"):
        if importlib.util.find_spec(library) is None:
            raise MissingExtra("Unpacking a bundled model", library, "local")


def convert_gguf(file: Path, target: Path) -> None:
    """Write `target` (a folder) as `save_pretrained` would: config, bfloat16 weights, tokenizer."""
    with _quiet():
        import torch
        from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

        factory: Any = AutoModelForCausalLM
        folder, name = str(file.parent), file.name
        loaded = factory.from_pretrained(folder, gguf_file=name, dtype=torch.bfloat16)
        settings = loaded.config.to_dict()
        settings.pop("quantization_config", None)
        config = AutoConfig.for_model(settings.pop("model_type"), **settings)
        with torch.random.fork_rng():  # the first values are overwritten; the caller's dice stay as they were
            plain = factory.from_config(config, dtype=torch.bfloat16)
        plain.load_state_dict(loaded.state_dict())
        del loaded
        plain.save_pretrained(target)
        tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=name)
        tokenizer.model_max_length = config.max_position_embeddings
        tokenizer.save_pretrained(target)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Neither progress bars nor warnings, and the library's settings as they were afterwards."""
    import transformers

    logging: Any = transformers.utils.logging
    level = logging.get_verbosity()
    bars = logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
