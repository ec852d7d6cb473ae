"""The app for other programs: one endpoint, /accompany, which Gradio offers over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import gradio as gr

from musicvae_torch.errors import MusicVAEError, OptionError
from surrogate.app.studio import Studio, options_of, read_song
from surrogate.options import AccompanyOptions

ABOUT = """Give a melody a band.

song: a file, as the app takes it. options: fields of AccompanyOptions, by name, as JSON. style:
a song like whose band this one is to play. Returns a MIDI file for each band, the one most like the
others first, and what the user should know, a line each.
"""


def add_endpoint(studio: Studio) -> None:
    """Give the Blocks that are being built the endpoint; nothing of it is shown."""

    def accompany(
        song: str | None, options: Any, style: str | None
    ) -> Iterator[tuple[list[str], list[str]]]:
        try:
            if song is None:
                raise OptionError("song: wanted a file")
            bands = studio.make(read_song(song), program_options(options, style))
        except (MusicVAEError, OSError) as error:
            raise gr.Error(" ".join(str(error).split()), print_exception=False) from None
        try:
            files = [str(bands.midi(number)) for _, number in bands.choices]
            yield files, bands.remarks()
        finally:  # Gradio has its own copies then
            bands.discard()

    song = gr.File(label="song", visible=False)
    options = gr.JSON({}, label="options", visible=False)
    style = gr.File(label="style", visible=False)
    bands = gr.File(label="bands", file_count="multiple", visible=False)
    remarks = gr.JSON(label="remarks", visible=False)
    gr.Button(visible=False).click(
        accompany,
        [song, options, style],
        [bands, remarks],
        api_name="accompany",
        api_description=ABOUT,
    )


def program_options(options: Any, style: str | Path | None = None) -> AccompanyOptions:
    """The options that a program sends.

    Args:
        options: fields of AccompanyOptions by name, with the values that JSON has for them; None:
            the defaults.
        style: the file of the option of that name, which no program names by its path.

    Raises:
        OptionError: one is unknown, out of range, or not to be understood.
    """
    if not isinstance(options, dict | None):
        raise OptionError(f"options: wanted a JSON object, not {options!r}")
    given = dict(options or {})
    known = {field.name for field in fields(AccompanyOptions)} - {"style"}
    if unknown := sorted(given.keys() - known):
        raise OptionError(f"options: unknown {unknown[0]!r}; known: {', '.join(sorted(known))}")
    try:
        return options_of({**given, "style": None if style is None else str(style)})
    except MusicVAEError:
        raise
    except (TypeError, ValueError, AttributeError) as error:  # of another type than was expected
        raise OptionError(f"options: {error}") from None
