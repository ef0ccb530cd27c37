"""What the votes say: each model's share of wins, who beats whom, and how far that can be trusted.

Votes on one query are not independent: the query is the unit.

share      of the votes that a model won; a tie is half a win. Percentile bootstrap over the queries: Efron and
           Tibshirani, "An Introduction to the Bootstrap" (1993); see `stats`
strength   for more than two models: Bradley and Terry, "Rank Analysis of Incomplete Block Designs" (1952), fitted by
           Hunter's MM algorithm (2004); one tie more is counted for each pair that met, so that a model which never
           lost has a strength, too
p          exact sign test over the queries that were decided, corrected for the number of pairs by Holm's method (1979)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from lookalike.collection import Collection
from lookalike.stats import LEVEL, ROUNDS, Floats, Interval, holm, interval, sign_flip
from lookalike.voting.votes import Vote, kept_votes
from lookalike.wording import counted

FEWEST = math.ceil(1 + math.log2(1 / (1 - LEVEL)))
"""Queries that must all go one way before the sign test can call anything a difference: 6."""

_STEPS = 200
"""Of the MM algorithm: strengths are settled to a thousandth long before."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How a model stands.

    share:    of its votes that it won, 0 to 1
    strength: the logarithm of its odds against a model of mean strength; None for two models, whose shares say the
              same, and where some models never met, not even by way of others
    """

    model: str
    votes: int
    share: Interval
    strength: Interval | None = None


@dataclass(frozen=True, slots=True)
class Duel:
    """Two models that met: `share` is that of `a`, which won no fewer votes; `p` is corrected for all pairs."""

    a: str
    b: str
    votes: int
    ties: int
    queries: int
    share: Interval
    p: float

    @property
    def better(self) -> str | None:
        """The one that is better, where that is more than luck."""
        return self.a if self.p < 1 - LEVEL and self.share.low > 0.5 else None

    @property
    def verdict(self) -> str:
        """In words."""
        if self.better:
            return f"{self.a} is better than {self.b}: {self.share.value:.0%} of {self.votes} votes"
        told = f"no difference between {self.a} and {self.b} can be shown by {counted(self.votes, 'vote')}"
        few = f": it takes {FEWEST} images at the least" if self.queries < FEWEST else ""
        return f"{told} on {counted(self.queries, 'image')}{few}"


@dataclass(frozen=True, slots=True)
class Tally:
    """The summary of a collection's votes.

    standings: the models, the best first; duels: the pairs that met
    votes:     that count: of several of one voter on one question, the last
    skipped:   questions that were left unanswered
    outdated:  votes on a revision of a model that the collection does not hold any more: they do not count
    damaged:   lines of the file that are no votes
    """

    standings: tuple[Standing, ...]
    duels: tuple[Duel, ...]
    votes: int
    queries: int
    skipped: int
    outdated: int
    damaged: int

    def to_json(self) -> dict[str, Any]:
        """As plain data: the contract of `votes --json`."""
        duels = [{**asdict(duel), "better": duel.better, "verdict": duel.verdict} for duel in self.duels]
        return {**asdict(self), "duels": duels}


def tally(collection: Collection, seed: int = 0) -> Tally:
    """Sum up the votes that are kept beside a collection. Raises StorageError where they cannot be read.

    Voters are asked about images on which the models differ (see `draw`): the shares speak of such images, not of all.
    """
    votes, damaged = kept_votes(collection.directory)
    now = {entry.name: entry.fingerprint for entry in collection.entries()}
    current = [vote for vote in votes if vote.left != vote.right and vote.fingerprints.items() <= now.items()]
    last = list({vote.question: vote for vote in current}.values())
    answered = [vote for vote in last if vote.answer != "skip"]
    duels = _duels(answered, seed)
    return Tally(
        standings=_standings(answered, seed),
        duels=duels,
        votes=len(answered),
        queries=len({vote.query for vote in answered}),
        skipped=len(last) - len(answered),
        outdated=len(votes) - len(current),
        damaged=damaged,
    )


def _duels(votes: Sequence[Vote], seed: int) -> tuple[Duel, ...]:
    pairs: dict[tuple[str, str], list[Vote]] = {}
    for vote in votes:
        pairs.setdefault((min(vote.left, vote.right), max(vote.left, vote.right)), []).append(vote)
    found = []
    for (a, b), some in sorted(pairs.items()):
        won = [_won(vote, a) for vote in some]
        if sum(won) < len(won) / 2:
            a, b, won = b, a, [1 - each for each in won]
        queries = [vote.query for vote in some]
        sums, counts = _by_query(queries, won), _by_query(queries, [1.0] * len(won))
        p = sign_flip(np.sign(2 * sums - counts).astype(np.intp))
        share = _share(sums, counts, _rounds(len(sums), seed))
        found.append(Duel(a, b, len(some), won.count(0.5), len(sums), share, p))
    corrected = holm([duel.p for duel in found])
    return tuple(replace(duel, p=p) for duel, p in zip(found, corrected, strict=True))


def _standings(votes: Sequence[Vote], seed: int) -> tuple[Standing, ...]:
    if not votes:
        return ()
    models = sorted({name for vote in votes for name in (vote.left, vote.right)})
    numbers = {query: i for i, query in enumerate(dict.fromkeys(vote.query for vote in votes))}
    wins = np.zeros((len(numbers), len(models), len(models)))  # by query: how often one beat the other
    for vote in votes:
        left, right = models.index(vote.left), models.index(vote.right)
        wins[numbers[vote.query], left, right] += _won(vote, vote.left)
        wins[numbers[vote.query], right, left] += _won(vote, vote.right)
    rounds = _rounds(len(numbers), seed)
    strengths = _strengths(wins, rounds) if len(models) > 2 else None
    counts = wins + wins.transpose(0, 2, 1)
    found = [
        Standing(
            name,
            int(counts[:, i].sum()),
            _share(wins[:, i].sum(1)[played], counts[:, i].sum(1)[played], _rounds(int(played.sum()), seed)),
            None if strengths is None else interval(float(strengths[0, i]), strengths[1:, i]),
        )
        for i, name in enumerate(models)
        for played in [counts[:, i].sum(1) > 0]
    ]
    return tuple(sorted(found, key=lambda one: -(one.strength or one.share).value))


def _won(vote: Vote, model: str) -> float:
    if vote.answer == "tie":
        return 0.5
    return float(model == (vote.left if vote.answer == "left" else vote.right))


def _by_query(queries: Sequence[str], values: Sequence[float]) -> Floats:
    sums: dict[str, float] = {}
    for query, value in zip(queries, values, strict=True):
        sums[query] = sums.get(query, 0.0) + value
    return np.array(list(sums.values()))


def _rounds(queries: int, seed: int) -> Floats:
    """(1 + rounds, queries) how often each query was drawn; the first row is the sample itself."""
    drawn = np.random.default_rng(seed).multinomial(queries, np.full(queries, 1 / max(1, queries)), size=ROUNDS)
    return np.vstack([np.ones(queries), drawn])


def _share(won: Floats, votes: Floats, rounds: Floats) -> Interval:
    """The share of votes that was won, from (queries,) sums."""
    found = (rounds @ won) / (rounds @ votes)
    return interval(float(found[0]), found[1:], units=len(won))


def _strengths(wins: Floats, rounds: Floats) -> Floats | None:
    """(1 + rounds, models) log odds with a mean of 0, from (queries, models, models) wins."""
    met = (wins + wins.transpose(0, 2, 1)).sum(axis=0) > 0
    if not np.linalg.matrix_power(met + np.eye(len(met)), len(met)).all():
        return None
    totals = np.tensordot(rounds, wins, axes=1) + met / 2
    games = totals + totals.transpose(0, 2, 1)
    strengths = np.ones(totals.shape[:2])
    for _ in range(_STEPS):
        together = strengths[:, :, None] + strengths[:, None, :]
        strengths = totals.sum(axis=2) / (games / together).sum(axis=2)
        strengths /= np.exp(np.log(strengths).mean(axis=1, keepdims=True))
    return np.asarray(np.log(strengths))
