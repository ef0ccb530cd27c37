"""Loads networks with transformers' own classes, from tensors that we have read ourselves.

transformers is given no path: it cannot go to the network, run a folder's code or fill gaps in silence.
"""

from __future__ import annotations

import inspect
import logging
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import transformers
from transformers.utils import logging as transformers_logging

from lookalike.errors import ModelUnavailable, UsageError
from lookalike.models.backbones import checkpoints, huggingface_folder
from lookalike.models.backbones.huggingface import family
from lookalike.models.backbones.torch_export import export
from lookalike.models.backbones.torch_runtime import Forward, TorchBackbone, dtype
from lookalike.models.compiled import TOKENIZER, WORDS
from lookalike.types import Backbone, ModelCard, Vectors

log = logging.getLogger("lookalike")

hf: Any = transformers  # half typed, differently from release to release
chatter: Any = transformers_logging

_UNUSED = ("mask_token", "num_batches_tracked")
"""Tensors that count only while training: a checkpoint may lack them."""

_quiet = threading.RLock()


def load(card: ModelCard) -> Backbone:
    """The backbone of a card whose folder has been checked. Raises ModelUnavailable."""
    with quiet():
        module, forward = _tower(card, _config(card), dtype())
        kind = WordsBackbone if card.texts else TorchBackbone
        return kind(card, module, _held(card, forward))


def measure(card: ModelCard) -> int:
    """The length of the vectors, by a run without weights or memory. Raises UsageError."""
    try:
        with quiet(), torch.device("meta"), torch.inference_mode():
            config = _config(card)
            module = _class(card, config)(config).eval()
            out = _pooled(module(torch.zeros(1, 3, *card.input.size)), card, config)
    except UsageError:
        raise
    except Exception as error:  # whatever an unknown architecture may raise
        raise UsageError(f"{card.path}: cannot be run as a vision model: {_line(error)}") from error
    return int(out.shape[1])


class WordsBackbone(TorchBackbone):
    """A network with a text tower, which is loaded when the first words come."""

    def __init__(self, card: ModelCard, module: torch.nn.Module, forward: Forward) -> None:
        super().__init__(card, module, forward)
        self._words: tuple[Callable[[Sequence[str]], npt.NDArray[np.int64]], Forward] | None = None
        self._loading = threading.Lock()

    def embed_texts(self, texts: Sequence[str]) -> Vectors:
        """(n, dim) float32 of length 1. Raises ModelUnavailable where the folder lacks the tokenizer."""
        if not texts:
            return np.zeros((0, self.card.dim), dtype=np.float32)
        with self._loading:
            if self._words is None:
                with quiet():
                    tower = _text_tower(self.card, self.dtype).to(self.device)
                    self._words = _tokenizer(self.card), _held(self.card, tower)
        tokenize, forward = self._words
        return self.run(tokenize(texts), forward)

    def export(self, folder: Path) -> None:
        """The tower that sees and, where the folder has a tokenizer, the one that reads."""
        super().export(folder)
        if not huggingface_folder.has_tokenizer(_folder(self.card)):
            return
        with quiet():
            words, length, _ = _words(self.card)
            sample = words(["any"], padding="max_length", truncation=True, max_length=length)
            # Its file says from now on how long texts are; where it gives no mask, the network is to see all.
            words.backend_tokenizer.save(str(folder / TOKENIZER))
            tower = _text_tower(self.card, torch.float32, masked="attention_mask" in sample)
        export(tower, torch.zeros((2, 2, length), dtype=torch.int64), folder / WORDS, "tokens")


class _Blip2(torch.nn.Module):
    """The part of BLIP-2 that looks: vision tower, query tokens, Q-Former. Not the language model."""

    def __init__(self, vision: torch.nn.Module, qformer: torch.nn.Module, queries: torch.Tensor) -> None:
        super().__init__()
        self.vision, self.qformer = vision, qformer
        self.queries = torch.nn.Parameter(queries)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(n, 3, h, w) -> (n, dim): the Q-Former's first token."""
        seen = self.vision(pixel_values=x).last_hidden_state
        mask = torch.ones(seen.shape[:-1], dtype=torch.long, device=seen.device)
        asked = self.qformer(
            query_embeds=self.queries.expand(x.shape[0], -1, -1),
            encoder_hidden_states=seen,
            encoder_attention_mask=mask,
        )
        first: torch.Tensor = asked.last_hidden_state[:, 0]
        return first


