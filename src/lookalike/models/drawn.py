"""Pictures drawn by a formula, to try a network on: always the same ones, and anywhere."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def drawn(size: tuple[int, int], count: int = 16, seed: int = 0) -> npt.NDArray[np.uint8]:
    """(count, height, width, 3) pictures with the statistics of photos, where they matter to a network.

    Each is a scene of soft and sharp shapes, some striped, before a gradient; textures lie over all of it, whose
    spectrum falls with the frequency as that of photos does (amplitude 1/f: Field, 1987). Contrast and colour differ
    from picture to picture, up to parts that are all black or white. The same arguments give the same pictures.
    """
    return np.stack([_scene(size, np.random.default_rng([seed, i])) for i in range(count)])


def _scene(size: tuple[int, int], rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    height, width = size
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    turn = rng.uniform(0, 2 * np.pi)
    ramp = ((x * np.cos(turn) + y * np.sin(turn)) / 3 + 0.5)[..., None]
    scene = ramp * rng.uniform(0, 1, 3) + (1 - ramp) * rng.uniform(0, 1, 3)
    for _ in range(rng.integers(3, 12)):
        turn = rng.uniform(0, 2 * np.pi)
        centre, radius = rng.uniform(-1, 1, 2), 0.9 * rng.uniform(0.15, 1, 2) ** 2
        u = (x - centre[0]) * np.cos(turn) + (y - centre[1]) * np.sin(turn)
        v = (y - centre[1]) * np.cos(turn) - (x - centre[0]) * np.sin(turn)
        corners = rng.choice([2, 2, 8])  # an ellipse, or nearly a rectangle
        inside = np.abs(u / radius[0]) ** corners + np.abs(v / radius[1]) ** corners
        cover = 1 / (1 + np.exp(np.clip((inside - 1) * rng.choice([3, 20, 200]), -30, 30)))
        colour = rng.uniform(-0.1, 1.1, 3) + 0.3 * rng.uniform(0, 1) ** 3 * _texture(size, rng)[..., None]
        if rng.random() < 0.3:
            colour = colour + 0.3 * np.sign(np.sin(u * rng.uniform(10, 120)))[..., None]
        scene += (colour - scene) * cover[..., None]
    scene += 0.2 * rng.uniform(0, 1) ** 2 * _texture(size, rng)[..., None]
    scene += 0.05 * rng.uniform(0, 1) ** 2 * np.stack([_texture(size, rng) for _ in range(3)], axis=-1)
    grey = scene.mean(axis=2, keepdims=True)
    scene = grey + (scene - grey) * rng.uniform(0.1, 1)
    return np.asarray(np.clip(scene * 255, 0, 255), dtype=np.uint8)


def _texture(size: tuple[int, int], rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """(height, width) noise of mean 0 and deviation 1, whose amplitude falls as 1/f."""
    height, width = size
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width))
    frequency[0, 0] = np.inf
    noise = np.fft.irfft2(np.fft.rfft2(rng.standard_normal(size)) / frequency, size)
    return np.asarray(noise / noise.std(), dtype=np.float64)
