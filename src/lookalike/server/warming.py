"""What the first search would have to wait for, done beforehand: models loaded, vectors mapped, libraries imported.

Then networks are made ready for many pictures, as before indexing: as loaded they suit one search of a short process.
"""

from __future__ import annotations

import logging
import time

import numpy as np

from lookalike.embedding import embed_pictures
from lookalike.errors import LookalikeError
from lookalike.models import registry
from lookalike.models.tuning import usable_cores
from lookalike.server.service import Service
from lookalike.types import Backbone, Picture, Tunable

log = logging.getLogger("lookalike")


def warm(service: Service) -> None:
    """Search every collection once by each of its models. What fails here will say so when it is asked for."""
    loaded: dict[str, Backbone] = {}
    grey = Picture(np.full((256, 256, 3), 128, dtype=np.uint8), 256, 256, "array")
    for name in service.shelf.names:
        try:
            collection = service.shelf.collection(name)
            for model in collection.usable() if collection.exists else ():
                began = time.perf_counter()
                loaded[model] = backbone = registry.load(registry.card(model))
                vectors = embed_pictures(backbone, [grey])
                collection.search_vectors({model: vectors}, k=1)
                log.info("%s: model %s is ready (%.1f s)", name, model, time.perf_counter() - began)
        except LookalikeError as error:
            log.warning("%s: %s", name, error)
    for model, backbone in loaded.items():
        if isinstance(backbone, Tunable):
            try:
                backbone.tune(usable_cores())
            except LookalikeError as error:
                log.warning("model %s could not be tuned: %s", model, error)
