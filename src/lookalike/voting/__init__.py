"""Which of two lists is better? Likeness is subjective: its users vote, without knowing which model made which list.

ballots.py: what is asked; votes.py: what was answered, on disk; tally.py: what follows from it.
"""

from lookalike.voting.ballots import Ballot, draw
from lookalike.voting.tally import Duel, Standing, Tally, tally
from lookalike.voting.votes import ANSWERS, Answer, Vote, keep_vote, kept_votes

__all__ = [
    "ANSWERS",
    "Answer",
    "Ballot",
    "Duel",
    "Standing",
    "Tally",
    "Vote",
    "draw",
    "keep_vote",
    "kept_votes",
    "tally",
]
