"""What a race ran on, for the log: versions, machine, models. Reads package metadata, imports nothing heavy."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from importlib import metadata
from typing import Any

from ..model import Model

LIBRARIES = ("tuningfork", "numpy", "scipy", "scikit-learn", "pandas", "torch", "transformers")


def environment(models: Mapping[str, Model]) -> dict[str, Any]:
    """Plain data for `started`."""
    versions = {}
    for name in LIBRARIES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
        "versions": versions,
        "models": {
            name: {
                "identity": model.identity,
                "parameters": getattr(model, "parameters", None),
                "capabilities": sorted(model.capabilities),
                **({"url": url} if (url := getattr(model, "url", None)) else {}),
            }
            for name, model in models.items()
        },
    }
