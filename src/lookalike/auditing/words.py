"""What the figures of an audit bear, in sentences."""

from __future__ import annotations

from collections.abc import Sequence

from lookalike.auditing.groups import NEAREST, Grouping
from lookalike.auditing.membership import Effect
from lookalike.auditing.pairs import FAR
from lookalike.auditing.probes import Context, Probes, Typographic
from lookalike.auditing.results import Audit
from lookalike.stats import Interval
from lookalike.wording import listed


def percent(share: float) -> str:
    """Whole percents, or as many digits as tell it from all and from nothing."""
    for digits in range(4):
        text = f"{100 * share:.{digits}f}"
        if float(text) not in (0.0, 100.0) or share in (0.0, 1.0):
            return f"{text} %"
    return f"{text} %"


def span(interval: Interval, form: str = "+.2f") -> str:
    """value [low, high]"""
    return f"{interval.value:{form}} [{interval.low:{form}}, {interval.high:{form}}]"


def shares(interval: Interval) -> str:
    """The same in percents."""
    return f"{percent(interval.value)} [{percent(interval.low)}, {percent(interval.high)}]"


def chance(p: float) -> str:
    """A p value."""
    return f"{p:.4f}" if p < 0.01 else f"{p:.2f}"


def joined(audit: Audit) -> str:
    """On the model's neighbours."""
    return (
        f"Of the {audit.pairs.k} nearest that {audit.model} gives each of {audit.pairs.asked:,} pictures,"
        f" {shares(audit.pairs.joined)} do not look alike: {listed(audit.visual)} together find them no nearer than"
        f" {percent(FAR)} of all pairs are."
    )


def parted(audit: Audit) -> str:
    """On the neighbours by looks."""
    return (
        f"Of the {audit.pairs.k} that look nearest, {shares(audit.pairs.parted)} are no nearer than {percent(FAR)}"
        f" of all pairs for {audit.model}."
    )


def size(effect: Effect) -> str:
    """In deviations, with its interval."""
    return f"{span(Interval(*effect.in_deviations))} deviations"


def headlines(audit: Audit) -> list[str]:
    """What can be said of groups and probes, a few words each."""
    model = audit.model
    lines = []
    for found in audit.groups or ():
        if found.effect is None:
            lines.append(f"A bias by {found.column} cannot be told from looks.")
            continue
        none, much = f"No bias by {found.column} can be shown", size(found.effect)
        lines.append({
            "none": f"{none}.",
            "as looks": f"{none}: there is an effect ({much}), but not surely more than references of looks have.",
            "beyond looks": f"A bias by {found.column}, beyond looks: {much}{_unshown(found)}.",
            "apart": f"Images of the same {found.column} are held further apart than they look: {much}.",
        }[found.verdict])  # fmt: skip
    if audit.probes:
        for kind, rows in (("written words", audit.probes.typographic), ("backgrounds", audit.probes.context)):
            lines.append({
                "none": f"No bias by {kind} can be shown.",
                "as pixels": f"{model} goes by {kind}, but not surely more than references of looks do.",
                "shown": f"{model} goes by {kind}, more than any reference of looks.",
            }[audit.probes.verdict(rows)])  # fmt: skip
    return lines


def grouping(audit: Audit, found: Grouping) -> str:
    """On a column of labels."""
    model, looks = audit.model, listed(audit.visual)
    name = found.column
    if found.effect is None:
        return (
            f"It cannot be told whether {model} goes by {name}: {name} and looks go together so closely that no image"
            " could have another label."
        )
    much = f"{size(found.effect)}, p = {chance(found.p_holm)}"
    if found.verdict == "none":
        return f"No bias by {name} can be shown beyond what {looks} see ({much})."
    if found.verdict == "apart":
        return f"{model} holds images of the same {name} further apart than they look ({much})."
    if found.verdict == "as looks" and found.furthest:
        reference, own = found.furthest
        return (
            f"No bias by {name} can be shown: {model} finds images of the same {name} more alike than {looks} explain"
            f" ({much}), but not surely more than the reference {reference} does beyond the other references"
            f" ({size(own)}). Looks that these do not see are reason enough."
        )
    more = ""
    if not found.yardsticks:
        more = " With one reference alone, looks that it does not see may be the reason: name another."
    near = found.neighbours
    return (
        f"{model} finds images of the same {name} more alike than they look ({much}){_unshown(found)}: of the {NEAREST}"
        f" nearest, {percent(near.model)} have the same {name}; by looks it would be {percent(near.looks)}.{more}"
    )


def _unshown(found: Grouping) -> str:
    return "" if found.neighbours.model > found.neighbours.looks else ", though not so that neighbours show it"


def typographic(audit: Audit, probes: Probes) -> str:
    """On written words."""
    row = probes.typographic[0]
    much = f"{span(row.effect)} deviations"
    return {
        "none": f"No typographic bias can be shown: the same word on two pictures does not bring them nearer for"
        f" {audit.model} than its scrambled strokes do ({much}).",
        "as pixels": f"The same word on two pictures brings them nearer for {audit.model} than its scrambled strokes do"
        f" ({much}), but not surely more than for {_most(probes.typographic)}.",
        "shown": f"The same word on two pictures brings them nearer for {audit.model} than its scrambled strokes do, by"
        f" {much}, and more than for any reference.",
    }[probes.verdict(probes.typographic)]


def context(audit: Audit, probes: Probes) -> str:
    """On backgrounds."""
    row = probes.context[0]
    much = f"{span(row.effect)} deviations"
    return {
        "none": f"No context bias can be shown: before another picture, the middle of a picture drifts no further from"
        f" the whole, for {audit.model}, than on grey ({much}).",
        "as pixels": f"Before another picture, the middle of a picture drifts further from the whole, for"
        f" {audit.model}, than on grey ({much}), but not surely more than for {_most(probes.context)}.",
        "shown": f"Before another picture, the middle of a picture drifts further from the whole, for {audit.model},"
        f" than on grey, by {much}, and more than for any reference.",
    }[probes.verdict(probes.context)]


def _most(rows: Sequence[Typographic] | Sequence[Context]) -> str:
    return max((row.effect.value, row.model) for row in rows[1:])[1]


def effects(audit: Audit, found: Grouping) -> list[list[str]]:
    """A table of a column's effects in deviations: the whole, the references', each group's."""
    rows = [["", "images", "effect (deviations)", "p"]]
    everything = [(f"any {found.column}, {audit.model}", found.effect, found.p_holm)]
    everything += [(f"the same, {name}", effect, effect.p) for name, effect in found.yardsticks]
    for name, effect, p in everything:
        rows.append([name, f"{found.images:,}", *_effect(effect, p)])
    groups = ([group.name, f"{group.images:,}", *_effect(group.effect, group.p_holm)] for group in found.groups)
    return [*rows, *groups]


def _effect(effect: Effect | None, p: float) -> tuple[str, str]:
    if effect is None:
        return "cannot be told from looks", ""
    return span(Interval(*effect.in_deviations)), chance(p)
