"""The figures on how well models find what is alike: copies, verification, flags."""

from __future__ import annotations

from typing import Any

from tables import percent, provenance, results, table


def copies() -> str:
    agreement = results("copies_agreement")
    if agreement is None:
        return ""
    found = {seed: results(f"copies_{seed}") or {} for seed in agreement["seeds"]}
    first = found[agreement["seeds"][0]]
    rows = [
        {
            "entry": f"`{row['model']}`".replace("|", "\\|"),
            **{key: percent(row[key]["value"]) for key in ("accuracy@1", "accuracy@3", "uap", "recall@p90")},
            **{grade: percent(each["value"]) for grade, each in row["by_grade"].items()},
            **{key: row[key] or "" for key in ("images_per_second", "bytes_per_vector", "ms_per_query")},
            "interval": f"{percent(row['accuracy@1']['low'])} to {percent(row['accuracy@1']['high'])}",
            **{
                f"seed {seed}": percent(
                    next(other["accuracy@1"]["value"] for other in told["rows"] if other["model"] == row["model"])
                )
                for seed, told in found.items()
            },
        }
        for row in first["rows"]
    ]
    facts = first["facts"]
    other = "; ".join(f"{a} and {b}" for a, b in agreement["in_another_order_elsewhere"]) or "none"
    return f"""
## Edited copies of photos

`lookalike bench` on {facts["images"]:,} photos: {facts["near_duplicates"]} near-duplicates left out, a gallery of
{facts["gallery"]:,}, {facts["queries"]:,} queries, {facts["negatives"]} of them without a match. Shares in percent.

{table(rows, {**COPIES, **{f"seed {seed}": f"accuracy@1, seed {seed}" for seed in found}})}

Seed {agreement["seeds"][0]}: {first["recommendation"]}

The seeds claim {" and ".join(map(str, agreement["claims"]))} differences, {agreement["claimed_by_both"]} of them both;
{len(agreement["claimed_the_other_way"])} the other way round; in another order elsewhere: {other}.

{provenance(first)}
{_overhead()}"""


def _overhead() -> str:
    measured = results("copies_overhead")
    if measured is None:
        return ""
    entries = ", ".join(f"`{entry}`" for entry in measured["entries"])
    return f"""
Of {entries} on {measured["images"]:,} photos, from an empty place to the last report, {measured["own_share"]:.1%} of
{measured["total_seconds"]:.0f} seconds were the harness's own.

{provenance(measured)}
"""


def verification() -> str:
    whole, methods, moved = (results(f"verification{end}") for end in ("", "_methods", "_transforms"))
    if whole is None:
        return ""
    compared = ""
    if methods:
        compared = f"""
Each method of local features, on a share of the same queries:

{_verified(methods)}
"""
    return f"""
## Verified by keypoints

Copies by one operator each. Gallery A has photos of all sets, B those that are not ImageNet's, on which the network was
taught. At most {whole["keypoints"]} keypoints a picture. Won and lost are queries whose original came first, or no
longer did, by verification; "cameras" is the µAP without web cameras that show one place again and again. CPU-ms are
all of a query's: reading, embedding, searching, and verifying with the gallery's features at hand.

{_verified(whole)}
{compared}{_transforms(moved) if moved else ""}"""


def _verified(found: dict[str, Any]) -> str:
    shares = ("accuracy_at_1", "top_3", "micro_ap", "recall_at_p90", "hard", "without_cameras", "in_reach")
    rows = [
        {**{key: row.get(key, "") for key in VERIFICATION}, **{key: percent(row[key]) for key in shares}}
        for row in found["rows"]
    ]
    sizes = "; ".join(
        f"{name}: {each['photos']:,} photos, {each['queries']} queries, {each['absent']} of them in vain"
        for name, each in found["galleries"].items()
    )
    return f"""{table(rows, VERIFICATION)}

{sizes}. {provenance(found)}"""


def _transforms(found: dict[str, Any]) -> str:
    rows = [
        {
            "method": each["method"],
            **{grade: f"{of['median_pixels']} ({of['found']})" for grade, of in each["transforms"]["by_grade"].items()},
            **each["unrelated"],
        }
        for each in found["methods"]
    ]
    grades = {grade: f"{grade}: pixels (found)" for grade in found["methods"][0]["transforms"]["by_grade"]}
    return f"""
How far the corners of a copy are from where the transform puts them, at the median, and what unrelated pictures get:

{table(rows, {"method": "", **grades, **UNRELATED})}

{provenance(found)}
"""


