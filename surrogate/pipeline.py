"""The accompaniment pipeline: given parts in, the same parts with the missing ones out.

MIDI → score → given parts on the song's own beats → a generator → new parts → the song's own file
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pretty_midi

from musicvae_torch.attribute_vectors import AttributeVectors
from musicvae_torch.chords.chart import read_chart
from musicvae_torch.chords.symbols import NO_CHORD
from musicvae_torch.converters.trio import part_notes
from musicvae_torch.errors import MidiError, OptionError
from musicvae_torch.io.devices import pick_device
from musicvae_torch.kernels.gemm import FLOAT32
from musicvae_torch.midi.score import Score, divisible
from musicvae_torch.midi.vocabulary import NO_EVENT, NOTE_OFF, PARTS
from musicvae_torch.model.vae import MusicVAE
from surrogate.accompaniment import Accompaniment, Candidate, ranges
from surrogate.arrangement.arrange import Arrangement, Arranger
from surrogate.arrangement.chord_markers import mark_chords
from surrogate.arrangement.drum_fills import with_crashes
from surrogate.arrangement.ending import with_ending
from surrogate.arrangement.fill import StepNote
from surrogate.arrangement.harmony import charted_bars, chord_texts, parse
from surrogate.arrangement.redo import RedoArranger, home_of
from surrogate.arrangement.song_chart import SongChart, chart_of
from surrogate.band.model import Band
from surrogate.encoder.candidates import rank
from surrogate.encoder.latents import check_method
from surrogate.encoder.loading import (
    check_surrogate,
    check_trio,
    load_attributes,
    load_groove,
    load_networks,
)
from surrogate.encoder.model import Surrogate
from surrogate.generators.band import BandGenerator, load_band
from surrogate.generators.protocol import Generated, PartGenerator
from surrogate.generators.trio import TrioGenerator
from surrogate.options import (
    BAND,
    COMPING,
    METHODS,
    NO_STYLE,
    NOBODY,
    REDOABLE,
    AccompanyOptions,
    default_method,
)
from surrogate.render.view import View
from surrogate.song.bars import bars_of
from surrogate.song.context import SongContext, analyze, context_remarks
from surrogate.song.reading import Midi, read_song
from surrogate.song.redo import analyze_redo

BATCH = 16  # songs read before anything is generated
CHORDAL = ("bass", COMPING)  # parts that follow when bars get other chords


@dataclass(eq=False, repr=False)
class Accompanist:
    """A MusicVAE with its surrogate encoder and a band network, to be used on any number of songs.

    Attributes:
        musicvae: a MusicVAE of trios.
        surrogate: its surrogate encoder; None: only the method "refine-only" works.
        attributes: its attribute vectors, for the option of that name.
        groove: a GrooVAE, for the drums' velocities and timing; None: velocities are those of a
            profile, and hits are on the grid.
        band: a band network; None: bands are decoded by the MusicVAE.
        styled: whether the band network was trained on latents of this MusicVAE; if not, it plays
            without a style.
        generator: generates the missing parts for every method; None: each method has its own.

    Raises:
        CheckpointError: the MusicVAE has no trios, or the surrogate does not belong to it.
    """

    musicvae: MusicVAE
    surrogate: Surrogate | None = None
    attributes: AttributeVectors | None = None
    groove: MusicVAE | None = None
    band: Band | None = None
    styled: bool = True
    generator: PartGenerator | None = None

    def __post_init__(self) -> None:
        check_trio(self.musicvae)
        if self.surrogate is not None:
            check_surrogate(self.musicvae, self.surrogate)
        self._trio = TrioGenerator(self.musicvae, self.surrogate, self.attributes)
        styles = self._trio if self.styled else None
        self._band = None if self.band is None else BandGenerator(self.band, styles)

    @classmethod
    def from_pretrained(
        cls,
        musicvae: str | Path | None = None,
        surrogate: str | Path | None = None,
        device: str = "auto",
        method: str | None = None,
        groove: str | Path | None = None,
        dtype: str = FLOAT32,
        band: str | Path | None = None,
    ) -> Accompanist:
        """Load the networks from checkpoint folders; None stands for the pretrained ones.
        Attribute vectors are loaded too, if they are beside the MusicVAE.

        Args:
            musicvae: folder of the MusicVAE.
            surrogate: folder of its surrogate encoder.
            device: "auto" (CUDA if there is a GPU), "cpu", "cuda", ...
            method: one of ``options.METHODS``: a band network is loaded only for "band", and no
                surrogate for "refine-only". None: see :func:`surrogate.options.default_method`.
            groove: folder of a GrooVAE that plays the drums' hits; "none": a profile plays them,
                on the grid, as it does if the package has no GrooVAE.
            dtype: precision of products; see :meth:`MusicVAE.multiply_in`.
            band: folder of a band network. It plays without a style, unless it was trained on
                styles of this MusicVAE.

        Raises:
            CheckpointError: a folder cannot be read, or the two do not belong together.
            OptionError: there is no such device or method, or no such precision there.
        """
        AccompanyOptions(method=method)
        method = method or default_method(musicvae, band)
        place = pick_device(device)
        pair = load_networks(musicvae, surrogate, place, alone=method == "refine-only", dtype=dtype)
        drummer = load_groove(groove, place)
        attributes = load_attributes(musicvae)
        if method != BAND:
            return cls(*pair, attributes, drummer)
        player, styled = load_band(band, musicvae, place)
        return cls(*pair, attributes, drummer, player.multiply_in(dtype), styled)

    def accompany(self, midi: Midi, options: AccompanyOptions | None = None) -> Accompaniment:
        """Make the missing parts of a song.

        Args:
            midi: a path to a MIDI, MusicXML or ABC file, or MIDI in memory (which stays as it is).
            options: see :class:`AccompanyOptions`. With `redo`, the song has the parts already, and
                only some bars of them are made.

        Raises:
            MidiError: the file cannot be read, lacks a given part, or is too long.
            OptionError: an option does not go with this model or this song.
        """
        (result,) = self.accompany_batch([midi], options)
        if isinstance(result, MidiError):
            raise result
        return result

    def accompany_batch(
        self, songs: Iterable[Midi], options: AccompanyOptions | None = None
    ) -> Iterator[Accompaniment | MidiError]:
        """Make the missing parts of songs, a batch at a time.

        Args:
            songs: as for :meth:`accompany`.
            options: for all of them.

        Yields:
            The accompaniment of each song, in order, or the error that says why there is none.

        Raises:
            OptionError: an option does not go with this model.
        """
        options = self.complete(options or AccompanyOptions())
        if options.moves and self.attributes is None:
            raise OptionError(
                f"{', '.join(options.moves)}: there are no attribute vectors beside this MusicVAE; "
                "learn them with learn-attributes"
            )
        if options.style not in (None, NO_STYLE) and self._band is not None:
            self._band.style_of(options.style)
        if options.chords is not None:
            parse(options.chords, bars=1)  # raises errors before the work begins
        batch: list[SongContext | MidiError] = []
        for song in songs:
            try:
                # What is redone leaves all else as it is, to the tick.
                fine = self._has_feel(options) and not options.redo
                batch.append(_context(divisible(read_song(song), fine=fine), options))
            except MidiError as error:
                batch.append(error)
            if len(batch) == BATCH:
                yield from self._accompany(batch, options)
                batch = []
        yield from self._accompany(batch, options)

    def redo(
        self,
        result: Accompaniment,
        bars: str | Sequence[str],
        candidate: Candidate | None = None,
        chart: SongChart | None = None,
        **changes: Any,
    ) -> Accompaniment:
        """Make bars of a result anew, with its options and the parts that it has; all else stays
        as it is. The result can be redone in its turn.

        Args:
            result: as it came from :meth:`accompany` or from here.
            bars: a part and its bars, such as "bass:9-16", or several of them. The bars are
                counted in the result: after an intro of 4, the melody begins in bar 5.
            candidate: of the result, which to change; None: the best.
            chart: of the song, with other chords than the result's, which also replace those that
                the result has as markers; None: with the same.
            changes: fields of :class:`AccompanyOptions`, such as seed=4, candidates=3 or fills.

        Raises:
            MidiError: the result lacks a part or a bar.
            OptionError: an option does not go with this model, or with a redo.
        """
        view = result.view(candidate)
        tracks = {
            "chords_track" if part == COMPING else part: view.indices_of(part) or NOBODY
            for part in REDOABLE
        }
        usual = AccompanyOptions()
        new_only = (
            "fills", "intro", "ending", "outro", "pickup", "keep", "outside", "skip", "add",
            "write_chords",
        )  # fmt: skip
        # An intro makes a pickup the end of a full bar.
        kept = ("pickup",) if not result.options.intro else ()
        options = {name: getattr(usual, name) for name in new_only if name not in kept}
        if chart is not None and chord_texts(view.score) is not None:
            changes = {"write_chords": True} | changes
        redo = bars if isinstance(bars, str) else tuple(bars)
        chosen = replace(result.options, redo=redo, **(tracks | options | changes))
        chart = chart or result.chart
        if "chords" not in changes and chart is not None:
            song = analyze_redo(divisible(view.score), chosen)
            first, stop = (song.song_bars.first + bar for bar in charted_bars(song))
            intro = result.options.intro
            chosen = replace(chosen, chords=chart.of_bars(first - intro, stop - 1 - intro))
        redone = _with_new(self.accompany(view.score, chosen), view)
        if result.options.ending:
            last = bars_of(view.score, round(chosen.pickup * view.score.resolution)).last
            ends = [end for part in ("bass", "drums") for _, end in chosen.redone.get(part, ())]
            if any(end >= last for end in ends):
                line = f"bar {last} was made anew without the last hit and held root of the ending"
                redone = replace(redone, notes=(*redone.notes, line))
        return redone

    def change_chords(
        self,
        result: Accompaniment,
        chart: SongChart | str,
        candidate: Candidate | None = None,
        parts: Sequence[str] = CHORDAL,
        **changes: Any,
    ) -> Accompaniment:
        """Give bars of a result other chords: in these bars its bass, and a part that plays the
        chords, are made anew, as far as they play there or had no chord to play. An intro has the
        chords of the first bar, and an outro those of the last. Unless `changes` say otherwise,
        bass notes on strong beats are moved into the chords.

        Args:
            result, candidate, changes: as for :meth:`redo`.
            chart: with as many bars as the result's, or its text.
            parts: that are made anew, as far as the result has them.

        Raises:
            ChordError: the text cannot be read.
            MidiError: the result has none of the parts.
            OptionError: the chart has another number of bars, no other chords, or other ones only
                where the parts are silent; the result is not of the band network; and as for
                :meth:`redo`.
        """
        before = result.chart
        if before is None:
            raise OptionError("chords: the chords of this result are not known")
        if isinstance(chart, str):
            chart = replace(before, bars=tuple(read_chart(chart)))
        if result.options.method != BAND:
            raise OptionError(
                f"chords of a result are changed by method 'band' alone, and this one is of "
                f"{result.options.method!r}; give the chords to accompany"
            )
        changed = _bars_with_other_chords(before, chart, result.options)
        view = result.view(candidate)
        there = [part for part in parts if part in view.roles]
        if not there:
            raise MidiError(f"chords: the result has none of {', '.join(parts)} to play others")
        pickup = 0.0 if result.options.intro else result.options.pickup
        playing = {part: _bars_played(view, part, changed, pickup) for part in there}
        redo = [f"{part}:{ranges(np.array(bars))}" for part, bars in playing.items() if bars]
        if not redo:
            raise OptionError(
                f"chords: no note of {', '.join(playing)} sounds where the chords are others: bars "
                f"{ranges(np.array(list(changed)))}"
            )
        if result.options.harmony == "off":
            changes = {"harmony": "strong"} | changes
        return self.redo(result, redo, candidate, chart, **changes)

    accompany_many = accompany_batch  # its name before 0.2, for one release

    def complete(self, options: AccompanyOptions) -> AccompanyOptions:
        """The options with a method and its defaults, where they have none.

        Raises:
            OptionError: the network of the method is missing, or takes other parts.
        """
        own = METHODS[self.band is None and not options.of_band]
        options = options.by(options.method or own)
        if options.method != BAND:
            check_method(self.surrogate, options)
        elif self.band is None:
            raise OptionError(
                "method 'band' needs a band network, and none was loaded; load one with "
                "Accompanist.from_pretrained(method='band')"
            )
        return options

    def _accompany(
        self, songs: Sequence[SongContext | MidiError], options: AccompanyOptions
    ) -> Iterator[Accompaniment | MidiError]:
        contexts = [song for song in songs if isinstance(song, SongContext)]
        own = self._band if options.method == BAND else self._trio
        generator = self.generator or own
        assert generator is not None
        generated = iter(generator.generate(contexts, options))
        for song in songs:
            if isinstance(song, MidiError):
                yield song
                continue
            try:
                yield self._result(song, next(generated), options)
            except MidiError as error:
                yield error

    def _has_feel(self, options: AccompanyOptions) -> bool:
        """Whether a GrooVAE gives new drums their velocities and timing."""
        return self.groove is not None and options.feel > 0 and "drums" in options.made

    def _result(
        self, song: SongContext, generated: Generated, options: AccompanyOptions
    ) -> Accompaniment:
        tokens = _silenced(generated.tokens, generated.silent, options)
        tokens = np.where(song.hidden, tokens, song.tokens)
        order = rank(tokens[:, song.live] if song.live.any() else tokens)
        arranger = (RedoArranger if options.redo else Arranger)(song, options, self.groove)
        chart = chart_of(song, arranger.harmony)
        # An even version of a redone band would be even in the redone bars alone.
        has_even = self._has_feel(options) and not options.redo
        candidates = []
        for number in order:
            arranged = partial(_arranged, arranger, part_notes(tokens[number]), number, chart)
            candidates.append(
                Candidate(
                    number,
                    arranged(options.feel),
                    tokens[number],
                    generated.log_likelihood[number],
                    partial(arranged, 0.0) if has_even else None,
                )
            )
        return Accompaniment(
            song=song.timing.source,
            melody=song.melody,
            roles=song.roles,
            kept=arranger.kept,
            candidates=tuple(candidates),
            latents=generated.latents,
            starts=generated.starts,
            options=options,
            notes=self._remarks(song, chart, candidates, options),
            chart=chart,
        )

    def _remarks(
        self,
        song: SongContext,
        chart: SongChart,
        candidates: Sequence[Candidate],
        options: AccompanyOptions,
    ) -> tuple[str, ...]:
        """What the user should know of a result, a line each."""
        lines = []
        if self.groove is None and options.feel != AccompanyOptions().feel:
            lines.append("feel changes nothing without a GrooVAE; name one with --groove FOLDER")
        if options.method == BAND and options.style is None and not self.styled:
            lines.append(
                "the band plays without a style, as its network was not trained on this "
                "MusicVAE's latents"
            )
        lines += [*context_remarks(song, options.skip), *chart.remarks]
        of_bands = (line for band in candidates for line in band.arrangement.remarks)
        return (*lines, *dict.fromkeys(of_bands))


def _bars_with_other_chords(
    before: SongChart, after: SongChart, options: AccompanyOptions
) -> dict[int, bool]:
    """The numbers of a result's bars in which another chart of its song has other chords, and
    whether each had any before."""
    first = before.first + options.intro
    had = {
        bar: any(name != NO_CHORD for name in before.bars[bar - first])
        for bar in before.changed_bars(after, first)
    }
    last = first + len(before.bars) - 1
    if first in had:
        had |= dict.fromkeys(range(max(first - options.intro, 1), first), had[first])
    if last in had:
        had |= dict.fromkeys(range(last + 1, last + 1 + options.outro), had[last])
    return dict(sorted(had.items()))


def _bars_played(view: View, part: str, bars: Mapping[int, bool], pickup: float) -> list[int]:
    """Those of some bars in which notes of a part sound, or that had no chord before; `pickup` in
    quarter notes."""
    lines = bars_of(view.score, round(pickup * view.score.resolution))
    notes = [view.score.tracks[index].notes for index in view.indices_of(part)]
    starts, ends = (np.concatenate([own[name] for own in notes]) for name in ("start", "end"))
    played = []
    for bar, had in bars.items():
        begin, end = lines.ticks[bar - lines.first :][:2].tolist()
        if not had or ((starts < end) & (ends > begin)).any():
            played.append(bar)
    return played


def _with_new(result: Accompaniment, view: View) -> Accompaniment:
    """A band of which bars were made anew; the tracks that were new in it are new still."""
    homes = {home_of(view.score.tracks[index]) for index in view.new}
    candidates = []
    for candidate in result.candidates:
        band = candidate.arrangement
        new = {n for n, track in enumerate(band.score.tracks) if home_of(track) in homes}
        both = tuple(sorted(new.union(band.new)))
        candidates.append(replace(candidate, arrangement=band._replace(new=both)))
    return replace(result, candidates=tuple(candidates))


def _arranged(
    arranger: Arranger | RedoArranger,
    notes: list[list[StepNote]],
    number: int,
    chart: SongChart,
    feel: float,
) -> Arrangement:
    """A band in the song's file, with the chords if they are to be written."""
    band = arranger.arrange(notes, number, feel)
    if not arranger.options.write_chords:
        return band
    marked = mark_chords(band.score, chart)
    return band._replace(score=marked.score, remarks=(*band.remarks, *marked.remarks))


