"""Find images that look alike.

>>> import lookalike
>>> photos = lookalike.open("photos")              # doctest: +SKIP
>>> photos.add()                                   # doctest: +SKIP
>>> photos.search("query.jpg", k=5)                # doctest: +SKIP
>>> lookalike.compare("a.jpg", "b.jpg")            # doctest: +SKIP
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lookalike.collection import Collection
    from lookalike.comparison import Comparison, compare
    from lookalike.errors import LookalikeError, UnreadableImage
    from lookalike.explaining import explain
    from lookalike.models.custom import register as model
    from lookalike.opening import open_collection as open
    from lookalike.reranking import rerank
    from lookalike.types import Evidence, Hit, Hits, Term
    from lookalike.views import Views

__version__ = "0.1.0"

# The door is lazy: `import lookalike` loads nothing, so that the command line starts at once.
_DOOR = {
    "Collection": "lookalike.collection:Collection",
    "Comparison": "lookalike.comparison:Comparison",
    "Evidence": "lookalike.types:Evidence",
    "Hit": "lookalike.types:Hit",
    "Hits": "lookalike.types:Hits",
    "Term": "lookalike.types:Term",
    "LookalikeError": "lookalike.errors:LookalikeError",
    "UnreadableImage": "lookalike.errors:UnreadableImage",
    "Views": "lookalike.views:Views",
    "compare": "lookalike.comparison:compare",
    "explain": "lookalike.explaining:explain",
    "model": "lookalike.models.custom:register",
    "open": "lookalike.opening:open_collection",
    "rerank": "lookalike.reranking:rerank",
}
__all__ = [
    "Collection",
    "Comparison",
    "Evidence",
    "Hit",
    "Hits",
    "LookalikeError",
    "Term",
    "UnreadableImage",
    "Views",
    "compare",
    "explain",
    "model",
    "open",
    "rerank",
]


def __getattr__(name: str) -> object:
    if name not in _DOOR:
        raise AttributeError(f"module 'lookalike' has no attribute {name!r}")
    module, _, attribute = _DOOR[name].partition(":")
    value = getattr(importlib.import_module(module), attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_DOOR])
