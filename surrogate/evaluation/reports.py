"""What an evaluation found, as Markdown tables and as JSON."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from surrogate.evaluation.columns import DENSITY, DISTRIBUTIONS, HARMONY, STRUCTURE
from surrogate.evaluation.finished import MADE
from surrogate.evaluation.tables import (
    DASH,
    Estimate,
    Scores,
    markdown,
    paired_differences,
    rows_as_json,
    scores_table,
)
from surrogate.evaluation.task import EvaluateOptions
from surrogate.evaluation.windows import EvaluationWindows

NO_LATENT = "decoder without a latent"
HIDDEN_NATS = "nats hidden"
_TOGETHER, _DISTRIBUTED = "How the bands hold together:", "How their notes are distributed:"
TABLES = {
    "Harmony and density:": (*HARMONY, *DENSITY),
    _TOGETHER: STRUCTURE,
    _DISTRIBUTED: DISTRIBUTIONS,
}
DIFFERENCES = (
    *HARMONY,
    "bass notes a bar",
    "drum hits a bar",
    "bass on kick beyond chance",
    "bars with toms",
    "bass repeats",
    "drums repeats",
)


@dataclass(frozen=True)
class Evaluation:
    """Scores of every row.

    Attributes:
        rows: for each name the columns that apply, each with a mean for each song.
        columns: names of all columns; those of latents and likelihoods first.
        differences: paired differences of the hidden parts' log-likelihood from `reference`.
        reference: the row compared with.
        notes: on what was left out.
        windows: that were evaluated on.
        options: that were used.
    """

    rows: dict[str, Scores]
    columns: list[str]
    differences: dict[str, Estimate]
    reference: str
    notes: list[str]
    windows: EvaluationWindows
    options: EvaluateOptions

    def __str__(self) -> str:
        """Markdown: what was evaluated on, the tables, and the verdict."""
        given, hidden = " and ".join(self.options.given), " and ".join(self.options.hidden)
        apart = (*STRUCTURE, *DISTRIBUTIONS)
        of_latents = [column for column in self.columns if column.startswith(("latent", "nats"))]
        of_notes = [name for name in self.columns if name not in (*of_latents, *apart)]
        differences = self.differences.items()
        with_nats = {name: row for name, row in self.rows.items() if HIDDEN_NATS in row}
        blocks = [
            f"{self.windows}. Given: {given}; hidden: {hidden}. Means over songs, with 95 % "
            "bootstrap intervals.",
            self._table(of_latents, with_nats),
            "Decoded freely, the likeliest token at each step, but for the bands of `accompany`, "
            "which are sampled. How far the notes agree with the true parts:",
            self._table(of_notes),
        ]
        for title in (_TOGETHER, _DISTRIBUTED):
            blocks += [title, self._table([n for n in TABLES[title] if n in self.columns])]
        blocks += [
            f"Song by song, nats a step of the hidden parts, less those of {self.reference}:",
            markdown([HIDDEN_NATS], [[name, it.text(4, sign=True)] for name, it in differences]),
            *self.notes,
            *([self.verdict()] if NO_LATENT in self.rows else []),
        ]
        return "\n\n".join(blocks)

    def _table(self, columns: Collection[str], rows: dict[str, Scores] | None = None) -> str:
        shown = self.rows if rows is None else rows
        kept = {name: row for name, row in shown.items() if not row.keys().isdisjoint(columns)}
        return scores_table(kept, list(columns), self.options.seed)

    def verdict(self) -> str:
        """Which ways to a latent say more of the hidden parts than no latent does, in words."""
        found: dict[str, list[str]] = {"Better": [], "Worse": [], "Not told apart": []}
        against = paired_differences(self.rows, NO_LATENT, HIDDEN_NATS, self.options.seed)
        for name, it in against.items():
            side = "Better" if it.low > 0 else "Worse" if it.high < 0 else "Not told apart"
            found[side].append(f"{name} {it.mean:+.2f}")
        sides = (f"{side}: {', '.join(names)}." for side, names in found.items() if names)
        return (
            f"Against the {NO_LATENT}, in nats a step of the hidden parts, by the interval of the "
            f"differences song by song. {' '.join(sides)}"
        )

    def as_json(self) -> dict[str, Any]:
        """All of it as plain JSON data; NaN becomes null."""
        return {
            "given": list(self.options.given),
            "hidden": list(self.options.hidden),
            "seed": self.options.seed,
            "seeds": self.options.seeds,
            "windows": len(self.windows.tokens),
            "songs": self.windows.songs,
            "skipped": self.windows.skipped,
            "rows": rows_as_json(self.rows, self.options.seed, "of_songs"),
            "reference": self.reference,
            "differences": {name: it.as_json() for name, it in self.differences.items()},
            "notes": self.notes,
            "verdict": self.verdict() if NO_LATENT in self.rows else None,
        }


@dataclass(frozen=True)
class Comparison:
    """Scores of finished accompaniments and of ours.

    Attributes:
        files: names of those that were compared.
        rows: each column (files,), by who made them; theirs first, then ours.
        ours: the names of our rows.
        skipped: a line for each file that was left out.
        seed: of the bootstrap, and the first of ours.
        seeds: how many bands of ours each score is the mean of.
        decoded: (files,) bool, where the melody is not the song's own; means leave them out.
        by_file: whether the text has a line for each file.
    """

    files: list[str]
    rows: dict[str, Scores]
    ours: tuple[str, ...]
    skipped: list[str]
    seed: int
    seeds: int
    decoded: np.ndarray
    by_file: bool = True

    @cached_property
    def columns(self) -> set[str]:
        """The columns that any row has."""
        return {column for scores in self.rows.values() for column in scores}

    def __str__(self) -> str:
        """Markdown: means over files, differences, and perhaps a line for each file."""
        kept = {
            name: {column: values[~self.decoded] for column, values in scores.items()}
            for name, scores in self.rows.items()
        }
        marked = int(self.decoded.sum())
        text = (
            f"Files: {len(self.files) - marked}; means over them, with 95 % bootstrap intervals; "
            f"ours of {self.seeds} seed{'s' * (self.seeds > 1)} each."
        )
        if marked:
            text += f" Left out of the means, marked *, for a decoded melody: {marked}."
        blocks = [text, *self._made()]
        for title, columns in TABLES.items():
            blocks += [title, scores_table(kept, self._known(columns), self.seed)]
        differences = self._differences(kept)
        if differences:
            table = scores_table(differences, self._known(DIFFERENCES), self.seed)
            blocks += ["Ours less theirs, file by file:", table]
        else:
            blocks.append("There is nothing of others to compare with: ours alone are shown.")
        if self.by_file:
            blocks += ["File by file, theirs / ours:", self._by_file()]
        return "\n\n".join([*blocks, *(f"Left out: {line}" for line in self.skipped)])

    def _known(self, columns: Iterable[str]) -> list[str]:
        return [column for column in columns if column in self.columns]

    def _made(self) -> list[str]:
        """A line for each row of which some files lack a part."""
        lines = []
        for name, scores in self.rows.items():
            counts = {
                part: int((~np.isnan(scores.get(f"bars with {part}", np.zeros(0)))).sum())
                for part in MADE
            }
            if any(count < len(self.files) for count in counts.values()):
                has = " and ".join(f"{part} in {count}" for part, count in counts.items())
                lines.append(
                    f"{name} has {has} of {len(self.files)} files; its means are of those."
                )
        return lines

    def _differences(self, kept: dict[str, Scores]) -> dict[str, Scores]:
        """Ours less theirs, file by file, where a column is of both."""
        theirs = [name for name in self.rows if name not in self.ours]
        return {
            f"{own} less {other}": {
                column: kept[own][column] - kept[other][column]
                for column in kept[own]
                if column in kept[other]
            }
            for own in self.ours
            for other in theirs
        }

    def _by_file(self) -> str:
        """Each file's scores of harmony and density."""
        columns = self._known((*HARMONY, *DENSITY))
        body = []
        for index, name in enumerate(self.files):
            cells = [
                " / ".join(_cell(scores, column, index) for scores in self.rows.values())
                for column in columns
            ]
            body.append([name + " *" * bool(self.decoded[index]), *cells])
        return markdown(columns, body)

    def as_json(self) -> dict[str, Any]:
        """All of it as plain JSON data; NaN becomes null."""
        return {
            "files": self.files,
            "decoded_melody": self.decoded.tolist(),
            "seed": self.seed,
            "seeds": self.seeds,
            "rows": rows_as_json(self.rows, self.seed, "of_files", ~self.decoded),
            "skipped": self.skipped,
        }


def _cell(scores: Scores, column: str, index: int) -> str:
    if column not in scores or np.isnan(scores[column][index]):
        return DASH
    return f"{scores[column][index]:.2f}"
