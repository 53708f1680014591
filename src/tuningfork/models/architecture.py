"""What a `config.json` says a model is: read before any weights are.

A menu, a plan and an error must know what a model can do in milliseconds and without torch, so this looks only at the
names in the config: the architecture first, the model type where a body stands without its head. It opens nothing, and
it knows three kinds of model: causal language models, text encoders, and encoder-decoders from text to text. Everything
else is refused by name.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from ..errors import ModelError
from ..model import Capability

Architecture = Literal["causal", "encoder", "seq2seq"]

CAPABILITIES: Mapping[Architecture, frozenset[Capability]] = {
    "causal": frozenset(("score", "generate", "embed", "tune")),
    "encoder": frozenset(("embed", "tune")),
    "seq2seq": frozenset(("score", "generate", "embed", "tune")),
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

ENCODER_DECODERS = frozenset(
    (
        "bart",
        "blenderbot",
        "blenderbot-small",
        "led",
        "longt5",
        "m2m_100",
        "marian",
        "mbart",
        "mt5",
        "mvp",
        "nllb-moe",
        "pegasus",
        "pegasus_x",
        "plbart",
        "switch_transformers",
        "t5",
        "t5gemma",
        "umt5",
    )
)
"""Model types that read a text with an encoder and write another with a decoder. Their kin for speech and pictures are
built alike and read no text, so a config's `is_encoder_decoder` alone doesn't say. BigBird is not here: it draws by lot
what a token attends to."""

CAUSAL = ("ForCausalLM", "LMHeadModel")
READERS_OF_MORE = frozenset(("gemma3", "gemma3n", "gemma4", "gemma4_unified", "qwen3_5", "qwen3_5_moe"))
"""Model types of causal language models that read pictures or sound too, and call themselves as encoder-decoders do
(`Gemma3ForConditionalGeneration`). transformers opens them as causal models, and here they read text."""

WRITERS = ("ForConditionalGeneration", "MTModel")
"""How the architectures of encoder-decoders that can write end: with their output layer on."""


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
    """Whether a config describes a causal language model, an encoder or an encoder-decoder. `name` is how the user
    called the model.

    Raises ModelError for everything else (speech and image models, heads that give no text).
    """
    names = [str(entry) for entry in config.get("architectures") or ()]
    kind = str(config.get("model_type", ""))
    if config.get("is_encoder_decoder"):
        if kind in ENCODER_DECODERS and any(entry.endswith(WRITERS) for entry in names):
            return "seq2seq"
    elif any(entry.endswith(_writers_of(kind)) for entry in names):
        return "causal"
    elif kind in ENCODERS or any(entry.endswith("ForMaskedLM") for entry in names):
        return "encoder"
    said = names[0] if names else f"model type {kind!r}" if kind else "no architecture"
    what = (
        "no encoder-decoder from text to text with its output layer"
        if config.get("is_encoder_decoder")
        else "neither a causal language model nor an encoder"
    )
    raise ModelError(
        f"The model {name!r} can't be used: its config.json says {said}, which is {what}. This version opens causal "
        "language models (such as Llama, Qwen, SmolLM), encoder-decoders (such as T5, FLAN-T5, BART) and text encoders "
        "(such as BERT, MiniLM, ModernBERT)."
    )


def _writers_of(kind: str) -> tuple[str, ...]:
    """How the architectures of causal language models of this type may end."""
    return (*CAUSAL, "ForConditionalGeneration") if kind in READERS_OF_MORE else CAUSAL


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
