"""Weights and tokenizer of one model, opened once (`opening`), with what every part of the engine asks of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import torch
from transformers.modeling_outputs import MoeModelOutputWithPast

from ..model import Pooling

Kind = Literal["causal", "encoder", "seq2seq"]
"""Reads one way and writes; reads both ways; an encoder that reads and a decoder that writes."""


@dataclass
class Weights:
    """A model in memory. `net` is the whole module, `body` the part that gives hidden states (an encoder-decoder's
    encoder). `decoder_start` is the token that an encoder-decoder's answers begin after; `notes` are for the user;
    `prefix` (layers, 2, Hk, n, D) are the keys and values of virtual tokens, while such an adapter is worn. `output` is
    a packed copy of the output layer's weights (`linear.py`), and the address of those it was made of. `asks_net`: the
    whole module is asked for its logits, since nothing here knows its output layer. `lower` is worn by each pass over
    its rows, while a training keeps what frozen layers give."""

    net: Any
    tokenizer: Any
    kind: Kind
    device: torch.device
    dtype: torch.dtype
    context_tokens: int
    identity: str
    shares: bool
    pooling: Pooling
    parameters: int
    decoder_start: int = 0
    notes: list[str] = field(default_factory=list)
    prefix: torch.Tensor | None = None
    asks_net: bool = False
    output: tuple[torch.Tensor, int] | None = None
    lower: Callable[[Sequence[Any]], AbstractContextManager[None]] | None = None

    @property
    def causal(self) -> bool:
        return self.kind == "causal"

    @property
    def encoder(self) -> bool:
        return self.kind == "encoder"

    @property
    def seq2seq(self) -> bool:
        return self.kind == "seq2seq"

    @property
    def body(self) -> Any:
        if self.encoder:
            return self.net
        part = self.net.get_encoder() if self.seq2seq else self.net.get_decoder()
        return self.net.model if part is self.net else part

    @property
    def answer_tokens(self) -> int:
        """How many tokens an encoder-decoder's decoder reads at most."""
        own = getattr(self.net.config, "max_decoder_position_embeddings", None)
        return min(own or self.context_tokens, self.context_tokens)

    @cached_property
    def first_position(self) -> int:
        """The place of a text's first token in the table of positions: RoBERTa and its kin count from after the
        padding's."""
        table = getattr(getattr(self.net, "embeddings", None), "position_embeddings", None)
        padding = getattr(table, "padding_idx", None)
        return 0 if padding is None else int(padding) + 1

    def logits(self, states: torch.Tensor) -> torch.Tensor:
        """(n, vocabulary) fp32 logits of (n, d) last hidden states."""
        if self.asks_net:
            return self._asked_net(states)
        logits = self._output(states * self._states_scale).float()
        extra = getattr(self.net, "final_logits_bias", None)
        return self._finished(logits if extra is None else logits + extra.float())

    def _asked_net(self, states: torch.Tensor) -> torch.Tensor:
        """What the whole module makes of these states, which stand in for what its body would compute."""
        body, given = self.body, MoeModelOutputWithPast(last_hidden_state=states[None])
        unread = torch.zeros((1, len(states)), dtype=torch.long, device=states.device)
        body.forward = lambda *_, **__: given
        try:
            logits: torch.Tensor = self.net(input_ids=unread, use_cache=False).logits
        finally:
            del body.forward
        return logits[0].float()

    def _output(self, states: torch.Tensor) -> torch.Tensor:
        """By the packed weights, unless others stand in for those that these were made of."""
        layer = self.net.get_output_embeddings()
        if self.output is None or torch.is_grad_enabled() or layer.weight.data_ptr() != self.output[1]:
            plain: torch.Tensor = layer(states)
            return plain
        y: torch.Tensor = torch.ops.mkldnn._linear_pointwise(states, self.output[0], layer.bias, "none", [], "")
        return y

    def logits_of(self, states: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        """(n,) logits of one token each, summed up in fp32. In bf16 a logit of 30 is a multiple of 0.125: too coarse to
        tell likely choices apart."""
        if self.asks_net:
            return self._asked_net(states).gather(1, tokens[:, None])[:, 0]
        layer = self.net.get_output_embeddings()
        logits = (states.float() * self._states_scale * layer.weight[tokens].float()).sum(-1)
        for bias in (layer.bias, getattr(self.net, "final_logits_bias", None)):
            if bias is not None:
                logits = logits + bias.flatten()[tokens].float()
        return self._finished(logits)

    @cached_property
    def _states_scale(self) -> float:
        """T5 and its kin make the decoder's states smaller where the output layer is the table of embeddings."""
        config = self.net.config
        known = config.model_type in ("umt5", "switch_transformers") and config.tie_word_embeddings
        return config.d_model**-0.5 if known or getattr(config, "scale_decoder_outputs", False) else 1.0

    def _finished(self, logits: torch.Tensor) -> torch.Tensor:
        """Scaled and capped as the model's config says."""
        config = self.net.config.get_text_config()
        scale = getattr(config, "logit_scale", None) or 1 / (getattr(config, "logits_scaling", None) or 1)
        scale *= getattr(config, "lm_head_multiplier", None) or 1
        if scale != 1:
            logits = logits * scale
        cap = getattr(config, "final_logit_softcapping", None)
        return logits if not cap else torch.tanh(logits / cap) * cap