@contextmanager
def quiet() -> Iterator[None]:
    """transformers' progress bars, reports and warnings kept to itself; its settings are the user's afterwards."""
    with _quiet, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        verbosity, bars = chatter.get_verbosity(), chatter.is_progress_bar_enabled()
        chatter.set_verbosity(logging.CRITICAL)
        chatter.disable_progress_bar()
        try:
            yield
        finally:
            chatter.set_verbosity(verbosity)
            if bars:
                chatter.enable_progress_bar()


def _config(card: ModelCard) -> Any:
    try:
        config = hf.AutoConfig.from_pretrained(card.path, local_files_only=True, trust_remote_code=False)
    except Exception as error:  # transformers raises whatever its checks raise
        raise ModelUnavailable(
            f"{card.path}: transformers {hf.__version__} cannot use its config.json ({_line(error)}):"
            " a newer one may: pip install --upgrade transformers"
        ) from error
    for part in ("vision_config", "text_config"):
        # A tower by itself goes by its own `projection_dim`, the two together by the outer one.
        if config.model_type == "clip":
            getattr(config, part).projection_dim = config.projection_dim
    return config


def _class(card: ModelCard, config: Any) -> Any:
    """The class of transformers for the vision tower."""
    match card.options["architecture"], card.options["pool"]:
        case (("clip" | "clip_vision_model"), "features"):
            return hf.CLIPVisionModelWithProjection
        case (("clip" | "clip_vision_model"), _):
            return hf.CLIPVisionModel
        case "siglip", _:
            return hf.SiglipVisionModel
    try:
        kind = hf.MODEL_MAPPING[type(config)]
    except KeyError:
        kind = None
    if isinstance(kind, tuple):
        kind = kind[0]
    if getattr(kind, "main_input_name", None) != "pixel_values":
        raise ModelUnavailable(f"{card.path}: a {config.model_type} network does not take pictures: use a vision model")
    return kind


def _tower(card: ModelCard, config: Any, as_type: torch.dtype) -> tuple[torch.nn.Module, Forward]:
    """The vision tower, and the way from pixels to one row a picture."""
    architecture = card.options["architecture"]
    parts = family(architecture).parts
    tensors = checkpoints.read(_folder(card), parts)
    if architecture == "blip-2":
        module: torch.nn.Module = _blip2(card, config, tensors, as_type)
        return module, module
    if architecture in ("clip", "siglip"):
        config = config.vision_config
    network = _built(_class(card, config), card, config, tensors, as_type)
    return network, lambda x: _pooled(network(pixel_values=x), card, config)


