"""What all PyTorch models share: what is exported, where memory runs out, and several threads at once."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lookalike import images
from lookalike.models.backbones import huggingface
from lookalike.models.backbones.compiled import CompiledWordsBackbone
from lookalike.models.compiled import Compiled
from lookalike.types import InputSpec, ModelCard, Picture
from tests.contract.test_huggingface import CASES, TEXTS, _card, _silence, folders, sights

torch = pytest.importorskip("torch")

from lookalike.models.backbones import torch_runtime  # noqa: E402 - it needs torch
from lookalike.models.backbones.torch_export import export  # noqa: E402
from lookalike.models.backbones.torch_runtime import TorchBackbone, on_cpu  # noqa: E402

__all__ = ["_silence", "folders", "sights"]  # fixtures


@pytest.fixture
def clip(folders: dict[str, Path]) -> ModelCard:
    return _card(next(case for case in CASES if case.row == "clip"), folders["clip"])


@pytest.fixture
def pictures(sights: list[Path]) -> list[Picture]:
    return [images.read(str(path)) for path in sights]


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From its call on, networks run elsewhere in half precision: on PyTorch's own device without memory."""
    return lambda: monkeypatch.setattr(torch_runtime, "_fastest", lambda: torch.device("meta"))


def _means(forward: Callable[[Any], Any] | None = None) -> TorchBackbone:
    """A network without weights: from 4 x 4 pixels to all of them as they are."""
    spec = InputSpec((4, 4), "squash")
    card = ModelCard(
        name="means", kind="network", dim=48, input=spec, summary="", source="", revision="", license="", loader=""
    )
    return TorchBackbone(card, torch.nn.Identity(), forward or (lambda x: x.flatten(1)))


@pytest.fixture
def squares() -> list[Picture]:
    noise = np.random.default_rng(0)
    return [images.read(noise.integers(0, 256, (4, 4, 3), dtype=np.uint8)) for _ in range(11)]


# --- What is exported ---


def test_on_a_machine_with_a_gpu_what_is_exported_is_loaded_on_the_cpu(
    clip: ModelCard, pictures: list[Picture], tmp_path: Path, gpu: Callable[[], None]
) -> None:
    with on_cpu():
        plain: Any = huggingface.load(clip)
    seen, read = plain.embed(pictures), plain.embed_texts(TEXTS)
    gpu()
    fast: Any = huggingface.load(clip)
    assert {(p.device.type, p.dtype) for p in fast.module.parameters()} == {("meta", torch.float16)}
    with on_cpu():
        exact: Any = huggingface.load(clip)
    assert {(p.device.type, p.dtype) for p in exact.module.parameters()} == {("cpu", torch.float32)}

    # The GPU is the default again, and the network stays where it was made, as do its words, which are loaded only now.
    np.testing.assert_array_equal(exact.embed(pictures), seen)
    np.testing.assert_array_equal(exact.embed_texts(TEXTS), read)
    exact.export(tmp_path)
    found = Compiled(tmp_path, {"files": dict.fromkeys(path.name for path in tmp_path.iterdir())})
    made = CompiledWordsBackbone(clip, found, lambda: pytest.fail("its words were not exported"))
    np.testing.assert_allclose(made.embed(pictures), seen, atol=2e-5)
    np.testing.assert_allclose(made.embed_texts(TEXTS), read, atol=2e-5)


def test_rounded_numbers_are_not_exported(clip: ModelCard, tmp_path: Path, gpu: Callable[[], None]) -> None:
    gpu()
    rounded: Any = huggingface.load(clip)
    with pytest.raises(RuntimeError, match=r"runs in torch\.float16 on meta: load it on_cpu\(\)"):
        rounded.export(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_on_cpu_is_for_one_thread_and_until_its_end(gpu: Callable[[], None]) -> None:
    def now() -> tuple[str, Any]:
        return torch_runtime.device().type, torch_runtime.dtype()

    gpu()
    with ThreadPoolExecutor(1) as other:
        with pytest.raises(KeyError), on_cpu():
            with on_cpu():
                assert now() == ("cpu", torch.float32)
            assert now() == ("cpu", torch.float32)
            assert other.submit(now).result() == ("meta", torch.float16)
            raise KeyError
        assert now() == ("meta", torch.float16)


def test_exporting_says_nothing_and_takes_no_ones_output(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    class Watching(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            outputs.append((sys.stdout, sys.stderr))
            return x.float().mean(dim=(1, 2))

    outputs: list[object] = []
    export(Watching(), torch.zeros((2, 4, 4, 3), dtype=torch.uint8), tmp_path / "network.onnx", "pixels")
    assert set(outputs) == {(sys.stdout, sys.stderr)}
    assert (tmp_path / "network.onnx").stat().st_size > 0
    assert capfd.readouterr() == ("", "")
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


# --- How it runs ---


def test_batch_may_change_meanwhile(squares: list[Picture]) -> None:
    class Tuning(list[Picture]):
        """Like another thread, which tunes at the worst moments."""

        def __getitem__(self, place: Any) -> Any:
            backbone.tune(workers=2, batch=1)
            return super().__getitem__(place)

    backbone = _means()
    backbone.tune(workers=2, batch=4)
    np.testing.assert_array_equal(backbone.embed(Tuning(squares)), _means().embed(squares))


@pytest.mark.parametrize("message", ["CUDA out of memory.", "DefaultCPUAllocator: can't allocate memory"])
def test_where_memory_runs_out_it_goes_on_with_less(message: str, squares: list[Picture]) -> None:
    sizes = []

    def small(x: Any) -> Any:
        sizes.append(len(x))
        if len(x) > 2:
            raise RuntimeError(message)
        return x.flatten(1)

    np.testing.assert_array_equal(_means(small).embed(squares), _means().embed(squares))
    assert max(sizes) == 11
    assert sum(size for size in sizes if size <= 2) == 11


@pytest.mark.parametrize(("message", "tries"), [("out of memory", 4), ("shapes do not fit", 1)])
def test_what_smaller_batches_cannot_mend_is_raised(message: str, tries: int, squares: list[Picture]) -> None:
    sizes = []

    def broken(x: Any) -> Any:
        sizes.append(len(x))
        raise RuntimeError(message)

    with pytest.raises(RuntimeError, match=message):
        _means(broken).embed(squares)
    assert sizes == [11, 5, 2, 1][:tries]


def test_threads_at_once_get_their_own_rows(clip: ModelCard, pictures: list[Picture]) -> None:
    """On a GPU, where there is one, in half precision and with copies beside the computing."""
    with on_cpu():
        wanted = huggingface.load(clip).embed(pictures)
    backbone = huggingface.load(clip)
    shares = [[(i + k) % len(pictures) for k in range(3)] for i in range(len(pictures))] * 3
    with ThreadPoolExecutor(4) as pool:
        rows = pool.map(lambda share: backbone.embed([pictures[i] for i in share]), shares)
        for share, found in zip(shares, rows, strict=True):
            assert (found * wanted[share]).sum(axis=1).min() > 0.999
    different = (wanted @ wanted.T)[~np.eye(len(wanted), dtype=bool)]
    assert different.max() < 0.999
