"""Weights and tokenizer of one model, opened once, with what every part of the engine asks of them.

Causal models run through shared-prefix attention where a check at opening shows that it gives the same hidden states as
the model's own attention; where it does not (sliding windows, state spaces, odd positions) every row is read whole,
which is slower and right. Encoders run as they are.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM, AutoTokenizer

from ..errors import ModelError
from ..model import Pooling
from . import attention
from .device import Device

TOLERANCE = {torch.float32: 1e-4, torch.bfloat16: 0.05}
"""Mean difference of hidden states (and of logits), relative to their spread, between our pass and the model's own. A
path that attends to the wrong tokens differs by about 1."""

TOKENIZER_FILES = ("tokenizer*", "*.jinja", "vocab.*", "merges.txt", "special_tokens_map.json", "added_tokens.json")


@dataclass
class Weights:
    """A model in memory. `net` is the whole module, `body` the part that gives hidden states."""

    net: Any
    tokenizer: Any
    causal: bool
    device: torch.device
    dtype: torch.dtype
    context_tokens: int
    identity: str
    shares: bool
    pooling: Pooling
    parameters: int
    notes: list[str] = field(default_factory=list)

    @property
    def body(self) -> Any:
        return self.net.get_decoder() if self.causal else self.net

    def logits(self, states: torch.Tensor) -> torch.Tensor:
        """(n, vocabulary) fp32 logits of (n, d) last hidden states."""
        return self._finished(self.net.get_output_embeddings()(states).float())

    def logits_of(self, states: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        """(n,) logits of one token each, summed up in fp32. In bf16 a logit of 30 is a multiple of 0.125: too coarse to
        tell likely choices apart."""
        layer = self.net.get_output_embeddings()
        logits = (states.float() * layer.weight[tokens].float()).sum(-1)
        return self._finished(logits if layer.bias is None else logits + layer.bias[tokens].float())

    def _finished(self, logits: torch.Tensor) -> torch.Tensor:
        """Scaled and capped as the model's config says."""
        config = self.net.config.get_text_config()
        scale = getattr(config, "logit_scale", None) or 1 / (getattr(config, "logits_scaling", None) or 1)
        if scale != 1:
            logits = logits * scale
        cap = getattr(config, "final_logit_softcapping", None)
        return logits if not cap else torch.tanh(logits / cap) * cap


def load(folder: Path, device: Device) -> Weights:
    """Open a model folder. Raises ModelError for what is no causal model or encoder, is damaged, or holds NaN."""
    transformers.logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    transformers.utils.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        config = AutoConfig.from_pretrained(folder)
        tokenizer = AutoTokenizer.from_pretrained(folder)
        causal = _is_causal(config)
        factory: Any = AutoModelForCausalLM if causal else AutoModel
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            net, told = factory.from_pretrained(folder, dtype=device.torch_dtype, output_loading_info=True)
    except (OSError, ValueError, KeyError, RuntimeError, ImportError, SafetensorError) as error:
        raise ModelError(f"The model in {folder} can't be opened: {_first_line(error)}") from error
    net = net.to(device.name).eval().requires_grad_(False)
    _whole(net, told["missing_keys"], folder)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token
    weights = Weights(
        net=net,
        tokenizer=tokenizer,
        causal=causal,
        device=torch.device(device.name),
        dtype=device.torch_dtype,
        context_tokens=_context(net, tokenizer, folder),
        identity=identity_of(folder),
        shares=False,
        pooling="last" if causal else _pooling(folder),
        parameters=sum(p.numel() for p in net.parameters()),
    )
    if causal:
        _check_output(weights, folder)
        weights.shares = _shares(weights)
    return weights


def _whole(net: Any, missing: Iterable[str], folder: Path) -> None:
    """Raises ModelError for weights that are not there or are no numbers. An encoder's pooler is not asked for."""
    gone = sorted(name for name in missing if not name.startswith("pooler."))
    if gone:
        raise ModelError(f"The model in {folder} lacks {len(gone)} of its weights, first {gone[0]!r}. Fetch it again.")
    broken = [name for name, tensor in net.named_parameters() if not torch.isfinite(tensor).all()]
    if broken:
        raise ModelError(
            f"The model in {folder} holds NaN or infinite weights, first in {broken[0]!r}. Fetch it again."
        )


