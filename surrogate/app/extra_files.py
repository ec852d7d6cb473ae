"""Buttons for files that are only made when somebody wants them: a score, and stems."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import gradio as gr

from musicvae_torch.errors import MusicVAEError, OptionError
from surrogate.app.lines import problem_line, remark_lines
from surrogate.app.result import Result

# A button that is not shown, which downloads what the one that was clicked has made.
FETCH = "() => setTimeout(() => document.querySelector('#made').click(), 100)"

Write = Callable[[Result, int], tuple[Path, list[str]]]


class ExtraFiles:
    """The buttons; they stand where this is made.

    Args:
        sounds: whether sound can be made.
    """

    def __init__(self, sounds: bool) -> None:
        scores = find_spec("music21") is not None
        self.score = gr.Button("Score ↓", size="sm", visible=scores, elem_id="score")
        self.stems = gr.Button("Stems ↓", size="sm", visible=sounds, elem_id="stems")
        self.made = gr.DownloadButton("Made", elem_id="made", visible="hidden")

    def connect(
        self, steps: gr.State, band: gr.Dropdown, remarks: gr.HTML, problem: gr.HTML
    ) -> None:
        """Say what the buttons are for.

        Args:
            steps: a list of results, of which the last one counts.
            band: the number of one of its bands.
            remarks, problem: where there is something to be told.
        """
        kinds: list[tuple[gr.Button, str, Write]] = [
            (self.score, "Score", lambda bands, number: bands.score(number)),
            (self.stems, "Stems", lambda bands, number: (bands.stems(number), [])),
        ]
        for button, name, write in kinds:
            clicked = button.click(
                _making(button, name, write, self.made, remarks, problem),
                [steps, band],
                [button, self.made, remarks, problem],
                show_progress="hidden",  # the button says it
                api_visibility="private",
            )
            clicked.success(None, None, None, js=FETCH, api_visibility="private")


def _making(
    button: gr.Button,
    name: str,
    write: Write,
    made: gr.DownloadButton,
    remarks: gr.HTML,
    problem: gr.HTML,
) -> Callable[[list[Result], int], Iterator[dict[Any, Any]]]:
    """What a click does: it says that the file is being made, and makes it."""

    def make(steps: list[Result], number: int) -> Iterator[dict[Any, Any]]:
        yield {
            button: gr.Button(f"{name}: writing…", interactive=False),
            made: gr.DownloadButton(value=None),
            problem: gr.HTML(visible=False),
        }
        done = {button: gr.Button(f"{name} ↓", interactive=True)}
        try:
            if not steps:
                raise OptionError("Make some bands first.")
            path, lines = write(steps[-1], number)
        except (MusicVAEError, OSError) as error:
            yield {**done, problem: problem_line(error)}
            return
        yield {
            **done,
            made: gr.DownloadButton(value=path),
            remarks: remark_lines([*steps[-1].remarks(), *lines]),
        }

    return make
