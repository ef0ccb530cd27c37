"""Networks in Hugging Face's format: a model is a row. Each InputSpec says what the official files say."""

from __future__ import annotations

from lookalike.types import InputSpec, ModelCard, Resample

Triple = tuple[float, float, float]

_CLIP: tuple[Triple, Triple] = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
_IMAGENET: tuple[Triple, Triple] = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_HALF: tuple[Triple, Triple] = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
# The official files divide by these roots, and by them again ("include_top").
_EFFICIENTNET: tuple[Triple, Triple] = (_IMAGENET[0], (0.2289999956, 0.2240000164, 0.224999982))

_PAPERS = {
    "clip": 'Radford et al., "Learning Transferable Visual Models From Natural Language Supervision" (ICML 2021)',
    "siglip": 'Tschannen et al., "SigLIP 2" (arXiv 2502.14786, 2025)',
    "dinov2": 'Oquab et al., "DINOv2: Learning Robust Visual Features without Supervision" (TMLR 2024)',
    "dinov3_vit": 'Siméoni et al., "DINOv3" (arXiv 2508.10104, 2025)',
    "vit": 'Dosovitskiy et al., "An Image is Worth 16x16 Words" (ICLR 2021)',
    "beit": 'Bao et al., "BEiT: BERT Pre-Training of Image Transformers" (ICLR 2022)',
    "efficientnet": 'Tan and Le, "EfficientNet: Rethinking Model Scaling" (ICML 2019)',
    "blip-2": 'Li et al., "BLIP-2: Bootstrapping Language-Image Pre-training" (ICML 2023)',
}


def _crop(resize: int, scale: tuple[Triple, Triple]) -> InputSpec:
    return InputSpec(size=(224, 224), fit="crop", resize=resize, resample="bicubic", mean=scale[0], std=scale[1])


def _squash(resample: Resample, scale: tuple[Triple, Triple], side: int = 224) -> InputSpec:
    return InputSpec(size=(side, side), fit="squash", resample=resample, mean=scale[0], std=scale[1])


_INPUTS = {
    "clip": _crop(224, _CLIP),
    "siglip": _squash("bilinear", _HALF),
    "dinov2": _crop(256, _IMAGENET),
    "dinov3_vit": _squash("bilinear", _IMAGENET),
    "vit": _squash("bilinear", _HALF),
    "beit": _squash("bilinear", _HALF),
    "efficientnet": _squash("nearest", _EFFICIENTNET),
    "blip-2": _squash("bicubic", _CLIP),
}
_LICENSES = {"clip": "MIT", "blip-2": "MIT", "dinov3_vit": "DINOv3 License (gated)"}

# What a picture goes through: of CLIP, SigLIP and BLIP-2 neither the text tower nor the language model.
_PARAMETERS = {
    "clip": 87_849_216,
    "clip-l": 303_966_208,
    "siglip2": 92_884_224,
    "dinov2": 86_580_480,
    "dinov2-cls": 86_580_480,
    "dinov2-small": 22_056_576,
    "dinov2-large": 304_368_640,
    "dinov3": 21_596_544,
    "dinov3-b": 85_660_416,
    "vit": 85_798_656,
    "vit-large": 303_301_632,
    "vit-huge": 630_764_800,
    "beit": 85_760_448,
    "blip2": 1_091_114_496,
    "efficientnet": 63_786_960,
    "efficientnet-b0": 4_007_548,
}


def _row(
    name: str, architecture: str, pool: str, dim: int, weights: str, summary: str, spec: InputSpec | None = None
) -> ModelCard:
    return ModelCard(
        name=name,
        kind="network",
        dim=dim,
        input=spec or _INPUTS[architecture],
        summary=summary,
        source=_PAPERS[architecture],
        revision="1",
        license=_LICENSES.get(architecture, "Apache-2.0"),
        loader="lookalike.models.backbones.huggingface:load",
        extra="torch",
        texts=architecture in ("clip", "siglip"),
        options={"architecture": architecture, "pool": pool},
        parameters=_PARAMETERS[name],
        weights=f"hf:{weights}",
    )


CARDS: tuple[ModelCard, ...] = (
    _row("clip", "clip", "features", 512, "openai/clip-vit-base-patch32",
         "finds pictures of the same meaning, and pictures for words; the articles' first choice"),
    _row("clip-l", "clip", "features", 768, "openai/clip-vit-large-patch14",
         "like clip, larger: knows more things, reads finer detail"),
    _row("siglip2", "siglip", "features", 768, "google/siglip2-base-patch16-224",
         "like clip, newer: better pictures for words, in many languages"),
    _row("dinov2", "dinov2", "mean", 768, "facebook/dinov2-base",
         "finds the same object or place by looks, not words: mean over all tokens, as in the articles"),
    _row("dinov2-cls", "dinov2", "cls", 768, "facebook/dinov2-base",
         "like dinov2, by its first token: the picture as a whole"),
    _row("dinov2-small", "dinov2", "mean", 384, "facebook/dinov2-small",
         "like dinov2, a quarter of its size: four times faster"),
    _row("dinov2-large", "dinov2", "mean", 1024, "facebook/dinov2-large",
         "like dinov2, three and a half times its size"),
    _row("dinov3", "dinov3_vit", "pooler", 384, "facebook/dinov3-vits16-pretrain-lvd1689m",
         "the successor of dinov2, small; its weights are given after registration"),
    _row("dinov3-b", "dinov3_vit", "pooler", 768, "facebook/dinov3-vitb16-pretrain-lvd1689m",
         "the successor of dinov2, base; its weights are given after registration"),
    _row("vit", "vit", "mean", 768, "google/vit-base-patch16-224-in21k",
         "finds pictures of the same kind of thing, out of 21,000 kinds"),
    _row("vit-large", "vit", "cls", 1024, "google/vit-large-patch16-224-in21k",
         "like vit, three and a half times its size, by its first token"),
    _row("vit-huge", "vit", "cls", 1280, "google/vit-huge-patch14-224-in21k",
         "like vit, seven times its size, by its first token"),
    _row("beit", "beit", "patches", 768, "microsoft/beit-base-patch16-224-pt22k-ft22k",
         "like vit, trained by filling in hidden patches; mean over its patches"),
    _row("blip2", "blip-2", "features", 768, "Salesforce/blip2-opt-2.7b",
         "what BLIP-2 would talk about; its language model (10.6 GB) is never loaded"),
    _row("efficientnet", "efficientnet", "mean", 2560, "google/efficientnet-b7",
         "finds pictures of the same kind of thing at 600 x 600 pixels: fine detail, slow",
         _squash("nearest", _EFFICIENTNET, 600)),
    _row("efficientnet-b0", "efficientnet", "mean", 1280, "google/efficientnet-b0",
         "like efficientnet, at 224 x 224 pixels and a hundredth of its work"),
)  # fmt: skip
