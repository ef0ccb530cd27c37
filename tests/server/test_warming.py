"""What is done before the first request comes."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest

import lookalike
from lookalike.embedding import embed_picture
from lookalike.models import registry, tuning
from lookalike.server.batching import Source
from lookalike.server.service import start
from lookalike.server.settings import Settings
from lookalike.server.warming import warm


def test_networks_are_tuned_and_then_give_the_same_vectors(
    settings: Settings, collection: lookalike.Collection, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "vit-tiny" not in collection.models:
        pytest.skip("no shared test material: set LOOKALIKE_SHARED to its folder")
    monkeypatch.setattr(registry, "_loaded", {})  # an earlier test may have tuned it
    monkeypatch.setattr(tuning, "ROUNDS_SECONDS", 0.0)
    files, card, service = sorted(photos.rglob("*.jpg")) * 3, registry.card("vit-tiny"), start(settings)

    async def embedded() -> list[np.ndarray]:
        sources = [Source(file.read_bytes(), {card.input.read_side}) for file in files]
        return list(await asyncio.gather(*(service.batcher.embed(source, card) for source in sources)))

    try:
        warm(service)
        assert card.fingerprint in (tuning.models_folder() / tuning.CACHE).read_text()
        rows = np.concatenate(asyncio.run(embedded()))
        np.testing.assert_allclose(rows, [embed_picture(str(file), card) for file in files], atol=1e-4)
    finally:
        service.close()
