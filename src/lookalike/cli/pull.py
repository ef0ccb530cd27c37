"""lookalike models pull"""

from __future__ import annotations

import re

import click

from lookalike.cli.output import echo_json, echo_text, note, progress
from lookalike.types import InputSpec, ModelCard


@click.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option("--offline", is_flag=True, help="Open no connection: only tell whether the weights are here.")
@click.option("--update", is_flag=True, help="Accept that the hub has other files now than those first pulled.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def pull(names: tuple[str, ...], offline: bool, update: bool, as_json: bool) -> None:
    """Download the official weights of models, verify them, and lock them to what came first.

    NAME is a model of 'lookalike models', or hf:OWNER/NAME for any vision model of the Hugging Face hub. What is here
    already is not asked for again. HF_ENDPOINT, HF_TOKEN and HF_HUB_OFFLINE are honoured.

    \b
    lookalike models pull clip dinov2
    """
    from lookalike.models import download

    told: list[dict[str, object]] = []
    for name in names:
        card = _card(name)
        if card.weights is None:
            told.append({"name": name, "source": None, "path": card.path, "licence": card.license, "pulled": False})
            if not as_json:
                echo_text(f"{name}: needs no download")
            continue
        note(f"{name}: {card.weights}, licence: {_licence(card.license)}")
        with progress("B") as tell:
            done = download.pull(card, offline=offline, update=update, progress=tell)
        licence = done.licence if card.license == _ASK and done.licence else card.license
        told.append(
            {
                "name": name,
                "source": card.weights,
                "path": done.path,
                "commit": done.commit,
                "size": done.size,
                "licence": licence,
                "gated": done.gated,
                "pulled": done.fresh,
                "files": dict(done.files),
            }
        )
        if not as_json:
            what = "pulled and verified" if done.fresh else "is here already"
            commit = f", commit {done.commit}" if done.commit else ""
            echo_text(f"{name}: {what}: {done.path} ({done.size / 1e6:.1f} MB{commit})")
            if card.license == _ASK and done.licence:
                echo_text(f"{name}: licence: {_licence(licence)}")
            if done.gated:
                echo_text(f"{name}: gated: its licence had to be accepted on the model's page, and binds you")
    if as_json:
        echo_json(told)


_ASK = "as its page on the hub says"


def _card(name: str) -> ModelCard:
    """A model's card; for any repository of the hub, one that says just enough to pull it."""
    from lookalike.models import registry

    known = registry.cards()
    if name in known or not name.startswith("hf:"):
        return known.get(name) or registry.card(name)  # which says what is wrong with the name
    name = name.partition("@")[0]  # how it pools makes no difference to its files
    return ModelCard(
        name=name,
        kind="network",
        dim=0,
        input=InputSpec(size=(0, 0)),
        summary="",
        source=name,
        revision="",
        license=_ASK,
        loader="",
        texts=True,  # nobody knows yet: bring the tokenizer, where there is one
        weights=name,
    )


def _licence(text: str) -> str:
    return f"{text} (non-commercial use only)" if re.search(r"\bnc\b|non-?commercial", text, re.IGNORECASE) else text
