"""Names to models: the menu, folders, hub ids, entry points, and what each refusal says."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from tuningfork import models
from tuningfork.errors import MissingExtra, ModelError, UnknownName
from tuningfork.models import capabilities, menu, open_model
from tuningfork.models.fake import FakeModel

CAUSAL = frozenset(("score", "generate", "embed", "tune"))
ENCODER = frozenset(("embed", "tune"))
ENCODER_DECODER = CAUSAL


def folder(path: Path, weights: bool = True, **config: Any) -> str:
    path.mkdir(parents=True)
    (path / "config.json").write_text(json.dumps(config))
    if weights:
        (path / "model.safetensors").write_bytes(b"")
    return str(path)


@pytest.fixture
def opened(monkeypatch) -> list[tuple[str, Path]]:
    """What would have been opened from disk: LocalModel is another room's business."""
    found: list[tuple[str, Path]] = []

    def local(name: str, path: Path) -> FakeModel:
        found.append((name, path))
        return FakeModel(name)

    monkeypatch.setattr(models, "_local", local)
    return found


@pytest.fixture
def no_hub(monkeypatch) -> None:
    monkeypatch.setattr("tuningfork.models.hub._reachable", lambda: False)


def test_the_menu_has_the_bundled_two_and_the_fakes(tmp_path, monkeypatch):
    monkeypatch.setenv("TUNINGFORK_CACHE", str(tmp_path))
    lines = {info.id: info for info in menu()}
    assert {"smollm2-135m", "minilm-l6", "fake", "fake-encoder"} <= set(lines)
    assert lines["smollm2-135m"].capabilities == CAUSAL and lines["minilm-l6"].capabilities == ENCODER
    assert not lines["minilm-l6"].cached and lines["fake"].cached
    ready = tmp_path / "models" / "minilm-l6-0.1.0"
    ready.mkdir(parents=True)
    (ready / ".complete").write_text("1")
    assert {info.id: info.cached for info in menu()}["minilm-l6"]


def test_every_name_of_the_menu_says_what_it_can(tmp_path, monkeypatch):
    monkeypatch.setenv("TUNINGFORK_CACHE", str(tmp_path))
    assert all(capabilities(info.id) == info.capabilities for info in menu())
    for name in ("fake", "fake-encoder"):
        model = open_model(name)
        assert model.id == name and model.capabilities == capabilities(name)


def test_a_bundled_model_opens_from_its_folder(opened, monkeypatch):
    monkeypatch.setattr(models, "folder_of", lambda name, progress: Path("/cache") / name)
    open_model("minilm-l6")
    assert opened == [("minilm-l6", Path("/cache/minilm-l6"))]


@pytest.mark.parametrize(
    ("config", "can"),
    [
        ({"architectures": ["LlamaForCausalLM"], "model_type": "llama"}, CAUSAL),
        ({"architectures": ["GPT2LMHeadModel"], "model_type": "gpt2"}, CAUSAL),
        (
            {"architectures": ["T5ForConditionalGeneration"], "model_type": "t5", "is_encoder_decoder": True},
            ENCODER_DECODER,
        ),
        ({"architectures": ["MarianMTModel"], "model_type": "marian", "is_encoder_decoder": True}, ENCODER_DECODER),
        ({"architectures": ["Gemma3ForConditionalGeneration"], "model_type": "gemma3"}, CAUSAL),
        ({"architectures": ["Gemma3nForConditionalGeneration"], "model_type": "gemma3n"}, CAUSAL),
        ({"architectures": ["Qwen3_5ForConditionalGeneration"], "model_type": "qwen3_5"}, CAUSAL),
        ({"architectures": ["BertModel"], "model_type": "bert"}, ENCODER),
        ({"architectures": ["MPNetModel"], "model_type": "mpnet"}, ENCODER),
        ({"architectures": ["SomethingNewForMaskedLM"], "model_type": "something"}, ENCODER),
        ({"architectures": ["RobertaForSequenceClassification"], "model_type": "roberta"}, ENCODER),
    ],
)
def test_a_folder_says_what_it_can_without_weights(tmp_path, opened, config, can):
    name = folder(tmp_path / "m", **config)
    assert capabilities(name) == can
    assert open_model(name).id == name
    assert opened == [(name, Path(name))]


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"architectures": ["T5ForConditionalGeneration"], "is_encoder_decoder": True}, "encoder-decoder"),
        ({"architectures": ["BartForCausalLM"], "is_encoder_decoder": True}, "encoder-decoder"),
        (
            {"architectures": ["T5EncoderModel"], "model_type": "t5", "is_encoder_decoder": True},
            "T5EncoderModel, which is no encoder-decoder from text to text",
        ),
        (
            {
                "architectures": ["WhisperForConditionalGeneration"],
                "model_type": "whisper",
                "is_encoder_decoder": True,
            },
            "Whisper",
        ),
        ({"architectures": ["LlavaForConditionalGeneration"], "model_type": "llava"}, "LlavaForConditionalGeneration"),
        ({"architectures": ["ViTForImageClassification"], "model_type": "vit"}, "ViTForImageClassification"),
        ({"model_type": "llama"}, "'llama'"),
        ({}, "no architecture"),
    ],
)
def test_other_architectures_are_refused_by_name(tmp_path, config, said):
    name = folder(tmp_path / "m", **config)
    for ask in (capabilities, open_model):
        with pytest.raises(ModelError, match="opens causal") as refused:
            ask(name)
        assert said in str(refused.value)


