"""What listeners prefer, as Markdown: how often, by how much, and whether it may be chance."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations

import numpy as np

from surrogate.evaluation.listening.votes import Vote, Votes
from surrogate.evaluation.metrics import RESAMPLES, percentile_interval
from surrogate.evaluation.tables import DASH, markdown

COLUMNS = (
    "question",
    "votes",
    "first preferred",
    "no difference",
    "second preferred",
    "mean preference",
    "p",
)


def sign_test(wins: int, losses: int) -> float:
    """Two-sided p-value of the sign test: how likely counts at least as unequal are if each vote
    is the toss of a fair coin. Ties do not count."""
    votes = wins + losses
    tail = sum(math.comb(votes, k) for k in range(max(wins, losses), votes + 1))
    return min(2 * tail / (1 << votes), 1.0)


def crossed_interval(
    values: np.ndarray, listeners: np.ndarray, songs: np.ndarray, seed: int = 0
) -> tuple[float, float]:
    """95 % percentile interval of a mean by the pigeonhole bootstrap (Owen 2007): listeners and
    songs are resampled, and a vote counts as often as its listener times as often as its song.

    Args:
        values: (votes,).
        listeners, songs: (votes,) names or numbers of those that each vote is by, and on.
        seed: of the draws.

    Returns:
        The ends of the interval; NaN if there is but one listener and one song.
    """
    weights = np.ones((RESAMPLES, len(values)))
    rng = np.random.default_rng(seed)
    counts = []
    for labels in (listeners, songs):
        known, index = np.unique(labels, return_inverse=True)
        counts.append(len(known))
        draws = rng.multinomial(len(known), np.full(len(known), 1 / len(known)), RESAMPLES)
        weights *= draws[:, index]
    if max(counts) < 2:
        return math.nan, math.nan
    totals = weights.sum(axis=1)
    drawn = totals > 0  # where not all listeners heard all songs, a draw may hold no vote
    means = (weights[drawn] @ values) / totals[drawn]
    return percentile_interval(means)


def report(votes: Votes) -> str:
    """Tables and remarks for all pairs of systems and all questions, as Markdown."""
    key = votes.key
    rows = []
    for first, second in combinations(range(len(key.systems)), 2):
        own = [vote for vote in votes.votes if (vote.first, vote.second) == (first, second)]
        pair = f"{_plain(key.systems[first])} or {_plain(key.systems[second])}"
        rows += [
            [pair, _plain(text), *_cells(own, question)] for question, text in key.questions.items()
        ]
    listeners = len({vote.listener for vote in votes.votes})
    songs = len({vote.song for vote in votes.votes})
    lines = [
        f"{_count(listeners, 'listener')}, {_count(songs, 'song')}, "
        f"{_count(len(votes.votes), 'comparison')}.",
        "",
        markdown(COLUMNS, rows),
        "",
        "Mean preference: from +2 (the first by far) to -2 (the second by far), with its 95 % "
        "bootstrap interval over listeners and songs. p: two-sided sign test of the votes that "
        "prefer one, each taken for independent of the others.",
        "",
        *_sides(votes),
        *_comments(votes),
    ]
    return "\n".join(lines).rstrip()


def _cells(votes: Sequence[Vote], question: str) -> list[str]:
    """The cells of a row after the question."""
    if not votes:
        return ["0", *[DASH] * 5]
    values = np.array([vote.preferences[question] for vote in votes])
    wins, losses = int((values > 0).sum()), int((values < 0).sum())
    listeners, songs = (
        np.array([getattr(vote, name) for vote in votes]) for name in ("listener", "song")
    )
    low, high = crossed_interval(values, listeners, songs)
    mean = f"{values.mean():+.2f}"
    interval = "" if math.isnan(low) else f" ({low:+.2f} to {high:+.2f})"
    ties = len(values) - wins - losses
    p = _p(sign_test(wins, losses))
    return [str(len(values)), str(wins), str(ties), str(losses), f"{mean}{interval}", p]


def _sides(votes: Votes) -> list[str]:
    """The number of times that A and B were preferred, whatever systems they were."""
    lines = []
    for question, text in votes.key.questions.items():
        values = [
            vote.preferences[question] * (1 if vote.first_was_a else -1) for vote in votes.votes
        ]
        a, b = sum(value > 0 for value in values), sum(value < 0 for value in values)
        lines.append(
            f"- {_plain(text)} A, at the left, was preferred {_times(a)}, B {_times(b)} "
            f"(p {_p(sign_test(a, b))})."
        )
    return lines


def _comments(votes: Votes) -> list[str]:
    key = votes.key
    lines = []
    for vote in votes.votes:
        if vote.comment.strip():
            order = (vote.first, vote.second) if vote.first_was_a else (vote.second, vote.first)
            a, b = (key.systems[index] for index in order)
            where = f"{vote.listener} on {key.songs[vote.song]} (A: {a}, B: {b})"
            lines.append(f"- {_plain(where)}: {_plain(vote.comment)}")
    return ["", "Comments:", "", *lines] if lines else []


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number} times"


def _plain(text: str) -> str:
    """Text on one line, without characters that would end a table's cell or confuse a terminal."""
    line = "".join(letter if letter.isprintable() else " " for letter in text)
    return " ".join(line.split()).replace("|", "\\|")
