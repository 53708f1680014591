"""Opening a model folder: what it is, whether it is whole, and which ways of running it give its own answers.

Causal models run through shared-prefix attention where a check at opening shows that it gives the same hidden states as
the model's own attention; where it does not (sliding windows, state spaces, biases by distance) every row is read
whole, which is slower and right, and `Weights.notes` says so. Encoders run as they are.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from ..errors import ModelError
from ..model import Pooling
from . import attention
from . import rows as rows_
from .device import Device
from .identity import identity_of
from .linear import packed
from .norms import quicken
from .tree import Node
from .weights import Kind, Weights

FACTORIES: dict[Kind, Any] = {"causal": AutoModelForCausalLM, "encoder": AutoModel, "seq2seq": AutoModelForSeq2SeqLM}

TOLERANCE = {torch.float32: 1e-4, torch.bfloat16: 0.05}
"""Mean difference of hidden states (and of logits), relative to their spread, between our pass and the model's own. A
path that attends to the wrong tokens differs by about 1."""

CONTEXT_NAMES = (
    "max_position_embeddings",
    "n_positions",
    "max_encoder_position_embeddings",
    "max_seq_len",
    "seq_length",
)
NO_LIMIT = 1 << 30

TRIED = 80
"""Tokens that the ways of running a model are tried on: enough for biases that grow with distance to show."""


def load(folder: Path, device: Device, cache_folder: Path | None = None) -> Weights:
    """Open a model folder. Raises ModelError for what is no causal model, encoder or encoder-decoder, is damaged, or
    holds NaN. `cache_folder` remembers what is slow to find out."""
    net, tokenizer, kind = _from_files(folder, device)
    _check_tokenizer(net, tokenizer, folder)
    quicken(net)
    weights = Weights(
        net=net,
        tokenizer=tokenizer,
        kind=kind,
        device=torch.device(device.name),
        dtype=device.torch_dtype,
        context_tokens=_context(net, tokenizer, folder),
        identity=identity_of(folder, cache_folder),
        shares=False,
        pooling="last" if kind == "causal" else _pooling(folder),
        parameters=sum(p.numel() for p in net.parameters()),
        decoder_start=_decoder_start(net, folder) if kind == "seq2seq" else 0,
    )
    packed(weights)
    if kind == "encoder":
        weights.shares = _packs(weights)
        return weights
    _check_output(weights, folder)
    if weights.causal and not weights.asks_net:
        _text_alone(weights)
    weights.shares = kind == "causal" and _shares(weights)
    if not weights.shares:
        weights.notes.append(
            f"{net.config.model_type} models can't share what prompts have in common: every prompt is read whole "
            "(slower, same answers)."
        )
    return weights


def _from_files(folder: Path, device: Device) -> tuple[Any, Any, Kind]:
    """The network on its device, the tokenizer, and what kind it is."""
    transformers.logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    transformers.utils.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        kind = _kind(AutoConfig.from_pretrained(folder))
        tokenizer = tokenizer_in(folder)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            net, told = FACTORIES[kind].from_pretrained(
                folder, dtype=device.torch_dtype, output_loading_info=True, ignore_mismatched_sizes=True
            )
    except (OSError, ValueError, KeyError, RuntimeError, ImportError, SafetensorError) as error:
        raise ModelError(f"The model in {folder} can't be opened: {_first_line(error)}") from error
    net = net.to(device.name).eval().requires_grad_(False)
    _whole(net, told, folder)
    return net, tokenizer, kind


def tokenizer_in(folder: Path) -> Any:
    """The tokenizer of a model folder. Raises ModelError."""
    try:
        return AutoTokenizer.from_pretrained(folder)
    except Exception as error:  # the tokenizers library raises bare ones for files that are no tokenizer
        raise ModelError(
            f"The tokenizer in {folder} can't be opened ({_first_line(error)}). Its files (tokenizer.json, "
            "tokenizer_config.json) are missing or damaged: copy or download the model again."
        ) from error


def _check_tokenizer(net: Any, tokenizer: Any, folder: Path) -> None:
    """Raises ModelError for a tokenizer that writes tokens the model doesn't have. Special tokens may lie beyond them
    where nothing writes them, as checkpoints often have it: then another one pads."""
    rows = min(layer.weight.shape[0] for layer in (net.get_input_embeddings(), net.get_output_embeddings()) if layer)
    if tokenizer.pad_token_id is None or tokenizer.pad_token_id >= rows:
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token
    added = {str(token) for token in tokenizer.added_tokens_decoder.values() if token.special}
    special = added.union(tokenizer.all_special_tokens)
    vocabulary = tokenizer.get_vocab()
    if len(vocabulary.keys() - special) < 2:  # what transformers makes up for T5 where there is none has "▁"
        raise ModelError(
            f"The tokenizer in {folder} has no vocabulary. Its files are missing or empty; copy or download the model "
            "again, tokenizer.json included."
        )
    template = str(tokenizer.chat_template or "")
    put_round = tokenizer("a")["input_ids"]
    for token, number in vocabulary.items():
        if number >= rows and (token not in special or token in template or number in put_round):
            raise ModelError(
                f"The tokenizer in {folder} doesn't belong to this model: its token {token!r} has number {number}, and "
                f"the model knows {rows} tokens (0 to {rows - 1}). Copy or download both from one place."
            )


def _whole(net: Any, told: Mapping[str, Any], folder: Path) -> None:
    """Raises ModelError for weights that are not there, don't fit or are no numbers. An encoder's pooler is not asked
    for."""
    gone = sorted(name for name in told["missing_keys"] if not name.startswith("pooler."))
    if gone:
        raise ModelError(f"The model in {folder} lacks {len(gone)} of its weights, first {gone[0]!r}. Fetch it again.")
    for name, stored, wanted in sorted(told["mismatched_keys"]):
        raise ModelError(
            f"The model in {folder} holds {name!r} of shape {tuple(stored)}, and its config.json asks for "
            f"{tuple(wanted)}. Fetch both again from one place."
        )
    broken = [name for name, tensor in net.named_parameters() if not torch.isfinite(tensor).all()]
    if broken:
        raise ModelError(
            f"The model in {folder} holds NaN or infinite weights, first in {broken[0]!r}. Fetch it again."
        )


def _kind(config: Any) -> Kind:
    """What to open a folder as. Some causal models that read pictures too are named as encoder-decoders are; that
    they write, transformers' own table says."""
    names = config.architectures or []
    if config.is_encoder_decoder:
        return "seq2seq"
    if any("CausalLM" in name or name.endswith("LMHeadModel") for name in names):
        return "causal"
    writes = config.model_type in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
    return "causal" if writes and any(name.endswith("ForConditionalGeneration") for name in names) else "encoder"


