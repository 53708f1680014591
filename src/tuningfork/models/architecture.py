"""What a `config.json` says a model is: read before any weights are.

A menu, a plan and an error must know what a model can do in milliseconds and without torch, so this looks only at the
names in the config: the architecture first, the model type where a body stands without its head. It opens nothing, and
it knows two kinds of model: causal language models and text encoders. Everything else is refused by name.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from ..errors import ModelError
from ..model import Capability

Architecture = Literal["causal", "encoder"]

CAPABILITIES: Mapping[Architecture, frozenset[Capability]] = {
    "causal": frozenset(("score", "generate", "embed", "tune")),
    "encoder": frozenset(("embed", "tune")),
}

ENCODERS = frozenset(
    (
        "albert",
        "bert",
        "camembert",
        "deberta",
        "deberta-v2",
        "distilbert",
        "electra",
        "ernie",
        "esm",
        "eurobert",
        "mobilebert",
        "modernbert",
        "mpnet",
        "nomic_bert",
        "nystromformer",
        "roberta",
        "roberta-prelayernorm",
        "roformer",
        "squeezebert",
        "xlm-roberta",
        "xlm-roberta-xl",
    )
)
"""Model types whose body reads both ways. Their plain body (`BertModel`) is what sentence encoders are saved as."""


def read_config(folder: Path) -> dict[str, Any]:
    """The `config.json` of a model folder. Raises ModelError when it is missing or is no JSON object."""
    path = folder / "config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelError(_not_a_model(folder)) from None
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} can't be read as JSON ({error}). Copy or download the model again.") from None
    if not isinstance(config, dict):
        raise ModelError(f"{path} holds no JSON object, so it describes no model. Copy or download the model again.")
    return config


def architecture_of(config: Mapping[str, Any], name: str) -> Architecture:
    """Whether a config describes a causal language model or an encoder. `name` is how the user called the model.

    Raises ModelError for everything else (encoder-decoders, image models, heads that give no text).
    """
    names = [str(entry) for entry in config.get("architectures") or ()]
    kind = str(config.get("model_type", ""))
    if not config.get("is_encoder_decoder"):
        if any(entry.endswith(("ForCausalLM", "LMHeadModel")) for entry in names):
            return "causal"
        if kind in ENCODERS or any(entry.endswith("ForMaskedLM") for entry in names):
            return "encoder"
    said = names[0] if names else f"model type {kind!r}" if kind else "no architecture"
    what = (
        "an encoder-decoder" if config.get("is_encoder_decoder") else "neither a causal language model nor an encoder"
    )
    raise ModelError(
        f"The model {name!r} can't be used: its config.json says {said}, which is {what}. This version opens causal "
        "language models (such as Llama, Qwen, SmolLM) and text encoders (such as BERT, MiniLM, ModernBERT)."
    )


def _not_a_model(folder: Path) -> str:
    if (folder / "adapter_config.json").exists():
        return (
            f"{str(folder)!r} is an adapter, not a model: it has adapter_config.json and no config.json. List it under "
            "`contenders:` and name its base model under `models:`."
        )
    return (
        f"{str(folder)!r} is no model folder: it has no config.json. A model folder holds config.json, *.safetensors "
        "and tokenizer files, as `save_pretrained` writes them."
    )