def tokenizer_of(folder: Path) -> str:
    """A hash of the files that decide how text becomes tokens, chat template included."""
    digest = hashlib.sha256()
    names = [path for pattern in TOKENIZER_FILES for path in folder.glob(pattern)]
    for path in sorted(set(names)):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def identity_of(folder: Path) -> str:
    """A hash that names the weights: every file's size, and the first and last MiB of each weight file."""
    digest = hashlib.sha256()
    for path in sorted([*folder.glob("*.safetensors"), *folder.glob("*.bin"), folder / "config.json"]):
        size = path.stat().st_size
        digest.update(f"{path.name} {size}\n".encode())
        with path.open("rb") as file:
            digest.update(file.read(1 << 20))
            file.seek(max(0, size - (1 << 20)))
            digest.update(file.read(1 << 20))
    return digest.hexdigest()[:16]


def _is_causal(config: Any) -> bool:
    names = config.architectures or []
    if getattr(config, "is_encoder_decoder", False):
        raise ValueError(f"{names or config.model_type} is an encoder-decoder; open a causal model or an encoder.")
    return any("CausalLM" in name or name.endswith("LMHeadModel") for name in names)


def _context(net: Any, tokenizer: Any, folder: Path) -> int:
    """Longest input in tokens that the model was made for."""
    config = net.config
    sentence = folder / "sentence_bert_config.json"
    if sentence.is_file():
        longest = json.loads(sentence.read_text()).get("max_seq_length")
        if longest:
            return int(longest)
    positions = getattr(config, "max_position_embeddings", None) or getattr(config, "n_positions", None) or 1 << 30
    table: Any = getattr(getattr(net, "embeddings", None), "position_embeddings", None)
    if getattr(table, "padding_idx", None) is not None:  # RoBERTa and kin count positions from after the padding's
        positions -= table.padding_idx + 1
    return int(min(positions, tokenizer.model_max_length))


def _pooling(folder: Path) -> Pooling:
    """How a sentence encoder's own files say that tokens become one vector; the mean where they don't say."""
    path = folder / "1_Pooling" / "config.json"
    if path.is_file() and json.loads(path.read_text()).get("pooling_mode_cls_token"):
        return "first"
    return "mean"


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _tried_ids(weights: Weights) -> torch.Tensor:
    """A few token ids, (1, 24), to check our passes on."""
    vocabulary = int(weights.net.config.get_text_config().vocab_size)
    return torch.arange(24, device=weights.device)[None] * 7919 % vocabulary


@torch.inference_mode()
def _check_output(weights: Weights, folder: Path) -> None:
    """Raises ModelError when the model turns hidden states into logits in a way that `Weights.logits` doesn't know."""
    ids = _tried_ids(weights)
    reference = weights.net(input_ids=ids, use_cache=False).logits[0].float()
    ours = weights.logits(weights.body(input_ids=ids, use_cache=False).last_hidden_state[0])
    if not (ours - reference).abs().mean() / reference.std() < TOLERANCE.get(weights.dtype, 0.05):
        raise ModelError(
            f"The model in {folder} ({weights.net.config.model_type}) has an output layer of a kind that this version "
            "doesn't know, so its probabilities would be wrong. Use another model."
        )


@torch.inference_mode()
def _shares(weights: Weights) -> bool:
    """Whether the shared-prefix pass gives this model's own hidden states, tried on a few tokens; leaves it on."""
    config = weights.net.config
    own = config._attn_implementation
    ids = _tried_ids(weights)
    reference = weights.body(input_ids=ids, use_cache=False).last_hidden_state.float()
    try:
        weights.net.set_attn_implementation(attention.NAME)
        first = attention.Shared(record=True)
        weights.body(input_ids=ids[:, :10], use_cache=False, shared=first)
        second = attention.Shared(prefix=first.own)
        rest = weights.body(
            input_ids=ids[:, 10:],
            position_ids=torch.arange(10, 24, device=weights.device)[None],
            attention_mask=attention.causal_mask(14, weights.dtype, weights.device),
            use_cache=False,
            shared=second,
        ).last_hidden_state.float()
        gap = (rest - reference[:, 10:]).abs().mean() / reference.std()
        if first.own and gap < TOLERANCE.get(weights.dtype, 0.05) and not _windowed(config):
            return True
    except (RuntimeError, TypeError, ValueError, AttributeError, KeyError):
        pass
    weights.net.set_attn_implementation(own)
    weights.notes.append("This architecture can't share prefixes; every prompt is read whole (slower, same answers).")
    return False


def _windowed(config: Any) -> bool:
    """Whether any layer sees only a window, or positions turn otherwise in long texts: a short check can't notice."""
    text = config.get_text_config()
    if (getattr(text, "rope_parameters", None) or {}).get("rope_type") in ("dynamic", "longrope"):
        return True
    kinds = set(getattr(text, "layer_types", None) or [])
    return bool(kinds - {"full_attention"}) or (not kinds and bool(getattr(text, "sliding_window", None)))
