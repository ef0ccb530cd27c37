"""The ways to local features, by name."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass

from lookalike.errors import ModelUnavailable, UnknownModel
from lookalike.keypoints import networks
from lookalike.keypoints.features import LIMIT, Extractor, Features
from lookalike.types import Picture


@dataclass(frozen=True, slots=True)
class Method:
    """What is to be known of a way to local features before it is loaded.

    extractor: "module:function"
    finds:     what it is good for
    version:   goes up when its features come to be other ones
    networks:  that it needs, see `networks`: the first finds features, the second matches them
    package:   that it needs and a plain install does not bring; the extra has the method's name
    """

    extractor: str
    finds: str
    version: int = 1
    networks: tuple[str, ...] = ()
    package: str | None = None


METHODS: Mapping[str, Method] = {
    "sift": Method("lookalike.keypoints.opencv:sift", "blobs of every size, turned any way: the default"),
    "orb": Method("lookalike.keypoints.opencv:orb", "corners, by bits: the fastest"),
    "akaze": Method("lookalike.keypoints.opencv:akaze", "blobs that blurring spares, by bits"),
    "surf": Method("lookalike.keypoints.surf:surf", "blobs by box filters", package="mahotas"),
    "hog": Method("lookalike.keypoints.hog:hog", "the edges of each cell of a grid: to be looked at"),
    "xfeat": Method("lookalike.keypoints.xfeat:xfeat", "learned, small and fast", networks=("xfeat",)),
    "lighterglue": Method(
        "lookalike.keypoints.xfeat:lighterglue", "xfeat, matched by a network", networks=("xfeat", "lighterglue")
    ),
    "alike": Method("lookalike.keypoints.alike:alike", "learned, to a part of a pixel", networks=("alike",)),
    "aliked": Method("lookalike.keypoints.opencv_networks:aliked", "learned, by OpenCV", networks=("aliked",)),
    "lightglue": Method(
        "lookalike.keypoints.opencv_networks:lightglue",
        "aliked, matched by a network",
        networks=("aliked", "lightglue"),
    ),
    "disk": Method("lookalike.keypoints.opencv_networks:disk", "learned, by OpenCV", networks=("disk",)),
}

READ_SIDE = 1024
"""How small a codec may decode for local features: see `images.read`."""


def extract(picture: Picture, method: str = "sift", limit: int = LIMIT) -> Features:
    """The strongest keypoints of a picture, at most `limit`.

    The picture should have been read with `side=READ_SIDE`. Raises UnknownModel, which lists the methods, and
    ModelUnavailable, which says what the method needs.

    >>> extract(images.read("cat.jpg"), "sift").points.shape  # doctest: +SKIP
    (1000, 2)
    """
    module, _, function = known(method).extractor.partition(":")
    extractor: Extractor = getattr(importlib.import_module(module), function)
    return extractor(picture, limit)


def known(method: str) -> Method:
    """The method of that name. Raises UnknownModel, which lists the names."""
    if method not in METHODS:
        raise UnknownModel(f"no local features are called {method!r}: choose from {', '.join(METHODS)}")
    return METHODS[method]


def revision(method: str) -> str:
    """What changes whenever the method's features may: features of two revisions are not to be mixed.

    Raises UnknownModel, and ModelUnavailable where its network is not here.
    """
    row = known(method)
    return "-".join([str(row.version), *(networks.find(name)[1][:12] for name in row.networks[:1])])


def remedy(method: str) -> str | None:
    """The one command that would make the method run here; None where it does."""
    row = known(method)
    if row.package and importlib.util.find_spec(row.package) is None:
        return f"pip install 'lookalike[{method}]'"
    for name in row.networks:
        try:
            networks.find(name)
        except ModelUnavailable:
            return networks.command(name)
    return None
