"""RMS norms in one call of torch's own.

transformers writes a norm as six steps over all states, each a walk through memory; `rms_norm` is half the time on a
CPU. A norm is replaced only where the two say the same on numbers drawn for it: models have norms of that name that
add one to their weights, or multiply before they round.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch.nn import functional as F

ROUNDING = {torch.float32: 1e-6, torch.bfloat16: 0.01}
"""Relative difference that rounding explains: transformers rounds to bf16 twice, `rms_norm` once."""
TRIED = 4
"""Rows of numbers that a norm is tried on."""


def quicken(net: torch.nn.Module) -> int:
    """Have the norms of a model run in one call, where that changes nothing. Gives how many."""
    quick = 0
    for module in net.modules():
        if type(module).__name__.endswith("RMSNorm") and "forward" not in vars(module) and _is_plain(module):
            module.forward = partial(_norm, module, module.forward)
            quick += 1
    return quick


def _is_plain(module: torch.nn.Module) -> bool:
    weight, epsilon = getattr(module, "weight", None), _epsilon(module)
    if not isinstance(weight, torch.Tensor) or weight.dim() != 1 or epsilon is None:
        return False
    dice = torch.Generator().manual_seed(0)
    states = (torch.randn((TRIED, len(weight)), generator=dice) * 3).to(weight.device, weight.dtype)
    with torch.no_grad():
        own, ours = module(states), _norm(module, module.forward, states)
    if own.dtype != ours.dtype:
        return False
    return torch.allclose(own, ours, rtol=ROUNDING.get(own.dtype, 1e-6), atol=1e-7)


def _epsilon(module: torch.nn.Module) -> float | None:
    found = getattr(module, "variance_epsilon", getattr(module, "eps", None))
    return float(found) if isinstance(found, float) else None


def _norm(module: torch.nn.Module, own: Callable[[torch.Tensor], torch.Tensor], states: torch.Tensor) -> torch.Tensor:
    weight = module.weight
    assert isinstance(weight, torch.Tensor)
    if states.shape[-1] != len(weight):  # some models norm over what they broadcast
        return own(states)
    return F.rms_norm(states, (len(weight),), weight, _epsilon(module))
