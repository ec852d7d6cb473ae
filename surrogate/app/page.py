"""The app's looks: settings on the left, the result on the right."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import gradio as gr

from musicvae_torch.errors import MidiError, MusicVAEError, OptionError
from musicvae_torch.midi.notes import MIDI_SUFFIXES
from musicvae_torch.midi.score import Score
from musicvae_torch.midi.vocabulary import PARTS
from surrogate.app.api import add_endpoint
from surrogate.app.editing import Asked, editable
from surrogate.app.extra_files import ExtraFiles
from surrogate.app.lines import problem_line, remark_lines
from surrogate.app.result import Result
from surrogate.app.studio import Studio, melody_choices, options_of, other_tracks, read_song
from surrogate.options import (
    BAND,
    COMPING,
    COMPING_ON,
    HARMONIES,
    KEEPS,
    METHODS,
    METRES,
    OUTSIDES,
    AccompanyOptions,
    usual,
)
from surrogate.render.page_data import Data, facts

Updates: TypeAlias = dict[Any, Any]

MOST_STEPS = 20  # that can be undone
BANDS = 3  # so that there is something to choose from
KEPT = (3600, 86_400)  # seconds: how often Gradio's copies of files are looked at, and kept
EMPTY = '<div class="empty"><p>Your song and its bands appear here.</p></div>'
# A page in a frame is as high as what it holds, and grows and shrinks with it.
FRAME = (
    '<iframe title="The song and its bands" srcdoc="{page}" scrolling="no" allow="autoplay" '
    'height="600" onload="const b = this.contentDocument.body; '
    "new ResizeObserver(() => this.style.height = b.offsetHeight + 'px').observe(b)\"></iframe>"
)


# Of events that change buttons alone.
_AT_ONCE: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}

# What the framed page asks for becomes an event of the component that holds it.
ASKED = """
window.addEventListener("message", (event) => {
  const frame = element.querySelector("iframe");
  if (frame && event.source === frame.contentWindow && event.data?.accompany)
    trigger("submit", event.data.accompany);
});
"""
# It learns that this is done, and what went wrong, if anything did.
EDITED = """() => {
  const line = document.querySelector("#problem [role=alert]");
  const frame = document.querySelector("#player iframe");
  frame?.contentWindow.postMessage({ done: true, problem: line?.textContent ?? "" }, "*");
}"""


class Page:
    """The page's components, and what happens when one of them is used.

    Args:
        studio: makes the bands.
        examples: songs to try, by title.
        api: whether other programs may use it, too.
    """

    def __init__(self, studio: Studio, examples: dict[str, Path], api: bool = False) -> None:
        self.studio = studio
        self.examples = examples
        self.settings: dict[str, Any] = {}
        self.usual = studio.accompanist.complete(AccompanyOptions())
        with gr.Blocks(
            title="Accompany", analytics_enabled=False, fill_width=True, delete_cache=KEPT
        ) as self.blocks:
            self.song = gr.State()
            # The bands that are shown, after all those that "Undo" brings back.
            self.steps = gr.State([], delete_callback=_discard)
            gr.HTML(
                "<h1>Accompany</h1><p>Give a melody a bass and drums. What the song holds stays, "
                "note for note.</p>",
                elem_id="title",
            )
            with gr.Row(elem_id="columns"):
                with gr.Column(elem_id="choices"):
                    self._build_song()
                    self._build_usual()
                    with gr.Row():
                        self.go = gr.Button(
                            "Accompany", variant="primary", interactive=False, elem_id="go"
                        )
                        self.again = gr.Button("Other bands", interactive=False, elem_id="again")
                    self.problem = gr.HTML(visible=False, elem_id="problem")
                    with gr.Accordion("More settings", open=False):
                        self._build_more()
                with gr.Column(elem_id="results"):
                    self._build_results()
            self._connect()
            if api:
                add_endpoint(studio)

    def _build_song(self) -> None:
        self.file = gr.File(
            label="Song (MIDI, MusicXML, ABC)",  # what of it is none is said by read_song
            height=130,
            elem_id="song",
        )
        self.example = gr.Dropdown(
            sorted(self.examples),
            value=None,
            label="or take an example",
            visible=bool(self.examples),
            elem_id="example",
        )
        self.facts = gr.HTML(visible=False, elem_id="facts")
        self.melody = gr.Radio(
            [],
            label="Melody",
            info="The likeliest track comes first; take another if that is not the tune.",
            visible=False,
            elem_id="melody",
        )
        self.settings["melody"] = self.melody

    def _build_usual(self) -> None:
        put = self.settings
        with gr.Row(elem_classes="pair"):
            put["candidates"] = _slider("Bands", "the most typical is first", 1, 6, BANDS, 1)
            put["temperature"] = _slider(
                "Temperature", "0 safe, 1 daring", 0, 1.5, warmest(self.usual.method), 0.01
            )
        able = self.studio.directions
        with gr.Row(visible=bool(able), elem_classes="pair"):
            for name, words in (("density", "sparse or busy"), ("swing", "straight or swung")):
                if name in able:
                    put[name] = _slider(name.capitalize(), words, -3, 3, 0, 0.25)
        put["chords"] = gr.Textbox(
            label="Chords",
            info="bars divided by |; empty: the file's own, or what its notes suggest",
            placeholder="C | Am F | G7 | C",
            max_lines=4,
        )

    def _build_more(self) -> None:
        put = self.settings
        put["seed"] = gr.Number(
            self.usual.seed, precision=0, label="Seed", info="another number, other bands"
        )
        put["given"] = gr.CheckboxGroup(
            list(PARTS), value=list(self.usual.given), label="Given",
            info="parts to take from the song; the others are made",
        )  # fmt: skip
        put["keep"] = gr.Dropdown(
            _named(KEEPS, "all but the parts that are made", "the given parts alone", "every one"),
            value=self.usual.keep, label="Keep", info="tracks of the song that stay",
        )  # fmt: skip
        put["outside"] = gr.Dropdown(
            _named(OUTSIDES, "the song's own stay", "the band plays on", "nobody plays"),
            value=self.usual.outside, label="Outside the melody",
            info="bass and drums in bars in which the melody rests for long",
        )  # fmt: skip
        for part in ("bass", "drums"):
            put[part] = gr.Textbox(
                label=f"The song's own {part}", placeholder="as found",
                info="a track's number or name, several as 3,4, or none",
            )  # fmt: skip
        put["beat"] = gr.Textbox(
            label="Beat", placeholder="as in the file",
            info="as the file says, auto (as the notes have it), or so many a minute, as in 87.3",
        )  # fmt: skip
        put["variety"] = _slider(
            "Variety", "how far each band's style is from the likeliest; 1: as real ones",
            0, 2, self.usual.variety, 0.1,
        )  # fmt: skip
        put["dynamics"] = _slider(
            "Dynamics", "loudness: 0 all alike, 1 as real bands follow a song, 2 exaggerated",
            0, 2, self.usual.dynamics, 0.1,
        )  # fmt: skip
        put["feel"] = _slider(
            "Feel", "drums: 0 even and on the grid, 1 as a drummer plays, 2 exaggerated",
            0, 2, self.usual.feel, 0.1, visible=self.studio.accompanist.groove is not None,
        )  # fmt: skip
        put["harmony"] = gr.Dropdown(
            _named(HARMONIES, "those on strong beats", "all", "none"),
            value=self.usual.harmony, label="Harmony",
            info="bass notes that are moved into the chords",
        )  # fmt: skip
        bands = self.usual.method == BAND
        with gr.Row(elem_classes="pair", visible=bands) as self.of_band:
            put["top_p"] = _slider(
                "Top-p", "draw from the likeliest that have this share of the probability",
                0.5, 1, usual(BAND)["top_p"], 0.01,
            )  # fmt: skip
            put["guidance"] = _slider(
                "Guidance", "above 1: closer to the melody", 0, 4, usual(BAND)["guidance"], 0.25
            )
        put["style"] = gr.File(
            label="Play like another song (MIDI)", file_types=list(MIDI_SUFFIXES), height=100,
            visible=bands, elem_id="style",
        )  # fmt: skip
        with gr.Row(elem_classes="pair"):
            put["intro"] = _slider("Intro", "bars before the song", 0, 16, 0, 1)
            put["outro"] = _slider("Outro", "bars after it", 0, 16, 0, 1)
        put["ending"] = gr.Checkbox(
            False, label="Ending", info="end with a hit of the drums and a held root"
        )
        put["fills"] = gr.Textbox(
            label="Fills", info="bars that end in a drum fill", placeholder="8,16"
        )
        with gr.Row(elem_classes="pair"):
            put["add"] = gr.CheckboxGroup(
                [COMPING], label="Add", info="a part that plays the chords", min_width=120
            )
            put["comping"] = gr.Dropdown(
                list(COMPING_ON), value=self.usual.comping, label="On", min_width=120,
                info="what plays them",
            )  # fmt: skip
        put["write_chords"] = gr.Checkbox(
            False, label="Write chords", info="into the MIDI file, as markers"
        )
        put["skip"] = gr.Textbox(
            label="Skip", info="bars without the band, from 1", placeholder="1-4,17"
        )
        put["fill"] = gr.Checkbox(
            self.usual.fill, label="Play throughout", info="repeat a bar where the model would rest"
        )
        put["metre"] = gr.Dropdown(
            _named(METRES, "fit the model's 4/4 to it", "refuse it"),
            value=self.usual.metre, label="Metre", info="where the song has another than 4/4",
        )  # fmt: skip
        put["pickup"] = gr.Number(
            self.usual.pickup, minimum=0, label="Pickup",
            info="quarter notes before the first full bar, where the file does not say",
        )  # fmt: skip
        words = ("band network", "surrogate's latent", "refined latent (slow)",
                 "refinement alone (slow)")  # fmt: skip
        able = self.studio.methods
        methods = [choice for choice in _named(METHODS, *words) if choice[1] in able]
        put["method"] = gr.Dropdown(
            methods, value=self.usual.method, label="Method", visible=len(methods) > 1,
            info="what plays: the band network, or the MusicVAE's decoder from a latent",
        )  # fmt: skip

    def _build_results(self) -> None:
        with gr.Row(elem_id="downloads", visible=False) as self.downloads:
            self.band = gr.Dropdown(
                [], label="Band to download", show_label=False, container=False, elem_id="band"
            )
            self.midi = gr.DownloadButton("MIDI ↓", size="sm", elem_id="midi")
            self.wav = gr.DownloadButton(
                "WAV ↓", size="sm", visible=self.studio.sounds, elem_id="wav"
            )
            self.page = gr.DownloadButton("Web page ↓", size="sm", elem_id="page")
            self.extra = ExtraFiles(self.studio.sounds)
        self.remarks = gr.HTML(visible=False, elem_id="remarks")
        self.player = gr.HTML(EMPTY, elem_id="player", js_on_load=ASKED)

    def _connect(self) -> None:
        _on(self.example.input, self._take_example, [self.example], [self.file])
        about_song = [self.example, self.song, self.facts, self.melody, self.go, self.again]
        _on(self.file.change, self._read, [self.file], [*about_song, self.problem])
        seed = self.settings["seed"]
        inputs = [self.song, self.steps, *self.settings.values()]
        outputs = [self.player, self.downloads, self.band, self.midi, self.wav, self.page,
                   self.steps, self.remarks, self.problem]  # fmt: skip
        self._make_bands(
            self.go.click(_busy, None, [self.go, self.again], **_AT_ONCE), inputs, outputs
        )
        more = self.again.click(_busy, None, [self.go, self.again], **_AT_ONCE)
        more = _on(more.then, lambda seed: int(seed or 0) + 1, [seed], [seed])
        self._make_bands(more, inputs, outputs)
        # The page in the frame says that it waits, and can be heard and seen in the meantime.
        edited = _on(self.player.submit, self._edit, [self.steps], outputs, show_progress="hidden")
        edited.then(None, None, None, js=EDITED, api_visibility="private")
        suited = [self.settings[name] for name in ("temperature", "harmony", "style")]
        suited.append(self.of_band)
        _on(self.settings["method"].input, self._suit, [self.settings["method"]], suited)
        _on(self.band.input, self._pick, [self.steps, self.band], [self.midi, self.wav])
        self.extra.connect(self.steps, self.band, self.remarks, self.problem)

    def _make_bands(self, after: Any, inputs: list[Any], outputs: list[Any]) -> None:
        """Make bands after an event. While they are made, the place where they appear says so, and
        nothing else is covered."""
        how: dict[str, Any] = {"scroll_to_output": True, "show_progress_on": self.player}
        made = _on(after.then, self._make, inputs, outputs, **how)
        made.then(_ready, None, [self.go, self.again], **_AT_ONCE)

    def _suit(self, method: str) -> tuple[Any, ...]:
        """Set the other settings to what suits another method."""
        own = usual(method)
        bands = method == BAND
        return warmest(method), own["harmony"], gr.File(visible=bands), gr.Row(visible=bands)

    def _take_example(self, title: str | None) -> str | None:
        return str(self.examples[title]) if title in self.examples else None

    def _read(self, path: str | None) -> Updates:
        """Show a song that was chosen; None: it was taken away."""
        nothing = {
            self.example: gr.Dropdown(value=None, visible=bool(self.examples) and path is None),
            self.song: None,
            self.facts: gr.HTML(visible=False),
            self.melody: gr.Radio([], value=None, visible=False),
            self.go: gr.Button(interactive=False),
            self.again: gr.Button(interactive=False),
            self.problem: gr.HTML(visible=False),
        }
        if path is None:
            return nothing
        try:
            song = read_song(path)
            choices = melody_choices(song)
            lines = [facts(song)]
        except (MusicVAEError, OSError) as error:
            return {**nothing, self.problem: problem_line(error)}
        if others := other_tracks(song):
            lines.append(f"Other tracks: {'; '.join(others)}")
        return {
            **nothing,
            self.song: song,
            self.facts: gr.HTML(
                "".join(f"<p>{html.escape(line)}</p>" for line in lines), visible=True
            ),
            self.melody: gr.Radio(
                choices, value=choices[0][1] if choices else None, visible=bool(choices)
            ),
            self.go: gr.Button(interactive=True),
            self.again: gr.Button(interactive=True),
        }

    def _make(self, song: Score | None, steps: list[Result], *values: Any) -> Iterator[Updates]:
        """Make bands, and show their notes first, then their sound."""
        try:
            if song is None:
                raise OptionError("Choose a song first.")
            settings = dict(zip(self.settings, values, strict=True))
            tracks = melody_choices(song)
            if tracks and settings["melody"] == tracks[0][1]:
                settings["melody"] = None  # so that the page says why it is the likeliest
            if settings["temperature"] == warmest(settings["method"]):
                settings["temperature"] = None  # each part has its own
            bands = self.studio.make(song, options_of(settings))
        except (MusicVAEError, OSError) as error:
            yield {self.problem: problem_line(error)}
            return
        steps = kept_steps(steps, bands)
        if self.studio.sounds:
            waiting = ["The sound is being mixed…"]
            contents = bands.contents(sound=False)
            yield self._shown(steps, contents, 1) | {
                self.wav: gr.DownloadButton(value=None, interactive=False),
                self.page: gr.DownloadButton(value=None, interactive=False),
                self.remarks: remark_lines([*bands.remarks(), *waiting]),
            }
        yield from self._finished(steps, 1)

    def _edit(self, steps: list[Result], event: gr.EventData) -> Iterator[Updates]:
        """Do what the page of the bands asks for: make bars anew, change chords, or undo."""
        try:
            asked = Asked.read(event._data)
            if asked.what == "undo":
                if len(steps) < 2:
                    raise OptionError("There is nothing to undo.")
                number = min(max(asked.band, 1), len(steps[-2].takes))
                yield from self._finished(steps[:-1], number)
                return
            if not steps:
                raise OptionError("Make some bands first.")
            before = steps[-1]
            if asked.what == "redo":
                bands = self.studio.redo(before, asked.band, asked.bars)
            else:
                bands = self.studio.change_chords(before, asked.band, asked.chords)
        except (MusicVAEError, OSError) as error:
            yield {self.problem: problem_line(error)}
            return
        (new,) = (n for n, take in enumerate(bands.takes, start=1) if take not in before.takes)
        yield from self._finished(kept_steps(steps, bands), new)

    def _shown(self, steps: list[Result], contents: Data, number: int) -> Updates:
        """Show the last of the steps, and one of its bands above all."""
        bands = steps[-1]
        page = editable(contents, bands, number, undo=len(steps) > 1)
        return {
            self.steps: steps,
            self.player: _frame(page),
            self.downloads: gr.Row(visible=True),
            self.band: gr.Dropdown(bands.choices, value=number, visible=len(bands.choices) > 1),
            self.midi: gr.DownloadButton(value=bands.midi(number), interactive=True),
            self.problem: gr.HTML(visible=False),
        }

    def _finished(self, steps: list[Result], number: int) -> Iterator[Updates]:
        """Show the last of the steps, with sound if it can be made, and then offer its sound."""
        bands = steps[-1]
        remarks = bands.remarks()
        sounds, problem = self.studio.sounds, gr.HTML(visible=False)
        if not sounds:
            remarks.append("To hear the bands here: pip install 'musicvae-torch[audio]'")
        try:
            contents = bands.contents(sounds)
        except MidiError as error:  # too long to be heard
            sounds, problem = False, problem_line(error)
            contents = bands.contents(sound=False)
        yield self._shown(steps, contents, number) | {
            self.page: gr.DownloadButton(value=bands.save_page(contents), interactive=True),
            self.wav: gr.DownloadButton(value=None, interactive=False),
            self.remarks: remark_lines(remarks),
            self.problem: problem,
        }
        if sounds:
            yield {self.wav: gr.DownloadButton(value=bands.wav(number), interactive=True)}

    def _pick(self, steps: list[Result], number: int) -> Iterator[Updates]:
        """Offer another band's files; until they are written, there is nothing to download."""
        if not steps:
            return
        files = {self.midi: steps[-1].midi}
        if self.studio.sounds:
            files[self.wav] = steps[-1].wav
        yield {button: gr.DownloadButton(interactive=False) for button in files}
        yield {
            button: gr.DownloadButton(value=write(number), interactive=True)
            for button, write in files.items()
        }


