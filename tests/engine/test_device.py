"""The probe that chooses a dtype: asked once, remembered, and never stopped by a bad cache."""

from __future__ import annotations

import json

import pytest
import torch

from tuningfork.engine import device


@pytest.fixture
def probe(monkeypatch):
    """Counts measurements; `rates` is what they find."""
    calls, rates = [], {"float32": 100.0, "bfloat16": 700.0}

    def measured(name, dtype, seconds, size=768):
        calls.append(dtype)
        return rates[str(dtype).removeprefix("torch.")]

    monkeypatch.setattr(device, "_gflops", measured)
    return calls, rates


def test_the_faster_dtype_is_chosen_and_remembered(probe, tmp_path):
    calls, rates = probe
    first = device.choose(tmp_path / "new")
    assert first.torch_dtype is torch.bfloat16 and len(calls) == 2
    rates["bfloat16"] = 1.0
    assert device.choose(tmp_path / "new") == first and len(calls) == 2
    assert first.dtype in (tmp_path / "new" / "device.json").read_text()
    assert device.choose(tmp_path / "other").dtype == "float32"


@pytest.mark.parametrize(("bf16", "dtype"), [(5.0, "float32"), (120.0, "float32"), (140.0, "bfloat16")])
def test_a_near_tie_goes_to_fp32(probe, tmp_path, bf16, dtype):
    probe[1]["bfloat16"] = bf16
    assert device.choose(tmp_path).dtype == dtype


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '"x"', "\x00\xff"])
def test_a_corrupt_cache_is_measured_anew(probe, tmp_path, text):
    (tmp_path / "device.json").write_text(text)
    assert device.choose(tmp_path).dtype == "bfloat16" and len(probe[0]) == 2
    assert json.loads((tmp_path / "device.json").read_text())
    device.choose(tmp_path)
    assert len(probe[0]) == 2


@pytest.mark.parametrize("entry", [None, {}, {"name": "cpu"}, {"name": "cpu", "dtype": "float99", "gflops": {}}, 3])
def test_a_corrupt_entry_is_measured_anew_and_others_are_kept(probe, tmp_path, entry):
    device.choose(tmp_path)
    path = tmp_path / "device.json"
    (key,) = json.loads(path.read_text())
    path.write_text(json.dumps({key: entry, "another machine": {"name": "cuda"}}))
    assert device.choose(tmp_path).dtype == "bfloat16" and len(probe[0]) == 4
    assert json.loads(path.read_text())["another machine"] == {"name": "cuda"}


def test_a_cache_that_cannot_be_written_stops_nothing(probe, tmp_path):
    (tmp_path / "file").write_text("no folder")
    assert device.choose(tmp_path / "file").dtype == "bfloat16"


def test_the_probe_itself(tmp_path):
    found = device.choose(tmp_path, seconds=0.01)
    assert found.name in ("cpu", "cuda") and all(rate > 0 for rate in found.gflops.values())
