"""The contract that every model holds, ours or a user's."""

from __future__ import annotations

import numpy as np

from lookalike import images
from lookalike.errors import LookalikeError
from lookalike.types import Backbone, Picture, Pixels


def check(backbone: Backbone) -> list[str]:
    """What the model breaks of its promises, in words; an empty list if nothing.

    It must give (n, dim) float32, finite, of length 1, the same each time, and the same alone as in a batch, for
    pictures large, tiny, grey, flat and long.
    """
    pictures = _pictures()
    try:
        first = backbone.embed(pictures)
    except LookalikeError as error:
        return [str(error)]
    problems = []
    if first.shape != (len(pictures), backbone.card.dim):
        return [f"gives {first.shape}, its card says {(len(pictures), backbone.card.dim)}"]
    if first.dtype != np.float32:
        problems.append(f"gives {first.dtype}, not float32")
    if not np.isfinite(first).all():
        return [*problems, "gives numbers that are not finite"]
    if not np.allclose(np.linalg.norm(first, axis=1), 1, atol=1e-3):
        problems.append("gives vectors whose length is not 1")
    if not np.array_equal(first, backbone.embed(pictures)):
        problems.append("gives other numbers the second time")
    alone = np.concatenate([backbone.embed([picture]) for picture in pictures])
    if not np.allclose(first, alone, atol=1e-4):
        worst = float(np.abs(first - alone).max())
        problems.append(f"gives other numbers alone than in a batch (by {worst:.1e})")
    if np.allclose(first[0], first[1], atol=1e-6):
        problems.append("gives the same vector for different pictures")
    return problems


def _pictures() -> list[Picture]:
    """Drawn, not photographed: a check must run anywhere."""
    rng = np.random.default_rng(7)
    y, x = np.mgrid[0:240, 0:320]
    waves: Pixels = np.stack([(np.sin(x / a) * np.cos(y / b) + 1) * 127 for a, b in ((9, 7), (23, 5), (5, 31))], -1)
    blocks = np.kron(rng.integers(0, 256, (6, 8, 3)), np.ones((40, 40, 1)))
    noise = rng.integers(0, 256, (300, 200, 3))
    grey = np.repeat(noise[..., :1], 3, axis=-1)
    flat = np.full((64, 64, 3), 200)
    tiny = np.array([[[10, 20, 30]]])
    long = rng.integers(0, 256, (3, 400, 3))
    return [
        images.read(np.ascontiguousarray(p, dtype=np.uint8)) for p in (waves, blocks, noise, grey, flat, tiny, long)
    ]