def flags() -> str:
    found = results("flags")
    if found is None:
        return ""
    rows = [
        {
            "model": f"`{name}`",
            "nine": f"{row['nine_tests_top3']} of {row['nine_tests_asked']}",
            **{key: f"{row[key]:.2f}" for key in ("recall@1", "recall@3", "recall@5", "mrr")},
            "interval": "{:.2f} to {:.2f}".format(*row["intervals"]["recall@3"]),
            "behind": "{:.2f} ({:.2f} to {:.2f})".format(row["behind"]["recall@3"], *row["behind"]["interval"]),
            **{relation: f"{of['recall@3']:.2f}" for relation, of in row["relations"].items()},
        }
        for name, row in found["models"].items()
    ]
    best = found["best_possible"]
    rows.append(
        dict.fromkeys(rows[0], "")
        | {"model": "the best there can be", **{key: f"{best[key]:.2f}" for key in best if key != "intervals"}}
    )
    relations = next(iter(found["models"].values()))["relations"]
    kinds = {
        relation: f"{relation.replace('_', ' ')}, {of['pairs']} ({of['similar']})" for relation, of in relations.items()
    }
    missed = "\n".join(
        f"- {' and '.join(each['names'])} ({each['note']}): rank {each['best_rank']} by `{each['best_model']}`."
        f" {each['reason']}"
        for each in found["found_by_none"]
    )
    return f"""
## Flags

[The flags study](../examples/flags/README.md) on {found["files"]} national flags, {found["drawings"]} drawings. A test
is passed when all flags of its group have each other among the three nearest, in one direction at least. recall@k and
MRR are over {found["pairs"]} pairs that people call similar, both ways. "Behind" is how much lower recall@3 is than in
the first line, pair by pair; intervals are of 95 %. The constants of `layout` were chosen on these pairs, among others:
on other flags it may do less well.

{table(rows, FLAGS)}

recall@3 by how two flags are related, with the number of pairs, and whether people call them similar:

{table(rows[:-1], {"model": "model", **kinds})}

Among the three nearest of no model, in neither direction:

{missed or "none."}

{provenance(found)}
"""


def aspects() -> str:
    """How flags that are not square are best made so, for networks that want squares."""
    found = results("aspect")
    if found is None:
        return ""
    rows = [
        {
            "network": f"`{row['network']}`",
            "fit": row["fit"],
            **{key: f"{row[key]['value']:.2f}" for key in ("recall@1", "recall@3", "recall@5", "mrr")},
            "gain": "{value:.2f} ({low:.2f} to {high:.2f})".format(**row["gain"]),
        }
        for row in found["rows"]
    ]
    return f"""
### Squares

Networks want squares, and flags are none: "crop" cuts off their ends, "squash" keeps all and bends it, the others add
a margin: "frame" (`NAME@pad`) of the mean colour of the picture's own edge. The gain is in MRR, over "crop".

{table(rows, ASPECTS)}

{provenance(found)}
"""


def audit() -> str:
    """Whether the audit finds planted biases, and none where there is none."""
    found = results("audit")
    if found is None:
        return ""
    return f"""
## Audited

Drawn worlds of {found["images"]} images in five groups. The effect is how much nearer two of one group are by cosine
than their looks tell; "apart" is by how many deviations the groups look different, "noise" how much of the looks the
references do not see. "p < .05" is the permutation test alone; "told" is what `lookalike audit` calls a bias beyond
looks, which must exceed the most that the references may show among themselves. "Covered" is how often the interval
holds the true effect: where references see only part of the looks, the rest counts as beyond them, and the effect comes
out too large.

{table(found["rows"], AUDIT)}

{provenance(found)}
"""


COPIES = {
    "entry": "entry",
    "accuracy@1": "accuracy@1",
    "interval": "95 %",
    "accuracy@3": "top-3",
    "uap": "µAP",
    "recall@p90": "recall@P90",
    "mild": "mild",
    "medium": "medium",
    "hard": "hard",
    "images_per_second": "images/s",
    "bytes_per_vector": "bytes",
    "ms_per_query": "CPU-ms a query",
}

VERIFICATION = {
    "gallery": "gallery",
    "way": "way",
    "queries": "queries",
    "accuracy_at_1": "accuracy@1",
    "top_3": "top-3",
    "micro_ap": "µAP",
    "recall_at_p90": "recall@P90",
    "hard": "hard",
    "without_cameras": "cameras",
    "in_reach": "in reach",
    "won": "won",
    "lost": "lost",
    "cpu_ms": "CPU-ms a query",
}

UNRELATED = {
    "pairs": "unrelated pairs",
    "with_keypoints_that_agree": "keypoints agree",
    "over_half": "chance over 0.5",
    "highest_chance": "highest chance",
    "cpu_ms_a_pair": "CPU-ms a pair",
}

FLAGS = {
    "model": "model",
    "nine": "nine tests",
    "recall@1": "recall@1",
    "recall@3": "recall@3",
    "interval": "95 %",
    "recall@5": "recall@5",
    "mrr": "MRR",
    "behind": "behind",
}

ASPECTS = {
    "network": "network",
    "fit": "made square",
    "recall@1": "recall@1",
    "recall@3": "recall@3",
    "recall@5": "recall@5",
    "mrr": "MRR",
    "gain": "gain",
}

AUDIT = {
    "effect": "effect",
    "confounded": "apart",
    "blurred": "noise",
    "found": "p < .05",
    "flagged": "told",
    "mean": "mean estimate",
    "coverage": "covered",
    "worlds": "worlds",
}
