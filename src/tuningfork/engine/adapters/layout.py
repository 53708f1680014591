"""Adapters on disk: PEFT's two files, `adapter_model.safetensors` and `adapter_config.json`.

Where PEFT has the mechanism the files are what PEFT itself would write, key for key, so PEFT and the servers that load
its adapters load ours. What it has no files for keeps the two names and the prefix of its keys, and says its kind in
`peft_type`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from ...errors import DataError, ModelError
from ...model import Adapter
from ...store.blobs import Blob
from ..weights import Weights

WEIGHTS_FILE, CONFIG_FILE = "adapter_model.safetensors", "adapter_config.json"
HEAD_FILE = "head.safetensors"
"""Beside them, what an encoder was tuned with: PEFT passes over it."""
PREFIX = "base_model.model."
BASE = "tuningfork_base"
"""Where the config names the weights that an adapter belongs to: PEFT passes over it."""
RATE = "tuningfork_learning_rate"
"""The rate that it was tuned at, for whoever goes on from it."""
TASKS = {"causal": "CAUSAL_LM", "encoder": "FEATURE_EXTRACTION", "seq2seq": "SEQ_2_SEQ_LM"}

Tensors = dict[str, torch.Tensor]
Config = dict[str, Any]


def write(weights: Weights, model_id: str, tensors: Mapping[str, torch.Tensor], config: Mapping[str, Any]) -> Adapter:
    """An adapter of these tensors, which say nothing without `config`."""
    whole = {
        "task_type": TASKS[weights.kind],
        "base_model_name_or_path": model_id,
        "inference_mode": True,
        BASE: weights.identity,
        **config,
    }
    data = save({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()})
    files = {WEIGHTS_FILE: Blob.of(data), CONFIG_FILE: Blob.of(json.dumps(whole, indent=1).encode())}
    return Adapter(weights.identity, files)


def config_of(adapter: Adapter) -> Config:
    """What an adapter's config says. Raises ModelError where it has none that can be read."""
    try:
        config: Config = json.loads(adapter.files[CONFIG_FILE].read())
        config.get("peft_type")
    except (KeyError, ValueError, AttributeError, TypeError, DataError) as error:
        raise ModelError(f"The adapter can't be read ({error}); it needs {CONFIG_FILE} and {WEIGHTS_FILE}.") from error
    return config


def read(weights: Weights, adapter: Adapter) -> tuple[Config, Tensors]:
    """An adapter's config and tensors. Raises ModelError when it belongs to other weights, can't be read, or holds
    NaN."""
    if adapter.base and adapter.base != weights.identity:
        raise ModelError(
            f"The adapter belongs to the weights {adapter.base}, and this model's are {weights.identity}. "
            "An adapter only means something on the weights it was tuned on: open that model."
        )
    config = config_of(adapter)
    try:
        tensors = load(adapter.files[WEIGHTS_FILE].read())
    except (KeyError, ValueError, AttributeError, TypeError, SafetensorError, DataError) as error:
        raise ModelError(f"The adapter can't be read ({error}); it needs {CONFIG_FILE} and {WEIGHTS_FILE}.") from error
    for name, tensor in tensors.items():
        if not torch.isfinite(tensor).all():
            raise ModelError(f"The adapter holds NaN or infinite weights, first in {name!r}. Fetch or tune it again.")
    return config, tensors


def taken(tensors: Tensors, name: str, shape: tuple[int, ...]) -> torch.Tensor:
    """The tensor of this name, taken out of `tensors`. Raises ModelError when it is missing or has another shape."""
    found = tensors.pop(PREFIX + name, None)
    if found is None:
        raise ModelError(f"The adapter can't be read: it has no {name!r}. Fetch or tune it again.")
    if tuple(found.shape) != shape:
        raise ModelError(
            f"The adapter doesn't fit this model: {name} is {_told(shape)} here, and {_told(found.shape)} in the "
            "adapter. Open the model that it was tuned on."
        )
    return found


def _told(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))
