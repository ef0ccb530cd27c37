"""Official weights onto this machine: verified, resumed, locked. With `transfer`, all that opens a connection.

huggingface_hub says what a repository holds (commit, sizes, hashes) and who we are (token); `transfer` reads the
bytes. The library's own download begins every interrupted file anew (since 1.18), and knocks for minutes, with no
knob for it, at a hub that has gone away; and files that lie on no hub want the same care.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from lookalike.errors import ModelUnavailable, UsageError
from lookalike.models import placing, transfer, weights
from lookalike.models.transfer import Wanted, Wrong
from lookalike.models.weights import Lock
from lookalike.types import ModelCard

Progress = Callable[[str, int, int | None], None]
"""Called with the model's name, the bytes that are there, and those that there will be (None: unknown)."""

_Tell = Callable[[int, int | None], None]
_PLAIN = re.compile(r"\w[\w.-]*")


@dataclass(frozen=True, slots=True)
class Pulled:
    """What is on this machine now.

    commit:  of the repository, where it is known
    files:   SHA-256 by name; empty for weights that were here already and that no pull had brought
    fresh:   whether they came just now
    licence: as the hub names it, and whether it wants it accepted first; known only when it was asked
    """

    path: str
    commit: str | None
    files: Mapping[str, str]
    size: int
    fresh: bool
    licence: str | None = None
    gated: bool = False


@dataclass(frozen=True, slots=True)
class _Task:
    """One pull. `lock` is what it is held to (None: nothing), `here` what find() found."""

    card: ModelCard
    source: str
    target: Path
    lock: Lock | None
    here: str | None
    progress: Progress

    def tell(self, done: int, total: int | None) -> None:
        self.progress(self.card.name, done, total)

    def unreachable(self, host: str, why: str) -> ModelUnavailable:
        return self.unavailable(f"{host} cannot be reached ({why})")

    def unavailable(self, why: str) -> ModelUnavailable:
        return ModelUnavailable(
            f"{why}: {f'{self.here} stays as it is' if self.here else weights.missing_message(self.card)}"
        )

    def refused(self, host: str, code: int) -> ModelUnavailable:
        """What a status of 4xx or 5xx means."""
        if code in (401, 403):
            return ModelUnavailable(
                f"{host} lets nobody have {self.source} without asking ({code}): accept its licence on the model's"
                " page, then set HF_TOKEN to a token of yours (or run 'hf auth login') and run the same command again"
                " (it answers the same for a name that does not exist)"
            )
        if code in (404, 410):
            return ModelUnavailable(f"{host} has no {self.source} ({code}): is the name right?")
        return self.unreachable(host, f"it answers {code}")

    def other_files(self, what: str) -> Wrong:
        return Wrong(
            f"{self.source} has other files now than those first pulled ({what}); nothing was changed here:"
            f" to accept them run 'lookalike models pull {self.card.name} --update'"
        )


def pull(card: ModelCard, *, offline: bool = False, update: bool = False, progress: Progress | None = None) -> Pulled:
    """Get the official weights of a model, or find that they are here already: then no connection is opened.

    The first pull of a source records its commit and hashes; later ones are held to them, unless `update`.
    Raises ModelUnavailable, in under 10 seconds, where the place cannot be reached, or has other files than those
    recorded; StorageError where the disk is full. Nothing incomplete ever bears the final name.
    """
    if card.weights is None:
        raise UsageError(f"{card.name!r} needs no weights: there is nothing to pull")
    held, here = weights.locks().get(card.weights), weights.find(card)
    if here and not update and placing.is_held(Path(here), held):
        _refuse_impostor(card.weights, Path(here))
        return _pulled(Path(here), held)
    if card.weights == "file":
        raise ModelUnavailable(weights.missing_message(card))
    target = weights.models_folder() / (held.path if held else weights.home(card))
    task = _Task(
        card, card.weights, target, None if update else held, here, progress or (lambda what, done, total: None)
    )
    if offline or _told_to_stay_offline():
        raise task.unavailable("offline, as was asked")
    with placing.place(card, target) as part:
        try:
            bring = _bring_repository if task.source.startswith("hf:") else _bring_file
            lock, licence, gated = bring(task, part)
        except Wrong as error:
            placing.discard(part)
            raise ModelUnavailable(str(error)) from error
        placing.settle(task.source, part, target, lock)
    return _pulled(target, lock, fresh=True, licence=licence, gated=gated)


def _pulled(path: Path, lock: Lock | None, **more: Any) -> Pulled:
    if path.is_dir():
        size = sum(file.stat().st_size for file in path.iterdir() if not lock or file.name in lock.files)
    else:
        size = path.stat().st_size
    snapshot = path.name if path.parent.name == "snapshots" else None
    return Pulled(
        path=str(path),
        commit=lock.commit if lock else snapshot,
        files=dict(lock.files) if lock else {},
        size=size,
        **{"fresh": False, **more},
    )