def _decoder_start(net: Any, folder: Path) -> int:
    """The token that the decoder's answers begin after, as the model's files say."""
    configs = (net.generation_config, net.config, net.config.get_text_config())
    for name in ("decoder_start_token_id", "bos_token_id"):
        for config in configs:
            if getattr(config, name, None) is not None:
                return int(getattr(config, name))
    raise ModelError(
        f"The model in {folder} doesn't say which token its decoder begins with. Add decoder_start_token_id to its "
        "config.json."
    )


def _context(net: Any, tokenizer: Any, folder: Path) -> int:
    """Longest input in tokens that the model was made for."""
    table: Any = getattr(getattr(net, "embeddings", None), "position_embeddings", None)
    padding = getattr(table, "padding_idx", None)  # RoBERTa and kin count positions from after the padding's
    return context_of(net.config, tokenizer, folder, 0 if padding is None else padding + 1)


def context_of(config: Any, tokenizer: Any, folder: Path, unused: int = 0) -> int:
    """The same, read from the files alone; `unused` of the positions hold no token."""
    sentence = folder / "sentence_bert_config.json"
    if sentence.is_file():
        longest = json.loads(sentence.read_text()).get("max_seq_length")
        if longest:
            return int(longest)
    said = (getattr(part, name, None) for part in (config, config.get_text_config()) for name in CONTEXT_NAMES)
    positions = next((tokens for tokens in said if tokens), NO_LIMIT) - unused
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
    """A few token ids, (1, tokens), to check our passes on; none is the padding's, which some models count apart."""
    vocabulary = int(weights.net.config.get_text_config().vocab_size)
    ids = torch.arange(min(TRIED, weights.context_tokens), device=weights.device)[None] * 7919 % vocabulary
    return torch.where(ids == weights.tokenizer.pad_token_id, (ids + 1) % vocabulary, ids)


@torch.inference_mode()
def _check_output(weights: Weights, folder: Path) -> None:
    """Has the model turn hidden states into logits itself where `Weights.logits` doesn't know how. Raises ModelError
    where that is not the same either."""
    if _gives_own_logits(weights):
        return
    weights.asks_net = weights.causal
    if not (weights.asks_net and _gives_own_logits(weights)):
        raise ModelError(
            f"The model in {folder} ({weights.net.config.model_type}) has an output layer of a kind that this version "
            "doesn't know, so its probabilities would be wrong. Use another model."
        )
    weights.notes.append(
        f"{weights.net.config.model_type} models have an output layer that is not known here: the whole model is asked "
        "for its own logits (slower, same answers)."
    )


