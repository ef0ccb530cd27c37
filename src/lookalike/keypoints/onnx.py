"""Networks in ONNX files, run by ONNX Runtime: one session a file and process, on one thread of its own each time."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any

import onnxruntime

from lookalike.errors import ModelUnavailable
from lookalike.keypoints.networks import find

_sessions: dict[str, tuple[str, onnxruntime.InferenceSession]] = {}
_opening = threading.Lock()


def run(name: str, outputs: Sequence[str], inputs: Mapping[str, Any]) -> list[Any]:
    """What a registered network makes of its inputs. Callable from several threads at once. Raises ModelUnavailable."""
    path, digest = find(name)
    with _opening:
        held = _sessions.get(name)
        if held is None or held[0] != digest:
            held = _sessions[name] = (digest, _open(path))
    return _ran(path, held[1], outputs, inputs)


def try_out(path: str, outputs: Sequence[str], inputs: Mapping[str, Any]) -> list[Any]:
    """The same with a file that is not registered yet."""
    return _ran(path, _open(path), outputs, inputs)


def _open(path: str) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.enable_mem_pattern = False  # every picture has another shape
    options.log_severity_level = 4
    try:
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime has no common ancestor for its errors
        raise ModelUnavailable(f"{path}: not an ONNX file that can be run: {_first_line(error)}") from error


def _ran(
    path: str, session: onnxruntime.InferenceSession, outputs: Sequence[str], inputs: Mapping[str, Any]
) -> list[Any]:
    try:
        return list(session.run(list(outputs), dict(inputs)))
    except Exception as error:  # likewise
        raise ModelUnavailable(f"{path}: does not take or give what is wanted: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