def accompany(
    midi: Midi,
    *,
    musicvae: str | Path | None = None,
    surrogate: str | Path | None = None,
    band: str | Path | None = None,
    groove: str | Path | None = None,
    device: str = "auto",
    dtype: str = FLOAT32,
    **options: Any,
) -> pretty_midi.PrettyMIDI:
    """Add a band to a melody, in one call.

    Args:
        midi: a path to a MIDI, MusicXML or ABC file, or MIDI in memory (which stays as it is).
        musicvae, surrogate, band, groove: checkpoint folders; None: the pretrained ones. With the
            groove "none", the drums are played by a profile, on the grid.
        device: where the networks run; "auto" is CUDA if there is a GPU.
        dtype: precision of their products: "float32", "bfloat16" or "int8".
        options: the fields of :class:`AccompanyOptions`, such as seed=3 or melody="Flute".

    Returns:
        The song with its new parts. (``Accompanist.accompany`` gives more, and a file that keeps
        markers and text, for which pretty_midi has no place.)

    Raises:
        MidiError: the file cannot be read, lacks a given part, or is too long.
        CheckpointError: a checkpoint cannot be read, or the two do not belong together.
        OptionError, TypeError: an option is out of range, or unknown.
    """
    chosen = AccompanyOptions(**options)
    accompanist = Accompanist.from_pretrained(
        musicvae, surrogate, device, chosen.method, groove, dtype, band
    )
    return accompanist.accompany(midi, chosen).midi


def _context(score: Score, options: AccompanyOptions) -> SongContext:
    """A song as the networks' input, with the tokens that fills and an ending give."""
    if options.redo:
        return with_crashes(analyze_redo(score, options), options)
    song = with_crashes(analyze(score, options), options)
    return with_ending(song, options) if options.ending else song


def _silenced(tokens: np.ndarray, silent: np.ndarray, options: AccompanyOptions) -> np.ndarray:
    """Tokens (candidates, steps, parts) with rests in the made parts at silent steps (steps,)."""
    tokens = tokens.copy()
    begins = silent & ~np.append(False, silent[:-1])
    for part in options.made:
        tokens[:, silent, PARTS.index(part)] = NO_EVENT
        if part != "drums":
            tokens[:, begins, PARTS.index(part)] = NOTE_OFF
    return tokens
