"""A model of the Hugging Face hub: its folder in the hub library's own cache.

The hub is never needed: the bundled models come from the package index. So every way in which it can be out of reach
ends in one message that says what happened and names the two other doors. Only safetensors weights are fetched: the
older pickle files can run code.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

from ..errors import MissingExtra, ModelError

FILES = ("*.json", "*.safetensors", "*.txt", "*.model", "*.jinja")
NOT_NEEDED = ("onnx/*", "openvino/*", "original/*", "coreml/*", "metal/*")
LOOK_SECONDS = 5.0


def snapshot(name: str, config_only: bool = False) -> Path:
    """The folder of a hub model, fetched where it is not cached yet. `config_only` fetches the small config.json alone.

    Raises ModelError when the hub can't give it, MissingExtra without huggingface_hub.
    """
    if importlib.util.find_spec("huggingface_hub") is None:
        raise MissingExtra("A model of the Hugging Face hub", "huggingface_hub", "local")
    from huggingface_hub import hf_hub_download, snapshot_download

    # Out of reach, the hub library tries for half a minute and talks about it; one quick look spares the wait.
    offline = not _reachable()
    try:
        if config_only:
            return Path(hf_hub_download(name, "config.json", local_files_only=offline)).parent
        allow, ignore = list(FILES), list(NOT_NEEDED)
        return Path(snapshot_download(name, allow_patterns=allow, ignore_patterns=ignore, local_files_only=offline))
    except Exception as error:
        # The hub library raises its own errors, those of its HTTP library, OSError and ValueError; all mean the same
        # here.
        raise ModelError(_letter(name, error, offline)) from error


def _reachable() -> bool:
    """Whether the hub (or the mirror that HF_ENDPOINT names) answers at all, through whatever proxy is set."""
    import requests
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return False
    try:
        requests.head(constants.ENDPOINT, timeout=LOOK_SECONDS)
    except requests.RequestException:
        return False
    return True


def _letter(name: str, error: Exception, offline: bool) -> str:
    kind = type(error).__name__
    if kind == "GatedRepoError":
        why = "it is gated: accept its terms on the hub and log in with `hf auth login`"
    elif kind in ("RepositoryNotFoundError", "RevisionNotFoundError", "HFValidationError"):
        why = "the hub has no such model, or it is private and this machine is not logged in"
    elif offline:
        why = "the hub can't be reached and the model is not in the hub library's cache"
    elif kind in ("EntryNotFoundError", "RemoteEntryNotFoundError"):
        why = "it has no config.json, so it is no transformers model"
    else:
        first = (str(error).strip().splitlines() or [""])[0][:200]
        why = f"{kind}: {first}"
    return (
        f"The model {name!r} can't be had from the Hugging Face hub: {why}. The bundled models smollm2-135m and "
        "minilm-l6 need no hub. A model that lies on this machine opens by its folder: `models: [./my-model]`, a "
        "folder with config.json, *.safetensors and tokenizer files."
    )
