"""The accompaniment pipeline: given parts in, the same parts with the missing ones out.

MIDI → score → given parts on the song's own beats → a generator → new parts → the song's own file
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pretty_midi

from musicvae_torch.attribute_vectors import AttributeVectors
from musicvae_torch.converters.trio import part_notes
from musicvae_torch.errors import MidiError, OptionError
from musicvae_torch.io.devices import pick_device
from musicvae_torch.kernels.gemm import FLOAT32
from musicvae_torch.midi.score import divisible
from musicvae_torch.midi.vocabulary import NO_EVENT, NOTE_OFF, PARTS
from musicvae_torch.model.vae import MusicVAE
from surrogate.accompaniment import Accompaniment, Candidate
from surrogate.arrangement.arrange import Arranger
from surrogate.arrangement.harmony import parse
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
from surrogate.options import BAND, METHODS, NO_STYLE, AccompanyOptions, default_method
from surrogate.song.context import SongContext, analyze, context_remarks
from surrogate.song.reading import Midi, read_song

BATCH = 16  # songs read before anything is generated


@dataclass(eq=False, repr=False)
class Accompanist:
    """A MusicVAE with its surrogate encoder and a band network, to be used on any number of songs.

    Attributes:
        musicvae: of trios.
        surrogate: of it; None: there is none.
        attributes: directions in its latent space, for the option of that name.
        groove: a GrooVAE that plays the drums' hits; None: a profile plays them, on the grid.
        band: a band network; None: there is none, and bands are decoded by the MusicVAE.
        styled: whether the band network was trained on styles of this MusicVAE; else it plays
            without.
        generator: makes the missing parts, whatever the method; None: the method's own.

    Raises:
        CheckpointError: the two do not belong together, or the MusicVAE plays no trios.
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
        """Load checkpoint folders; None stands for those that ship with the package. Attribute
        vectors are loaded too, if they are beside the MusicVAE.

        Args:
            musicvae, surrogate: of the pair.
            device: "auto" is CUDA where there is one.
            method: of ``options.METHODS``: a band network is loaded only for "band", and no
                surrogate for "refine-only". None: see :func:`surrogate.options.default_method`.
            groove: of a GrooVAE that plays the drums' hits; "none": a profile plays them, on the
                grid, as it does if no GrooVAE was shipped.
            dtype: precision of products; see :meth:`MusicVAE.multiply_in`.
            band: of a band network. It plays without a style, unless it was trained on styles of
                this MusicVAE.

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
            options: see :class:`AccompanyOptions`.

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
            parse(options.chords, bars=1)  # raises what is wrong, before the work
        batch: list[SongContext | MidiError] = []
        for song in songs:
            try:
                batch.append(analyze(divisible(read_song(song)), options))
            except MidiError as error:
                batch.append(error)
            if len(batch) == BATCH:
                yield from self._accompany(batch, options)
                batch = []
        yield from self._accompany(batch, options)

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
            raise OptionError("method 'band' needs a band network, and none was loaded")
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

    def _result(
        self, song: SongContext, generated: Generated, options: AccompanyOptions
    ) -> Accompaniment:
        order = rank(generated.log_likelihood.sum(-1), generated.tokens)
        tokens = _silenced(generated.tokens, generated.silent, options)
        arranger = Arranger(song, options, self.groove)
        candidates = []
        remarks: dict[str, None] = {}
        for number in order:
            band = arranger.arrange(part_notes(tokens[number]), number)
            likelihood = generated.log_likelihood[number]
            candidates.append(Candidate(number, band, tokens[number], likelihood))
            remarks |= dict.fromkeys(band.remarks)
        notes = [*context_remarks(song, options.skip), *remarks]
        if options.method == BAND and options.style is None and not self.styled:
            notes.insert(
                0,
                "the band plays without a style, as its network was not trained on this "
                "MusicVAE's latents",
            )
        if self.groove is None and options.feel != AccompanyOptions().feel:
            notes.insert(0, "feel changes nothing without a GrooVAE; name one with --groove FOLDER")
        return Accompaniment(
            song.timing.source,
            song.melody,
            song.roles,
            arranger.kept,
            tuple(candidates),
            generated.latents,
            generated.starts,
            options,
            tuple(notes),
        )


def accompany(
    midi: Midi,
    *,
    musicvae: str | Path | None = None,
    surrogate: str | Path | None = None,
    band: str | Path | None = None,
    device: str = "auto",
    dtype: str = FLOAT32,
    **options: Any,
) -> pretty_midi.PrettyMIDI:
    """Give a melody a band, in one call.

    Args:
        midi: a path to a MIDI, MusicXML or ABC file, or MIDI in memory (which stays as it is).
        musicvae, surrogate, band: checkpoint folders; None: those that ship with the package.
        device: of the networks; "auto" is CUDA where there is one.
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
        musicvae, surrogate, device, chosen.method, dtype=dtype, band=band
    )
    return accompanist.accompany(midi, chosen).midi


def _silenced(tokens: np.ndarray, silent: np.ndarray, options: AccompanyOptions) -> np.ndarray:
    """(candidates, steps, parts) tokens whose made parts rest at silent steps (steps,)."""
    tokens = tokens.copy()
    begins = silent & ~np.append(False, silent[:-1])
    for part in options.made:
        tokens[:, silent, PARTS.index(part)] = NO_EVENT
        if part != "drums":
            tokens[:, begins, PARTS.index(part)] = NOTE_OFF
    return tokens
