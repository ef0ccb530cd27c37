"""Edited copies searched for and verified: what local features, fusion and further views add to plain vectors.

    python benchmarks/verification/copies.py [--galleries A,B] [--each N] [--every N] [--methods sift,...]
                                             [--seed S] [--folder DIR] [--out FILE]

Gallery A has photos of all sets of the material, B those that are not ImageNet's: the networks were taught on ImageNet
and look better there than they are. Queries are copies of the gallery's photos, by every operator in every grade, and
copies of photos that are not in it; B is asked for the copies of its own. Chances were fitted on other photos
(learn_calibration.py).

    accuracy@1, top-3  of the queries with an original in the gallery
    micro-AP, P90      of all queries: by cosine, or by chance where hits were verified; see lookalike.bench.protocols
    hard               accuracy@1 of the hard grade
    cameras            micro-AP without the web cameras, which are many pictures of few places, among queries and hits
    in reach           the share of originals among the hits that are kept: verification can bring no others first
    won, lost          queries whose original came first, or no longer did, by verification
    CPU-ms             of all threads, a query: reading, embedding, searching, and verifying with features at hand

The methods of local features were compared with --galleries B --every 4.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import material
from material import Query
from remembering import remembered

import lookalike
import record
from lookalike.bench.copies import GRADES
from lookalike.bench.datasets import Dataset, Ranking
from lookalike.bench.datasets import Query as Judged
from lookalike.bench.protocols import judge
from lookalike.collection import Collection
from lookalike.reranking import rerank
from lookalike.types import Hits
from lookalike.views import Views

TOP = 50
TIMED = 20
"""Queries that tell how long one takes."""


@dataclass(frozen=True)
class Way:
    """A row of the table: how a query is searched for, and how its hits are verified."""

    model: str
    mirror: bool = False
    crops: bool = False
    verify: str | None = None
    top: int = TOP

    @property
    def name(self) -> str:
        words = [self.model, "mirrored" * self.mirror, "crops" * self.crops]
        if self.verify:
            words.append(f"{self.verify} top {self.top}")
        return ", ".join(word for word in words if word)

    @property
    def views(self) -> Views:
        return Views(mirror=self.mirror, crops=self.crops)

    @property
    def search(self) -> tuple[str, bool, bool]:
        return (self.model, self.mirror, self.crops)


FUSED = "vit-tiny+sift"
WAYS = (
    *(Way(model, mirror) for mirror in (False, True) for model in ("sift", "vit-tiny", FUSED)),
    Way(FUSED, crops=True),
    Way(FUSED, mirror=True, crops=True),
    Way("sift", verify="sift"),
    Way("vit-tiny", verify="sift"),
    Way("sift", mirror=True, verify="sift"),
    *(Way(FUSED, verify=method) for method in ("sift", "orb", "akaze", "surf", "xfeat", "alike")),
    Way(FUSED, verify="lighterglue", top=20),
    Way(FUSED, mirror=True, verify="sift"),
    Way(FUSED, crops=True, verify="sift"),
    Way(FUSED, mirror=True, crops=True, verify="sift"),
    Way(FUSED, mirror=True, crops=True, verify="sift", top=100),
)
MODELS = ("sift", "vit-tiny")

MEASURES = {"accuracy_at_1": "accuracy@1", "top_3": "accuracy@3", "micro_ap": "uap", "recall_at_p90": "recall@p90"}

COLUMNS = {
    "gallery": "",
    "way": "",
    "queries": "queries",
    "accuracy_at_1": "accuracy@1",
    "top_3": "top-3",
    "micro_ap": "micro-AP",
    "recall_at_p90": "P90",
    "hard": "hard",
    "without_cameras": "cameras",
    "in_reach": "in reach",
    "won": "won",
    "lost": "lost",
    "cpu_ms": "CPU-ms",
}


def main() -> None:
    options = arguments()
    cv2.setNumThreads(1)  # its threads wait for each other by turning round and round
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.folder or Path(scratch)
        os.environ.setdefault("LOOKALIKE_MODELS", str(folder / "models"))
        results = run(options, folder)
    print(record.table(results["rows"], COLUMNS))
    out = options.out or Path(__file__).resolve().parent.parent / "results" / "verification.json"
    record.write(__file__, out, options.seed, results, ("opencv-contrib-python-headless", "mahotas"))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--galleries", default="A,B", help="[%(default)s]")
    parser.add_argument("--each", type=int, default=7, help="copies by each operator in each grade [%(default)s]")
    parser.add_argument("--methods", help="verify with these only, separated by commas [all]")
    parser.add_argument("--every", type=int, default=1, help="ask each so-many-th query only [%(default)s]")
    parser.add_argument("--keypoints", type=int, default=500, help="at most, of a picture [%(default)s]")
    parser.add_argument("--untimed", action="store_true", help="do not measure how long a query takes")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--folder", type=Path, help="where copies and vectors are kept [nowhere]")
    parser.add_argument("--out", type=Path, help="the JSON [benchmarks/results/verification.json]")
    return parser.parse_args()


def run(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    material.register()
    chosen = material.photos(options.seed)
    by_role = {role: [p for p in chosen if p.role == role] for role in ("gallery", "absent", "others")}
    queries = [
        *material.write_copies(
            by_role["gallery"], by_role["others"], options.each, folder / "queries", options.seed
        ),
        *material.write_copies(
            by_role["absent"], by_role["others"], 2, folder / "absent-queries", options.seed + 1, absent=True
        ),
    ]  # fmt: skip
    queries = queries[:: options.every]
    methods = set(options.methods.split(",")) if options.methods else {way.verify for way in WAYS if way.verify}
    ways = [way for way in WAYS if way.verify is None or way.verify in methods]
    galleries = {}
    for name in options.galleries.split(","):
        own = [p for p in by_role["gallery"] if name == "A" or p.set != material.IMAGENET]
        photos = lookalike.open(material.copy_into(folder / name, own))
        photos.add(folder / name, models=MODELS, thumbnails=False)
        asked = [query for query in queries if name == "A" or query.set != material.IMAGENET]
        galleries[name] = Gallery(name, folder / name, len(own), photos, asked, {way: {} for way in ways})
    with remembered(folder / "vectors.npz") as forget:
        for i, query in enumerate(queries):
            for gallery in galleries.values():
                if query in gallery.asked:
                    ask(gallery, query, ways, options.keypoints)
            forget()
            if i % 50 == 0:
                say(f"{i} of {len(queries)}")
    rows = [row(gallery, way) for gallery in galleries.values() for way in ways]
    details = {gallery.name: by_operator(gallery) for gallery in galleries.values()}
    sizes = {
        gallery.name: {
            "photos": gallery.size,
            "queries": len(gallery.asked),
            "absent": sum(query.absent for query in gallery.asked),
        }
        for gallery in galleries.values()
    }
    if not options.untimed:
        some = random.Random(options.seed).sample(queries, TIMED)
        spent = durations(lookalike.open(folder / "B"), some, ways, options.keypoints)
        rows = [{**each, "cpu_ms": spent[each["way"]]} for each in rows]
    return {"galleries": sizes, "keypoints": options.keypoints, "rows": rows, "accuracy_by_operator": details}


# --- Searching ---


@dataclass(frozen=True, eq=False)
class Gallery:
    """What is searched, what it is asked, and by way and query what was found: names and scores."""

    name: str
    folder: Path
    size: int
    photos: Collection
    asked: Sequence[Query]
    found: dict[Way, dict[str, Ranking]]


def ask(gallery: Gallery, query: Query, ways: Sequence[Way], keypoints: int) -> None:
    most = max(way.top for way in ways)
    hits = {
        way.search: gallery.photos.search(query.path, model=way.model, k=most, views=way.views)
        for way in dict.fromkeys(replace(way, verify=None, top=most) for way in ways)
    }
    for way in ways:
        if way.verify is None:
            gallery.found[way][query.path] = named(hits[way.search], gallery.folder)[:TOP]
    for kind in dict.fromkeys((way.verify, way.mirror, way.top) for way in ways):
        method, mirror, top = kind
        if method is None:
            continue
        own = [way for way in ways if (way.verify, way.mirror, way.top) == kind]
        columns = [hits[way.search] for way in own]
        columns = rerank(
            gallery.photos, query.path, columns, method=method, top=top, mirror=mirror, keypoints=keypoints
        )
        for way, verified in zip(own, columns, strict=True):
            gallery.found[way][query.path] = named(verified, gallery.folder)


def named(hits: Hits, folder: Path) -> Ranking:
    """Names and scores: the chance, where hits were verified; what was not verified is no prediction."""
    verified = [hit for hit in hits if hit.evidence is not None]
    scored = [(hit, hit.evidence.chance) for hit in verified if hit.evidence] or [(hit, hit.cosine) for hit in hits]
    return [(str(Path(hit.path).relative_to(folder)), score) for hit, score in scored]


def durations(photos: Collection, queries: Sequence[Query], ways: Sequence[Way], keypoints: int) -> dict[str, float]:
    """CPU-ms a query by way. Each is asked twice: the first time the gallery's features are made."""
    spent: dict[str, float] = {}
    for way in ways:
        for turn in range(2 if way.verify else 1):
            total = 0.0
            for query in queries:
                began = time.process_time()
                hits = photos.search(query.path, model=way.model, k=way.top, views=way.views)
                if way.verify:
                    rerank(
                        photos,
                        query.path,
                        [hits],
                        method=way.verify,
                        top=way.top,
                        mirror=way.mirror,
                        keypoints=keypoints,
                    )
                total += time.process_time() - began
            spent[way.name] = round(total * 1e3 / len(queries), 1)
            say(f"{way.name}: turn {turn + 1}: {spent[way.name]} CPU-ms a query")
    return spent