def _blip2(card: ModelCard, config: Any, tensors: checkpoints.Tensors, as_type: torch.dtype) -> _Blip2:
    if "query_tokens" not in tensors:
        raise _misfit(card, {"query_tokens"})
    parts = {
        prefix: {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
        for prefix in ("vision_model.", "qformer.")
    }
    return _Blip2(
        _built(hf.Blip2VisionModel, card, config.vision_config, parts["vision_model."], as_type),
        _built(hf.Blip2QFormerModel, card, config.qformer_config, parts["qformer."], as_type),
        tensors["query_tokens"].to(as_type),
    )


class _TextTower(torch.nn.Module):
    """(n, 2, length) token numbers and mask -> (n, dim)."""

    def __init__(self, network: torch.nn.Module, masked: bool) -> None:
        super().__init__()
        self.network, self.masked = network, masked

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        mask = tokens[:, 1] if self.masked else torch.ones_like(tokens[:, 1])
        out = self.network(input_ids=tokens[:, 0], attention_mask=mask)
        found: torch.Tensor = out.text_embeds if "text_embeds" in out else out.pooler_output
        return found


def _text_tower(card: ModelCard, as_type: torch.dtype, masked: bool = True) -> _TextTower:
    config = _config(card)
    clip = config.model_type == "clip"
    kind = hf.CLIPTextModelWithProjection if clip else hf.SiglipTextModel
    tensors = checkpoints.read(_folder(card), ("text_model.", "text_projection.") if clip else ("text_model.",))
    network = _built(kind, card, config.text_config, tensors, as_type)
    return _TextTower(network, masked).eval().requires_grad_(False).to(as_type)


def _words(card: ModelCard) -> tuple[Any, int, bool]:
    """The tokenizer, how long texts may be, and whether all are made so long."""
    remedy = f"copy tokenizer.json{f' of {card.weights}' if card.weights else ''} there; pictures work without it"
    if not huggingface_folder.has_tokenizer(_folder(card)):
        raise ModelUnavailable(f"model {card.name!r} cannot read words: {card.path} has no tokenizer: {remedy}")
    try:
        words = hf.AutoTokenizer.from_pretrained(card.path, local_files_only=True, trust_remote_code=False)
    except Exception as error:  # transformers raises whatever its parsers raise
        raise ModelUnavailable(
            f"model {card.name!r} cannot read words: the tokenizer in {card.path} cannot be used ({_line(error)}):"
            f" {remedy}"
        ) from error
    # SigLIP was trained on texts of exactly 64 tokens, CLIP reads up to 77.
    return (words, 64, True) if card.options["architecture"] == "siglip" else (words, 77, False)


def _tokenizer(card: ModelCard) -> Callable[[Sequence[str]], npt.NDArray[np.int64]]:
    """From texts to (n, 2, length) token numbers and mask."""
    words, most, always = _words(card)
    padding: str | bool = "max_length" if always else True

    def tokenize(texts: Sequence[str]) -> npt.NDArray[np.int64]:
        out = words(list(texts), padding=padding, truncation=True, max_length=most)
        numbers = np.asarray(out["input_ids"], dtype=np.int64)
        mask = np.asarray(out.get("attention_mask", np.ones_like(numbers)), dtype=np.int64)
        return np.stack([numbers, mask], axis=1)

    return tokenize


def _built(
    kind: Any, card: ModelCard, config: Any, tensors: checkpoints.Tensors, as_type: torch.dtype
) -> torch.nn.Module:
    """The network with exactly these tensors, made `as_type`. Raises ModelUnavailable where they do not fit."""
    extra: Mapping[str, Any] = {}
    if "add_pooling_layer" in inspect.signature(kind.__init__).parameters:
        extra = {"add_pooling_layer": card.options["pool"] in ("pooler", "auto")}
    try:
        network, found = kind.from_pretrained(
            None,
            config=config,
            state_dict=tensors,
            dtype=as_type,
            local_files_only=True,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # so that we are told, and can refuse
            **extra,
        )
    except Exception as error:  # transformers raises whatever its checks raise
        raise ModelUnavailable(f"{card.path}: the weights cannot be loaded: {_line(error)}") from error
    wrong = {key for key in found["missing_keys"] if not key.endswith(_UNUSED)}
    wrong |= {key for key, *_ in found["mismatched_keys"]}
    if wrong:
        raise _misfit(card, wrong)
    module: torch.nn.Module = network
    return module


def _misfit(card: ModelCard, keys: set[str]) -> ModelUnavailable:
    if all(key.startswith("pooler.") for key in keys):
        return ModelUnavailable(f"{card.path}: its weights have no pooler: choose another way with --pool mean")
    return ModelUnavailable(
        f"{card.path}: the weights do not fit config.json: {len(keys)} tensors are missing or of another shape"
        f" ({min(keys)} ...): download the folder again"
    )


def _pooled(out: Any, card: ModelCard, config: Any) -> torch.Tensor:
    """One row a picture, from what the network gives: tokens (n, t, d) or a map (n, d, h, w)."""
    pool = card.options["pool"]
    if pool == "features":
        pooled: torch.Tensor | None = out.pooler_output if "pooler_output" in out else out.image_embeds
    elif pool in ("pooler", "auto"):
        pooled = out.get("pooler_output")
    else:
        pooled = None
    if pooled is not None:
        return pooled.flatten(1)
    hidden: torch.Tensor = out.last_hidden_state
    if pool in ("mean", "auto"):
        return hidden.mean(dim=(2, 3)) if hidden.ndim == 4 else hidden.mean(dim=1)
    if hidden.ndim != 3 or pool in ("features", "pooler"):
        raise ModelUnavailable(f"{card.path}: this network has no pool {pool!r}: choose --pool mean")
    if pool == "cls":
        return hidden[:, 0]
    leading = family(card.options["architecture"]).leading + int(getattr(config, "num_register_tokens", 0) or 0)
    return hidden[:, leading:].mean(dim=1)


def _held(card: ModelCard, forward: Forward) -> Forward:
    """Refuses rows of another length than the card says, which no store could take."""

    def held(x: torch.Tensor) -> torch.Tensor:
        out = forward(x)
        if out.shape[1] != card.dim:
            raise ModelUnavailable(
                f"model {card.name!r} gives {out.shape[1]} numbers, its card says {card.dim}: add it again"
            )
        return out

    return held


def _folder(card: ModelCard) -> str:
    assert card.path is not None  # noqa: S101 - checked before
    return card.path


def _line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