def _gives_own_logits(weights: Weights) -> bool:
    """Whether `Weights.logits` says what the model itself does, of each token apart from the others."""
    try:
        reference, ours = _logits_both_ways(weights)
        return bool((ours - reference).abs().mean() / reference.std() < TOLERANCE.get(weights.dtype, 0.05))
    except (RuntimeError, TypeError, ValueError, AttributeError, IndexError):
        return False


def _logits_both_ways(weights: Weights) -> tuple[torch.Tensor, torch.Tensor]:
    """The model's own (tokens, vocabulary) logits of a few tokens, and ours."""
    ids = _tried_ids(weights)
    states = weights.body(input_ids=ids, use_cache=False).last_hidden_state
    if not weights.seq2seq:
        ours = weights.logits(states[0].flip(0)).flip(0)
        return weights.net(input_ids=ids, use_cache=False).logits[0].float(), ours
    answer = ids[:, : weights.answer_tokens]
    reference = weights.net(input_ids=ids, decoder_input_ids=answer, use_cache=False).logits[0].float()
    out = weights.net.get_decoder()(input_ids=answer, encoder_hidden_states=states, use_cache=False)
    return reference, weights.logits(out.last_hidden_state[0])


def _text_alone(weights: Weights) -> None:
    """Let go of what stands beside the body to read pictures and sound: nothing here asks it, and tuning would move
    it."""
    body, output = weights.body, weights.net.get_output_embeddings()
    path = next(name for name, module in weights.net.named_modules() if module is body)
    home = path.rpartition(".")[0]
    if not home:
        return
    around = weights.net.get_submodule(home)
    for name, child in list(around.named_children()):
        if not any(module is body or module is output for module in child.modules()):
            setattr(around, name, None)
    weights.parameters = sum(p.numel() for p in weights.net.parameters())


@torch.inference_mode()
def _shares(weights: Weights) -> bool:
    """Whether passes that share a beginning give this model's own hidden states; leaves its attention so. Tried on a
    beginning and two rows that follow it."""
    own = weights.net.config._attn_implementation
    ids = _tried_ids(weights)
    reference = weights.body(input_ids=ids, use_cache=False).last_hidden_state[0].float()
    tokens = ids[0].tolist()
    whole, cut, short = len(tokens), 2 * len(tokens) // 5, 3 * len(tokens) // 4
    begun = Node(tokens[:cut], 0, None)
    try:
        weights.net.set_attn_implementation(attention.NAME)
        weights.shares = True
        kept: dict[int, attention.KeysValues] = {}
        first = rows_.forward(weights, [rows_.build(0, begun.ids, ())], kept=kept)
        rows = [rows_.build(i, tokens[cut:end], (), begun) for i, end in enumerate((whole, short))]
        rest = rows_.forward(weights, rows, [attention.Span(0, whole + short - 2 * cut, attention.held(kept))])
        found = torch.cat([first, rest]).float()
        expected = torch.cat([reference, reference[cut:short]])
        gap = (found - expected).abs().mean() / reference.std()
        if kept and gap < TOLERANCE.get(weights.dtype, 0.05) and not _windowed(weights.net.config):
            return True
    except (RuntimeError, TypeError, ValueError, AttributeError, KeyError, AssertionError):
        pass
    weights.net.set_attn_implementation(own)
    return False


@torch.inference_mode()
def _packs(weights: Weights) -> bool:
    """Whether an encoder gives its own hidden states for two rows that lie in one pass; leaves its attention so."""
    own = weights.net.config._attn_implementation
    ids = _tried_ids(weights)
    rows = [rows_.build(i, ids[0, : ids.shape[1] // n].tolist(), ()) for i, n in enumerate((1, 2))]
    expected = torch.cat([weights.body(input_ids=ids[:, : len(r.ids)]).last_hidden_state[0].float() for r in rows])
    try:
        weights.net.set_attn_implementation(attention.NAME)
        weights.shares = True
        gap = (rows_.forward(weights, rows).float() - expected).abs().mean() / expected.std()
        if gap < TOLERANCE.get(weights.dtype, 0.05) and not _windowed(weights.net.config):
            return True
    except (RuntimeError, TypeError, ValueError, AttributeError, KeyError, IndexError, AssertionError):
        pass
    weights.net.set_attn_implementation(own)
    return False


def _windowed(config: Any) -> bool:
    """Whether any layer sees only a window, or positions turn otherwise in long texts: a short check can't notice."""
    text = config.get_text_config()
    if (getattr(text, "rope_parameters", None) or {}).get("rope_type") in ("dynamic", "longrope"):
        return True
    kinds = set(getattr(text, "layer_types", None) or [])
    windows = ("sliding_window", "attention_chunk_size", "attention_window_size", "window_size")
    return bool(kinds - {"full_attention"}) or (not kinds and any(getattr(text, name, None) for name in windows))