def _busy() -> tuple[gr.Button, gr.Button]:
    """The buttons while bands are made."""
    return gr.Button("Making bands…", interactive=False), gr.Button(interactive=False)


def _ready() -> tuple[gr.Button, gr.Button]:
    """The buttons when they may be pressed."""
    return gr.Button("Accompany", interactive=True), gr.Button(interactive=True)


def warmest(method: str | None) -> float:
    """The highest of the parts' usual temperatures."""
    return max(AccompanyOptions(method=method if method in METHODS else None).temperatures)


def kept_steps(steps: list[Result], bands: Result) -> list[Result]:
    """The steps with one more, without those too far back to be undone, whose files are removed."""
    kept = [*steps[-MOST_STEPS:], bands]
    folders = {step.folder for step in kept}
    _discard([step for step in steps if step.folder not in folders])
    return kept


def _discard(steps: list[Result]) -> None:
    for step in steps:
        step.discard()


def _on(
    event: Callable[..., Any],
    react: Callable[..., Any],
    inputs: list[Any],
    outputs: list[Any],
    **how: Any,
) -> Any:
    """Connect an event with a function, for this page alone, not for programs."""
    return event(react, inputs, outputs, api_visibility="private", **how)


def _slider(
    label: str,
    info: str,
    least: float,
    most: float,
    value: Any,
    step: float,
    visible: bool = True,
) -> gr.Slider:
    return gr.Slider(
        least, most, value, step=step, label=label, info=info, min_width=120, buttons=[],
        visible=visible,
    )  # fmt: skip


def _named(values: tuple[str, ...], *words: str) -> list[tuple[str, str]]:
    """Choices with words for them."""
    return list(zip(words, values, strict=True))


def _frame(page: str) -> str:
    return FRAME.format(page=html.escape(page))
