"""The built-in models: a model is a row. Loaders are names: reading the catalogue loads none."""

from __future__ import annotations

from lookalike.types import InputSpec, ModelCard

_OURS = "Apache-2.0"  # our own code, and data that our own scripts learned

CARDS: tuple[ModelCard, ...] = (
    ModelCard(
        name="phash",
        kind="hash",
        dim=64,
        input=InputSpec(size=(32, 32), fit="squash", resample="lanczos"),
        summary="finds the same picture at another size or JPEG quality, in no time",
        source='N. Krawetz, "Looks Like It" (2011)',
        revision="1",
        license=_OURS,
        loader="lookalike.models.backbones.hashes:load",
        options={"bits": "phash"},
    ),
    ModelCard(
        name="dhash",
        kind="hash",
        dim=64,
        input=InputSpec(size=(8, 9), fit="squash", resample="lanczos"),
        summary="like phash, by the steps from pixel to pixel; steadier under changes of brightness",
        source='N. Krawetz, "Kind of Like That" (2013)',
        revision="1",
        license=_OURS,
        loader="lookalike.models.backbones.hashes:load",
        options={"bits": "dhash"},
    ),
    ModelCard(
        name="color",
        kind="descriptor",
        dim=200,
        input=InputSpec(size=(96, 96), fit="squash", resample="box"),
        summary="finds pictures of the same colours, wherever they are; blind to shape",
        source='Swain and Ballard, "Color Indexing" (IJCV 1991)',
        revision="1",
        license=_OURS,
        loader="lookalike.models.backbones.color:load",
    ),
    ModelCard(
        name="hog",
        kind="descriptor",
        dim=1765,
        input=InputSpec(size=(128, 128), fit="squash", resample="bilinear"),
        summary="finds pictures of the same layout of edges; blind to colour",
        source='Dalal and Triggs, "Histograms of Oriented Gradients for Human Detection" (CVPR 2005)',
        revision="1",
        license=_OURS,
        loader="lookalike.models.backbones.hog:load",
    ),
)