def _bring_repository(task: _Task, part: Path) -> tuple[Lock, str | None, bool]:
    """Bring the files of a repository that are needed into the folder `part`."""
    pinned = task.lock.commit if task.lock else None
    info, wanted = _listing(task, pinned)
    if pinned and info.sha != pinned:
        raise task.other_files(f"commit {info.sha} instead of {pinned}")
    known = task.lock.files if task.lock else {}
    for name, digest in known.items():
        if name not in wanted or wanted[name].sha256 not in (None, digest):
            raise task.other_files(name)
    if "config.json" not in wanted:
        raise ModelUnavailable(f"{task.source} has no config.json: it is no model in the format of transformers")
    part.mkdir(exist_ok=True)
    done: dict[str, str] = {}

    def bring(name: str, tell: _Tell | None = None) -> None:
        if name not in done:
            done[name] = _fetch(task, wanted[name], part / name, tell or (lambda count, total: None))
            if known.get(name, done[name]) != done[name]:
                raise task.other_files(name)

    def read(name: str) -> bytes:
        bring(name)
        return (part / name).read_bytes()

    chosen = weights.chosen_weights(wanted, read)
    if chosen is None:
        raise ModelUnavailable(
            f"{task.source} has no weights in model.safetensors or pytorch_model.bin, whole or sharded"
        )
    settings = weights.CONFIGS + (weights.TOKENIZERS if task.card.texts else ())
    names = list(dict.fromkeys([*(name for name in settings if name in wanted), *chosen, *known]))
    total = sum(wanted[name].size or 0 for name in names)
    placing.refuse_without_room(part, total - sum(file.stat().st_size for file in part.iterdir()))
    before = 0
    for name in names:
        bring(name, partial(lambda before, count, _: task.tell(before + count, total), before))
        before += wanted[name].size or 0
        task.tell(before, total)
    for file in part.iterdir():
        if file.name not in done:
            file.unlink()  # left by a pull of another commit
    return Lock(task.target.name, info.sha, done), getattr(info.card_data, "license", None), bool(info.gated)


def _listing(task: _Task, revision: str | None) -> tuple[Any, dict[str, Wanted]]:
    """What the hub says of a repository, in one request: its commit, and its files with their sizes and hashes."""
    repository = task.source.removeprefix("hf:")
    if not all(map(_PLAIN.fullmatch, repository.split("/"))) or repository.count("/") > 1:
        raise UsageError(f"{task.source}: names no repository: hf:OWNER/NAME is wanted")
    hub = _hub_library()
    endpoint = (os.environ.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/")
    host = urlsplit(endpoint).netloc

    def ask() -> tuple[Any, dict[str, str]]:
        # model_info tries once; most other calls of the library retry for long.
        api = hub.HfApi(endpoint=endpoint)
        info = api.model_info(repository, revision=revision, timeout=transfer.SILENCE, files_metadata=True)
        return info, hub.utils.build_hf_headers()

    try:
        info, headers = transfer.within(transfer.DEADLINE, ask)
        files = {
            file.rfilename: Wanted(
                name=file.rfilename,
                url=hub.hf_hub_url(info.id, file.rfilename, revision=info.sha, endpoint=endpoint),
                size=file.lfs.size if file.lfs else file.size,
                sha256=file.lfs.sha256 if file.lfs else None,
                git=None if file.lfs else file.blob_id,
                headers=headers,
            )
            for file in info.siblings
            if _PLAIN.fullmatch(file.rfilename)  # none below a folder
        }
    except hub.errors.OfflineModeIsEnabled as error:
        raise task.unavailable("offline, as was asked") from error
    except hub.errors.HfHubHTTPError as error:
        code, why = error.response.status_code, error.response.headers.get("X-Error-Code")
        if revision and why == "RevisionNotFound":
            raise task.other_files(f"commit {revision} is gone") from error
        if code == 404 and not why:  # a hub says what it is that is not found; a proxy in between does not
            raise task.unreachable(host, f"it answers {code}, as no hub does") from error
        raise task.refused(host, code) from error
    except (hub.errors.HTTPError, OSError) as error:  # of its HTTP library, whichever that is
        raise task.unreachable(host, transfer.reason(error)) from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise task.unreachable(host, transfer.PORTAL) from error
    return info, files


def _hub_library() -> Any:
    # Before the import: otherwise the library asks the hub for more than we do, to tell it who is calling.
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    try:
        import huggingface_hub
        import huggingface_hub.constants
        import huggingface_hub.errors
    except ImportError as error:
        raise ModelUnavailable("huggingface_hub is missing: pip install 'lookalike[torch]'") from error
    huggingface_hub.constants.HF_HUB_DISABLE_TELEMETRY = True  # where another had imported it already
    return huggingface_hub


def _bring_file(task: _Task, part: Path) -> tuple[Lock, str | None, bool]:
    """Bring the one file of a URL to `part`."""
    name = weights.url_name(task.source)
    known = task.lock.files.get(name) if task.lock else None
    wanted = Wanted(name, task.source, sha256=_official_hash(name))
    digest = _fetch(task, wanted, part, task.tell, sure=known is not None)
    if known and digest != known:
        raise task.other_files(name)
    return Lock(task.target.name, None, {name: digest}), None, False


def _official_hash(name: str) -> str | None:
    """The first digits of a file's SHA-256, which the names of torchvision's and torch hub's files end in."""
    found = re.search(r"-([0-9a-f]{8,64})\.", name)
    return found[1] if found else None


def _refuse_impostor(source: str, here: Path) -> None:
    """Raise ModelUnavailable for a file that is not what its official name says."""
    official = _official_hash(weights.url_name(source)) if source.startswith("https:") else None
    if official and not (found := weights.sha256(here)).startswith(official):
        raise ModelUnavailable(
            f"{here}: is not the official file: its SHA-256 begins with {found[:8]}, not {official}:"
            " delete it and run the same command again"
        )


def _fetch(task: _Task, wanted: Wanted, place: Path, tell: _Tell, sure: bool = False) -> str:
    """`transfer.fetch`, its troubles told as what they mean for this model."""
    host = urlsplit(wanted.url).netloc
    try:
        return transfer.fetch(wanted, place, tell, sure)
    except transfer.Unreachable as error:
        raise task.unreachable(host, str(error)) from error
    except transfer.Refused as error:
        raise task.refused(host, error.code) from error
    except transfer.Broken as error:
        raise ModelUnavailable(str(error)) from error


def _told_to_stay_offline() -> bool:
    return any(
        os.environ.get(name, "").upper() in ("1", "ON", "YES", "TRUE")
        for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
    )
