"""lookalike models"""

from __future__ import annotations

import json
from math import isfinite

import click

import lookalike
from lookalike.cli.compile import compile_
from lookalike.cli.output import echo_json, echo_text, table
from lookalike.cli.pull import pull
from lookalike.errors import ModelUnavailable, UsageError
from lookalike.keypoints import networks
from lookalike.keypoints.methods import METHODS, remedy
from lookalike.models import compiled, registry
from lookalike.types import Fit, InputSpec, ModelCard, Resample


class NameOrCommand(click.Group):
    """`models NAME` tells about a model, unless NAME is one of the commands."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in self.commands:
            return "show", show, args
        return super().resolve_command(ctx, args)


@click.group(cls=NameOrCommand, invoke_without_command=True, subcommand_metavar="[NAME | COMMAND [ARGS]...]")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def command(ctx: click.Context, as_json: bool) -> None:
    """List the models: whether each runs here now, and, if not, the one command that would make it. Below them, the
    local features, which 'keypoints' shows and 'search --verify' compares.

    With NAME, tell all about one.
    """
    ctx.obj = as_json
    if ctx.invoked_subcommand is not None:
        return
    cards = registry.cards().values()
    if as_json:
        echo_json([_as_json(card) for card in cards])
        return
    rows = [
        (c.name, c.kind, str(c.dim), c.license, "yes" if (o := registry.obstacle(c)) is None else o.command, c.summary)
        for c in cards
    ]
    for line in table([("name", "kind", "dim", "licence", "runs here", "what it finds"), *rows]):
        echo_text(line)
    echo_text()
    local = [(name, remedy(name) or "yes", method.finds) for name, method in METHODS.items()]
    for line in table([("local features", "runs here", "what they find"), *local]):
        echo_text(line)


@command.command(hidden=True)
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def show(json_before: bool, name: str, as_json: bool) -> None:
    """Tell all about one model, or one kind of local features."""
    if name in METHODS and name not in registry.cards():
        _show_local(name, as_json or json_before)
        return
    card = registry.card(name)
    if as_json or json_before:
        echo_json(_as_json(card))
        return
    facts = _as_json(card)
    if found := compiled.find(card):
        facts["compiled"] = compiled.summary(found)
    for line in table([(key, str(value)) for key, value in facts.items() if value not in (None, {}, "")]):
        echo_text(line)


def _show_local(name: str, as_json: bool) -> None:
    method, missing = METHODS[name], remedy(name)
    facts = {
        "name": name,
        "kind": "local features",
        "summary": method.finds,
        "networks": {each: f"{(net := networks.NETWORKS[each]).license}, {net.source}" for each in method.networks},
        "runs": missing is None,
        "remedy": missing,
    }
    if as_json:
        echo_json(facts)
        return
    for line in table([(key, str(value)) for key, value in facts.items() if value not in (None, {})]):
        echo_text(line)


@command.command()
@click.argument("file", type=click.Path())
@click.option("--name", help="What to call it: small letters, digits, '.', '_' and '-'.")
@click.option("--mean", default="0", show_default=True, metavar="R,G,B", help="Of the training pictures, on 0 to 1.")
@click.option("--std", default="1", show_default=True, metavar="R,G,B", help="Likewise.")
@click.option("--size", metavar="N|HxW", help="Pixels that the network takes [as the file says].")
@click.option(
    "--resize",
    default=None,
    metavar="N|squash|pad",
    help="How a picture gets to --size: short side to N, then the centre; or the whole, squashed or padded [--size].",
)
@click.option(
    "--resample",
    type=click.Choice(["nearest", "box", "bilinear", "bicubic", "lanczos"]),
    default="bicubic",
    show_default=True,
)
@click.option("--output", metavar="NAME", help="The output that is the embedding ['embedding', or the only one].")
@click.option("--like", metavar="MODEL", help="A checkpoint or ONNX file of that model: its way with pixels counts.")
@click.option("--license", "licence", default="unknown", show_default=True, help="To be shown with it.")
def add(
    file: str,
    name: str | None,
    mean: str,
    std: str,
    size: str | None,
    resize: str | None,
    resample: Resample,
    output: str | None,
    like: str | None,
    licence: str,
) -> None:
    """Register the network in FILE.onnx, with its preprocessing, under a name of your own.

    With --like, FILE may also be a checkpoint (.pth, .safetensors) of a model that is read from one: vgg16, resnet50,
    inception, mobilenet, moco, simclr, sscd.

    Or it may be the network of local features: xfeat, lighterglue, alike, aliked, disk, lightglue. These keep their
    names.

    The file stays where it is; its hash is recorded. A network that takes pixels of 0 to 255 wants
    --std 0.00392157.

    \b
    lookalike models add vit.onnx --name vit-tiny --mean 0.5 --std 0.5 --size 224 --resize 256
    lookalike models add sscd_disc_mixup.torchvision.pt --like sscd --name my-sscd
    lookalike models add xfeat.onnx --like xfeat
    """
    if like in networks.NETWORKS:
        if name not in (None, like):
            raise UsageError(f"--name {name}: the network of {like} keeps its name: leave --name out")
        record = networks.add(like, file)
        echo_text(f"{like}: {networks.NETWORKS[like].what}; record: {record}")
        return
    if name is None:
        raise UsageError("--name: say what to call the model")
    from lookalike.models.backbones import onnx
    from lookalike.models.check import check

    if like is not None and not file.endswith(".onnx"):
        card = registry.like(like, file, name)
    else:
        spec = _spec(mean, std, size, resize, resample) if like is None else registry.card(like).input
        card = onnx.describe(file, name=name, spec=spec, output=output, license=licence)
    if problems := check(registry.load(card)):
        raise UsageError(f"{file}: {problems[0]}")
    path = registry.save_card(card)
    echo_text(f"{card.name}: {card.dim} dimensions, input {card.input.size[0]} x {card.input.size[1]}; card: {path}")


def _spec(mean: str, std: str, size: str | None, resize: str | None, resample: Resample) -> InputSpec:
    height, width = _size(size)
    fit: Fit = "squash" if resize == "squash" else "pad" if resize == "pad" else "crop"
    short = _whole("--resize", resize) if resize and fit == "crop" else None
    spec = InputSpec(
        (height, width), fit, resize=short, resample=resample, mean=_three("--mean", mean), std=_three("--std", std)
    )
    if min(spec.std or ()) <= 0:
        raise UsageError(f"--std {std}: must be above 0")
    return spec


command.add_command(pull)
command.add_command(compile_)


@command.command()
@click.argument("name")
@click.option("--collection", metavar="DIR", type=click.Path(), help="Drop its vectors from this collection instead.")
def remove(name: str, collection: str | None) -> None:
    """Forget a network of your own, or of local features; or, with --collection, drop a model's vectors from there.

    Neither touches the network's file.
    """
    if collection is not None:
        lookalike.open(collection).remove_model(name)
        echo_text(f"{name}: dropped from {collection}")
    elif name in networks.NETWORKS and networks.remove(name):
        echo_text(f"{name}: removed")
    else:
        registry.remove_card(name)
        echo_text(f"{name}: removed")


@command.command("check")
@click.argument("name")
@click.pass_context
def check_(ctx: click.Context, name: str) -> None:
    """Hold a model to the contract of all models: shape, type, finite, deterministic, batch equals single."""
    from lookalike.models.check import check

    problems = check(registry.load(registry.card(name)))
    for problem in problems:
        echo_text(f"{name}: {problem}")
    if problems:
        raise ModelUnavailable(f"{name}: {len(problems)} promises are broken")
    echo_text(f"{name}: all is well")


def _as_json(card: ModelCard) -> dict[str, object]:
    obstacle = registry.obstacle(card)
    return {
        "name": card.name,
        "kind": card.kind,
        "dim": card.dim,
        "summary": card.summary,
        "licence": card.license,
        "source": card.source,
        "texts": card.texts,
        "runs": obstacle is None,
        "reason": obstacle and obstacle.reason,
        "remedy": obstacle and obstacle.command,
        "revision": card.revision,
        "fingerprint": card.fingerprint,
        "input": json.loads(json.dumps(card.as_json()["input"])),
        "path": card.path,
        "compiled": _compiled(card),
    }


def _compiled(card: ModelCard) -> dict[str, object] | None:
    """What was measured when it was compiled, where that is here."""
    found = compiled.find(card)
    if found is None:
        return None
    return {"path": str(found.folder), **{key: value for key, value in found.record.items() if key != "files"}}


def _size(text: str | None) -> tuple[int, int]:
    if text is None:
        return 0, 0
    sides = [_whole("--size", part) for part in text.lower().split("x")]
    if len(sides) > 2:
        raise UsageError(f"--size {text}: give one number, or HEIGHTxWIDTH")
    return sides[0], sides[-1]


def _whole(option: str, text: str) -> int:
    if not text.isascii() or not text.isdecimal() or not 0 < int(text) <= 4096:
        raise UsageError(f"{option} {text}: a whole number from 1 to 4096 is wanted")
    return int(text)


def _three(option: str, text: str) -> tuple[float, float, float]:
    try:
        values = [float(part) for part in text.replace(",", " ").split()]
        r, g, b = values * 3 if len(values) == 1 else values
        if not all(map(isfinite, values)):
            raise ValueError
    except ValueError as error:
        raise UsageError(f"{option} {text}: give one number, or three as R,G,B") from error
    return r, g, b