def test_folders_that_hold_no_model_say_what_they_are(tmp_path):
    with pytest.raises(ModelError, match="does not exist"):
        open_model("./missing")
    (tmp_path / "file").write_text("")
    with pytest.raises(ModelError, match="is a file"):
        open_model(str(tmp_path / "file"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match="no model folder"):
        open_model(str(tmp_path / "empty"))
    (tmp_path / "empty" / "adapter_config.json").write_text("{}")
    with pytest.raises(ModelError, match="contenders"):
        capabilities(str(tmp_path / "empty"))
    (tmp_path / "empty" / "config.json").write_text("{half")
    with pytest.raises(ModelError, match="as JSON"):
        capabilities(str(tmp_path / "empty"))
    pickled = folder(tmp_path / "old", weights=False, architectures=["LlamaForCausalLM"])
    with pytest.raises(ModelError, match="safetensors"):
        open_model(pickled)


def test_a_folder_named_like_a_hub_id_is_the_folder(tmp_path, opened, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder(tmp_path / "org" / "name", architectures=["LlamaForCausalLM"])
    folder(tmp_path / "plain", architectures=["LlamaForCausalLM"])
    open_model("org/name")
    open_model("plain")
    assert opened == [("org/name", tmp_path / "org" / "name"), ("plain", tmp_path / "plain")]


@pytest.mark.parametrize("name", ["smollm2", "minilm", "fakee", "no such model", "", "a/b/c"])
def test_an_unknown_name_gets_the_menu_at_once(name, monkeypatch):
    def asked(*args: object, **kwargs: object) -> Path:
        raise AssertionError("a slip must not ask the hub")

    monkeypatch.setattr(models, "snapshot", asked)
    for ask in (open_model, capabilities):
        with pytest.raises(UnknownName, match="smollm2-135m") as unknown:
            ask(name)
    if name == "smollm2":
        assert "Did you mean 'smollm2-135m'" in str(unknown.value)


def test_without_a_hub_the_other_doors_are_named(no_hub, tmp_path, monkeypatch):
    pytest.importorskip("huggingface_hub")
    for ask in (open_model, capabilities):
        with pytest.raises(ModelError, match="can't be reached") as refused:
            ask("no-such-org-here/no-such-model")
        assert "minilm-l6" in str(refused.value) and "folder" in str(refused.value)
        with pytest.raises(UnknownName):
            ask("zzzzqqqq")


def test_a_hub_id_is_looked_at_before_it_is_fetched(tmp_path, opened, monkeypatch):
    asked: list[bool] = []
    good = folder(tmp_path / "good", architectures=["LlamaForCausalLM"])
    bad = folder(tmp_path / "bad", architectures=["T5ForConditionalGeneration"], is_encoder_decoder=True)

    def snapshot(name: str, config_only: bool = False) -> Path:
        asked.append(config_only)
        return Path(good if name == "org/good" else bad)

    monkeypatch.setattr(models, "snapshot", snapshot)
    open_model("org/good")
    assert opened == [("org/good", Path(good))] and asked == [True, False]
    with pytest.raises(ModelError, match="encoder-decoder"):
        open_model("org/bad")
    assert asked == [True, False, True], "gigabytes were fetched for nothing"


def test_without_torch_the_install_line_is_said_before_anything_is_fetched(monkeypatch, tmp_path):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(models, "folder_of", None)
    for name in ("minilm-l6", folder(tmp_path / "m", architectures=["LlamaForCausalLM"])):
        with pytest.raises(MissingExtra, match=r"pip install 'tuningfork\[local\]'"):
            open_model(name)


def plugin(name: str) -> FakeModel:
    """An outsider's model."""
    return FakeModel(name, kind="encoder")


plugin.capabilities = ["embed"]  # type: ignore[attr-defined]
plugin.about = "an outsider"  # type: ignore[attr-defined]


def test_packages_add_models_by_entry_points(monkeypatch):
    sys.modules["plugin_of_test"] = sys.modules[__name__]
    entries = [
        EntryPoint("ours", "plugin_of_test:plugin", "tuningfork.models"),
        EntryPoint("odd", "plugin_of_test:str", "tuningfork.models"),
        EntryPoint("broken", "plugin_of_test:absent", "tuningfork.models"),
    ]
    monkeypatch.setattr(models, "entry_points", lambda group: entries)
    monkeypatch.setattr(sys.modules[__name__], "str", str, raising=False)
    assert open_model("ours").id == "ours" and open_model("ours:special").id == "ours:special"
    assert capabilities("ours:special") == {"embed"}
    lines = {info.id: info for info in menu()}
    assert lines["ours"].about == "an outsider" and "can't be loaded" in lines["broken"].about
    with pytest.raises(ModelError, match="no tuningfork Model"):
        open_model("odd")
    with pytest.raises(ModelError, match="can't be loaded"):
        open_model("broken")
    with pytest.raises(UnknownName, match="ours"):
        open_model("oours")


def test_the_menu_loads_nothing_heavy():
    code = (
        "import sys; from tuningfork.models import menu, capabilities; menu(); capabilities('minilm-l6');"
        "heavy = {'torch', 'transformers', 'numpy', 'pandas', 'requests', 'huggingface_hub'} & set(sys.modules);"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": ":".join(sys.path), "HOME": "/tmp"})
