"""The networks behind learned local features: where the user's files of them lie, and whether they are the ones added.

A file is registered once, by `lookalike models add FILE --like NAME`: tried, hashed, and from then on held to its hash.
It stays where it is. No network ships with this package, and none is fetched.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lookalike.errors import ModelUnavailable, UsageError
from lookalike.places import models_folder, read_json, sha256, stamp, write_atomically

_hashes: dict[tuple[object, ...], str] = {}


@dataclass(frozen=True, slots=True)
class Network:
    """What is to be known of a network before there is a file of it.

    what:    in a few words
    source:  where its authors publish it
    license: SPDX, of the weights
    trial:   "module:function", which raises ModelUnavailable for a file that is not such a network
    """

    what: str
    source: str
    license: str
    trial: str


NETWORKS = {
    "xfeat": Network(
        "XFeat's backbone (input: grey; outputs: descriptors, keypoint_logits, reliability)",
        "https://github.com/verlab/accelerated_features",
        "Apache-2.0",
        "lookalike.keypoints.xfeat:trial",
    ),
    "lighterglue": Network(
        "LighterGlue, which matches XFeat's keypoints (inputs: kpts0, kpts1, desc0, desc1)",
        "https://github.com/verlab/accelerated_features",
        "Apache-2.0",
        "lookalike.keypoints.lighterglue:trial",
    ),
    "alike": Network(
        "ALIKE (input: RGB; outputs: scores, descriptors)",
        "https://github.com/Shiaoming/ALIKE",
        "BSD-3-Clause",
        "lookalike.keypoints.alike:trial",
    ),
    "aliked": Network(
        "ALIKED, as OpenCV reads it (input: image of 640 x 640; outputs: keypoints, descriptors, scores)",
        "https://github.com/Shiaoming/ALIKED",
        "BSD-3-Clause",
        "lookalike.keypoints.opencv_networks:try_aliked",
    ),
    "disk": Network(
        "DISK, as OpenCV reads it (input: image; outputs: keypoints, scores, descriptors)",
        "https://github.com/fabio-sim/LightGlue-ONNX/releases",
        "Apache-2.0",
        "lookalike.keypoints.opencv_networks:try_disk",
    ),
    "lightglue": Network(
        "LightGlue for ALIKED, as OpenCV reads it (inputs: kpts0, kpts1, desc0, desc1; outputs: matches0, mscores0)",
        "https://github.com/fabio-sim/LightGlue-ONNX/releases",
        "Apache-2.0",
        "lookalike.keypoints.opencv_networks:try_lightglue",
    ),
}


def add(name: str, file: str) -> Path:
    """Register a file as the network of that name, after a trial run; the path of the record of it.

    Raises UsageError where there is no such network or file, or where the file is another network or damaged.
    """
    if name not in NETWORKS:
        raise UsageError(f"no local features use a network called {name!r}: choose from {', '.join(NETWORKS)}")
    path = Path(file).resolve()
    if not path.is_file():
        raise UsageError(f"{file}: no such file")
    module, _, function = NETWORKS[name].trial.partition(":")
    trial: Callable[[str], None] = getattr(importlib.import_module(module), function)
    try:
        trial(str(path))
    except ModelUnavailable as error:
        raise UsageError(f"{error}; {name} is {NETWORKS[name].what}: see {NETWORKS[name].source}") from error
    record = _record(name)
    write_atomically(record, json.dumps({"path": str(path), "sha256": sha256(path)}, indent=2) + "\n")
    return record


def remove(name: str) -> bool:
    """Forget the file of a network, which stays where it is; whether one was known."""
    if not (known := _record(name).is_file()):
        return False
    _record(name).unlink(missing_ok=True)
    return known


def find(name: str) -> tuple[str, str]:
    """The path and SHA-256 of the file that was registered. Raises ModelUnavailable, which says how to come by one."""
    known = read_json(_record(name))
    path, digest = known.get("path"), known.get("sha256")
    if not isinstance(path, str) or not isinstance(digest, str):
        raise ModelUnavailable(
            f"the network {name!r} is not on this machine: get its ONNX file ({NETWORKS[name].source},"
            f" {NETWORKS[name].license}), then run '{command(name)}'; sift, orb and akaze need none"
        )
    try:
        found = _hash(Path(path))
    except OSError as error:
        why = (error.strerror or type(error).__name__).lower()
        raise ModelUnavailable(
            f"the network {name!r}: {path}: {why}: put the file back, or run '{command(name)}' again"
        ) from error
    if found != digest:
        raise ModelUnavailable(
            f"the network {name!r}: {path} has changed since it was added (sha256 {found[:12]}, not {digest[:12]}):"
            f" put the old file back, or run '{command(name)}' again"
        )
    return path, digest


def command(name: str) -> str:
    """What registers a file of that network."""
    return f"lookalike models add FILE.onnx --like {name}"


def _hash(path: Path) -> str:
    """Asked for with every picture, and the folder in which hashes are remembered may not let us write."""
    place, mark = stamp(path)
    key = (place, *mark)
    if key not in _hashes:
        _hashes[key] = sha256(path)
    return _hashes[key]


def _record(name: str) -> Path:
    return models_folder() / "keypoints" / f"{name}.json"
