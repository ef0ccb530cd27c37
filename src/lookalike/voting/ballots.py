"""What voters are asked: an image of the collection, and what two models find for it, on sides drawn by lot."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, zip_longest

import numpy as np

from lookalike.collection import Collection
from lookalike.errors import UsageError
from lookalike.searching import PLUS
from lookalike.types import Hits, ImageRef, Vectors
from lookalike.voting.votes import Answer, Vote

SHOWN = 6
"""Images in each list."""

POOL = 100
"""Images that are drawn, to choose the queries from."""


@dataclass(frozen=True, slots=True)
class Ballot:
    """A question: which of two lists is better? `id` is a hash of all that is on it.

    disagreement: 0 to 1: how much the lists differ (see `disagreement`)
    """

    id: str
    query: ImageRef
    left: Hits
    right: Hits
    disagreement: float
    fingerprints: Mapping[str, str]

    def vote(self, answer: Answer, voter: str | None = None) -> Vote:
        """The answer, to be kept."""
        return Vote(self.query.id, self.left.model, self.right.model, answer, voter, self.fingerprints, self.id)


def draw(
    collection: Collection, models: Sequence[str], *, shown: int = SHOWN, seed: int = 0, pool: int = POOL
) -> list[Ballot]:
    """The ballots for two models, or for each pair of several, in the order in which they are to be asked.

    Of `pool` images, drawn by lot, those come sooner, as a rule, whose lists differ more: they tell more of the
    models (weighted sampling without replacement: Efraimidis and Spirakis, 2006). Lists that are the same are not
    asked about, nor is an image that a model has no vector of. The same seed gives the same ballots.

    Raises UsageError for fewer than two models, and what `Collection.search` raises.
    """
    names = list(dict.fromkeys(models))
    if len(names) < 2:
        raise UsageError(f"a vote is between two models or more: name others beside {', '.join(names) or 'none'}")
    rng = np.random.default_rng(seed)
    queries = _drawn(collection, pool, rng)
    fingerprints = {entry.name: entry.fingerprint for entry in collection.entries()}
    parts = {name: [name] if name in fingerprints else name.split(PLUS) for name in names}
    lists = {name: _lists(collection, parts[name], queries, shown) for name in names}
    asked = []
    for a, b in combinations(names, 2):
        both = [query for query in queries if query.id in lists[a] and query.id in lists[b]]
        worth = np.array([disagreement(lists[a][query.id], lists[b][query.id]) for query in both])
        with np.errstate(divide="ignore"):
            keys = np.log(rng.random(len(both))) / worth  # the largest come first; no worth: last of all
        ballots = []
        for i in np.argsort(-keys, kind="stable").tolist():
            sides = (a, b) if rng.random() < 0.5 else (b, a)
            if worth[i]:
                left, right = (lists[side][both[i].id] for side in sides)
                prints = {name: fingerprints[name] for name in parts[a] + parts[b]}
                ballots.append(Ballot(_id(both[i], left, right, prints), both[i], left, right, float(worth[i]), prints))
        asked.append(ballots)
    return [ballot for one_each in zip_longest(*asked) for ballot in one_each if ballot]


def disagreement(a: Hits, b: Hits) -> float:
    """0 for lists of the same images in the same order, 1 for lists that have none in common.

    One less the average overlap of the first 1, 2, ... of both: Fagin et al., "Comparing Top k Lists" (2003).
    """
    ids = [[hit.image.id for hit in hits] for hits in (a, b)]
    depth = max(map(len, ids))
    overlaps = [len(set(ids[0][:d]) & set(ids[1][:d])) / d for d in range(1, depth + 1)]
    return round(1 - sum(overlaps) / depth, 6) if depth else 0.0


def _drawn(collection: Collection, count: int, rng: np.random.Generator) -> list[ImageRef]:
    """Different pictures of the collection, by lot."""
    total, _ = collection.listing(0, 0)
    pictures = list({image.id: image for image in collection.listing(0, total)[1]}.values())
    return [pictures[i] for i in rng.permutation(len(pictures))[:count].tolist()]


def _lists(collection: Collection, parts: Sequence[str], queries: Sequence[ImageRef], shown: int) -> dict[str, Hits]:
    """What a model, or several together, find, by the id of the query; files of the query's own bytes are left out."""
    stored = {part: collection.stored(part, [query.id for query in queries]) for part in parts}
    found = {}
    for query in queries:
        if all(query.id in vectors for vectors in stored.values()):
            own: dict[str, Vectors] = {part: vectors[query.id] for part, vectors in stored.items()}
            hidden = [image.path for image in collection.showing(query.id)]
            found[query.id] = collection.search_vectors(own, k=shown, query=query.path, hidden=hidden)
    return found


def _id(query: ImageRef, left: Hits, right: Hits, fingerprints: Mapping[str, str]) -> str:
    sides = [(hits.model, [hit.image.id for hit in hits]) for hits in (left, right)]
    return hashlib.sha256(json.dumps([query.id, sides, dict(fingerprints)]).encode()).hexdigest()[:16]