# --- Judging ---


def row(gallery: Gallery, way: Way) -> dict[str, Any]:
    own = gallery.found[way]
    asked = [query for query in gallery.asked if query.path in own]
    hard = [query for query in asked if query.grade == GRADES[-1]]
    calm = [query for query in asked if query.set != material.CAMERAS]
    without = {query.path: [(n, s) for n, s in own[query.path] if not is_camera(n)] for query in calm}
    figures, first = judged(asked, own)
    reached = [query.wanted in dict(own[query.path]) for query in asked if query.wanted]
    result = {
        "gallery": gallery.name,
        "way": way.name,
        "queries": len(asked),
        **{key: round(figures[measure], 4) for key, measure in MEASURES.items()},
        "hard": round(judged(hard, own)[0]["accuracy@1"], 4),
        "without_cameras": round(judged(calm, without)[0]["uap"], 4),
        "in_reach": round(sum(reached) / len(reached), 4),
    }
    if way.verify:
        _, before = judged(asked, gallery.found[Way(way.model, way.mirror, way.crops)])
        result["won"] = sum(first[path] > before[path] for path in first)
        result["lost"] = sum(first[path] < before[path] for path in first)
    return result


def judged(asked: Sequence[Query], found: Mapping[str, Ranking]) -> tuple[Mapping[str, float], Mapping[str, float]]:
    """The figures by measure; and by query, of those that have a truth, 1 where that is first."""
    queries = [Judged(query.path, Path(query.path), frozenset(filter(None, [query.wanted]))) for query in asked]
    rankings = {query.path: found[query.path] for query in asked}
    names = {name: Path(name) for ranking in rankings.values() for name, _ in ranking}
    result = judge(Dataset("copies", "copies", names, queries, TOP), rankings)
    return result.figures, result.by_query["accuracy@1"]


def is_camera(name: str) -> bool:
    return f"/{material.CAMERAS}/" in name


def by_operator(gallery: Gallery) -> dict[str, Mapping[str, str]]:
    """By way and operator: how many of how many came first."""
    table: dict[str, Mapping[str, str]] = {}
    for way, found in gallery.found.items():
        asked = [query for query in gallery.asked if query.wanted and query.path in found]
        all_of = Counter(query.operator for query in asked)
        _, right = judged(asked, found)
        first = Counter(query.operator for query in asked if right[query.path])
        table[way.name] = {operator: f"{first[operator]} of {count}" for operator, count in sorted(all_of.items())}
    return table


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
