"""Norms in one call: only where it is the same, and with the weights as they are then."""

from __future__ import annotations

import pytest
import torch

from tuningfork.engine.norms import quicken


class MineRMSNorm(torch.nn.Module):
    """As transformers writes most of them; `plus` as Gemma adds one."""

    def __init__(self, plus=0.0):
        super().__init__()
        self.weight, self.variance_epsilon, self.plus = torch.nn.Parameter(torch.rand(8) + 0.5), 1e-5, plus

    def forward(self, x):
        own = x.float()
        own = own * torch.rsqrt(own.pow(2).mean(-1, keepdim=True) + self.variance_epsilon)
        return (self.weight + self.plus) * own.to(x.dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_plain_one_is_quick_and_the_same(dtype):
    norm, plain = MineRMSNorm().to(dtype), MineRMSNorm().to(dtype)
    plain.load_state_dict(norm.state_dict())
    rounding = 1e-6 if dtype == torch.float32 else 0.01
    assert quicken(norm) == 1 and quicken(norm) == 0
    x = torch.randn(2, 5, 8).to(dtype)
    assert torch.allclose(norm(x), plain(x), rtol=rounding)
    norm.weight.data = plain.weight.data = torch.rand(8).to(dtype)
    assert torch.allclose(norm(x), plain(x), rtol=rounding), "with the weights of now"
    narrow = torch.randn(2, 5, 1).to(dtype)
    assert torch.equal(norm(narrow), plain(narrow)), "what is broadcast goes the model's own way"


def test_another_one_of_that_name_is_left_alone():
    assert quicken(MineRMSNorm(plus=1.0)) == 0
