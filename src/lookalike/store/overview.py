"""What a collection holds, as plain data."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from lookalike.store.reader import Reader


def summary(store: Reader) -> dict[str, Any]:
    """Folders, counts, models and local features with their bytes, unreadable files: the contract of `info --json`."""
    with store.snapshot():
        return {
            "collection": str(store.directory),
            "folders": store.folders(),
            **store.counts(),
            "models": [
                {
                    "name": model.name,
                    "dim": model.dim,
                    "pictures": store.covered(model),
                    "bytes": model.rows * model.dim * 2,
                    "fingerprint": model.fingerprint,
                }
                for model in store.models()
            ],
            "keypoints": store.wanted_features(),
            "features": [asdict(kept) for kept in store.features.summary()],
            "unreadable_files": [{"path": path, "reason": why} for path, why in store.unreadable()],
        }
