"""The rows of the models that need no download."""

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
        dim=312,
        input=InputSpec(size=(48, 48), fit="squash", resample="box"),
        summary="finds pictures of the same colours, wherever they are; blind to shape",
        source='Swain and Ballard, "Color Indexing" (IJCV 1991)',
        revision="1",
        license=_OURS,
        loader="lookalike.models.backbones.color:load",
    ),
    ModelCard(
        name="layout",
        kind="descriptor",
        dim=832,
        input=InputSpec(size=(48, 48), fit="squash", resample="box"),
        summary="finds the same colours in the same places, in other shades and shapes too: flags, logos, patterns",
        source='Lazebnik et al., "Beyond Bags of Features" (CVPR 2006), over soft colours in CIE Lab, and the edges of '
        'Di Zenzo, "A Note on the Gradient of a Multi-image" (1986)',
        revision="1",
        license=_OURS,
        loader="lookalike.models.backbones.layout:load",
    ),
    ModelCard(
        name="hog",
        kind="descriptor",
        dim=901,
        input=InputSpec(size=(96, 96), fit="squash", resample="bilinear"),
        summary="finds pictures of the same layout of edges; blind to colour",
        source='Dalal and Triggs, "Histograms of Oriented Gradients for Human Detection" (CVPR 2005)',
        revision="1",
        license=_OURS,
        loader="lookalike.models.backbones.hog:load",
    ),
    ModelCard(
        name="sift",
        kind="descriptor",
        dim=512,
        input=InputSpec(size=(384, 384), fit="longest", resample="bilinear"),
        summary="finds crops, turned, mirrored and edited copies, by hundreds of small details at once",
        source='Jégou et al., "Aggregating Local Image Descriptors into Compact Codes" (PAMI 2012), over RootSIFT; '
        "codebook learned from 746 photos",
        revision="sha256:8914cf3b61a4138e3a18cacba018c413b9e6efc3866d50b11bf5c2619fe901d5",
        license=_OURS,
        loader="lookalike.models.backbones.vlad:load",
        options={"local": "sift", "codebook": "sift_vlad.npz"},
    ),
    ModelCard(
        name="orb",
        kind="descriptor",
        dim=256,
        input=InputSpec(size=(384, 384), fit="longest", resample="bilinear"),
        summary="like sift, by cheaper details: several times faster, finds less",
        source='Rublee et al., "ORB: An Efficient Alternative to SIFT or SURF" (ICCV 2011), summed as VLAD; '
        "codebook learned from 746 photos",
        revision="sha256:9dc4cac2400ee17287a7c424baadc0e98771e0a1d8908e51eef091c4256aadce",
        license=_OURS,
        loader="lookalike.models.backbones.vlad:load",
        options={"local": "orb", "codebook": "orb_vlad.npz"},
    ),
)
