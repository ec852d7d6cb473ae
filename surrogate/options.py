"""What a user may choose of an accompaniment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NoReturn, TypeAlias

from musicvae_torch.errors import OptionError
from musicvae_torch.midi.vocabulary import PARTS
from musicvae_torch.options import DTYPES, Option, check_options, option, ranges

METHODS = ("band", "surrogate", "refine", "refine-only")
BAND = METHODS[0]
NO_STYLE = "none"
NO_GROOVE = "none"
# Options that no other method understands.
OF_BAND = ("top_p", "guidance", "style", "redo", "fills")
KEEPS = ("others", "given", "all")
OUTSIDES = ("own", "band", "none")
METRES = ("fit", "refuse")
HARMONIES = ("strong", "all", "off")
BEATS = ("file", "auto")
COMPING = "chords"  # a part that can be added
REDOABLE = (*PARTS, COMPING)  # parts of which bars can be made anew
COMPING_ON = ("guitar", "piano", "organ", "pad")
NOBODY = "none"
SLOWEST, FASTEST = 20, 400  # quarter notes a minute
MAX_CANDIDATES = 64
MAX_GUIDANCE = 10
MAX_ADDED_BARS = 64  # before or after a song
MAX_MOVE = 10  # along an attribute vector, either way
BAND_DENSITY = "band_density"  # name of an attribute vector
DENSITY = 0.5  # of the vector's length; a predicted latent follows it more than an encoded one

# Groups of options.
_INPUT, _GENERATION, _FORM, NETWORKS = "input", "generation", "the course of a song", "the networks"
POOLINGS = ("last", "mean", "attention")  # what becomes of the bars' outputs
FORMATS = ("mid", "png", "svg", "wav", "html", "musicxml")  # of results

# Which tracks: an index, a name, "channel:5", ..., or several of them.
Tracks: TypeAlias = str | int | tuple[str | int, ...]


# Chosen on validation songs, as those with which bands are most like real ones (docs/band.md).
_OF_BANDS = {
    "temperature": {"melody": 0.92, "bass": 0.7, "drums": 0.9},
    "top_p": 0.999,
    "guidance": 1.5,
    "harmony": "off",
}
_OF_DECODERS = {"temperature": 0.4, "harmony": "strong"}


def default_method(musicvae: object, band: object) -> str:
    """The method for checkpoints that a user named (None: did not): the band network's, unless
    only a MusicVAE is named, which is then to play itself."""
    return METHODS[musicvae is not None and band is None]


def usual(method: str) -> Mapping[str, Any]:
    """Defaults, by name, of the options whose default depends on the method."""
    return _OF_BANDS if method == BAND else _OF_DECODERS


class FrozenDict(dict[str, float]):
    """A dict that cannot be changed, and so can be hashed; it equals and prints as a dict does."""

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(frozenset(self.items()))

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise TypeError("options do not change; make others with dataclasses.replace")

    __setitem__ = __delitem__ = update = setdefault = _refuse
    clear = pop = popitem = _refuse
    __ior__ = dict.__or__  # type: ignore[assignment]  # another one, as of a tuple's +=

    def __reduce__(self) -> tuple[type[FrozenDict], tuple[dict[str, float]]]:
        return FrozenDict, (dict(self),)


def read_bars(text: str) -> tuple[tuple[int, int], ...]:
    """Bars as typed, as in "1-4,17".

    Raises:
        OptionError: the text is of another form.
    """
    try:
        return ranges(text)
    except ValueError:
        raise OptionError(f"wanted bars such as 1-4,17, not {text!r}") from None


def read_redo(text: str) -> str:
    """A part and bars of it, as in "bass:9-16,20", without spaces.

    Raises:
        OptionError: the text is of another form.
    """
    part, _, bars = "".join(text.split()).partition(":")
    if part not in REDOABLE or not bars:
        raise OptionError(
            f"wanted a part and its bars, such as bass:9-16, not {text!r}; the parts are "
            f"{', '.join(REDOABLE)}"
        )
    for first, last in read_bars(bars):
        if not 0 <= first <= last:
            raise OptionError(f"redo {part}: bars {first}-{last} are no range of bars")
    return f"{part}:{bars}"


def read_beat(text: str) -> str | float:
    """Where the beats are: a word, or quarter notes a minute."""
    try:
        return float(text)
    except ValueError:
        return text.strip().lower()


def _temperatures(text: str) -> float | dict[str, float]:
    """One temperature for all parts, or one for each, as in "bass=0.5,drums=0.8"."""
    if "=" not in text:
        return float(text)
    pairs = (pair.split("=") for pair in text.split(",") if pair.strip())
    return {part.strip(): float(value) for part, value in pairs}


@dataclass(kw_only=True)
class NetworkOptions:
    """The networks that make accompaniments, and where they run.

    Attributes:
        musicvae: folder of a MusicVAE for trios, from convert-weights or train-musicvae; None: the
            pretrained one.
        surrogate: folder of its surrogate encoder, from train-surrogate; None: the pretrained one.
        band: folder of a band network, from train-band; None: the pretrained one.
        groove: folder of a GrooVAE (config groovae_2bar_humanize or groovae_2bar_hits_control_tfds)
            that sets the velocities and the timing of the drums; or none, for velocities by a
            profile, on the grid; None: the pretrained one.
        device: where the networks run: auto (a GPU if there is one), cpu, cuda, cuda:1, ...
        dtype: precision of matrix products: float32 is exact; bfloat16 and int8 are faster with
            models of Magenta's size, and slightly less exact.
    """

    musicvae: Path | None = option(None, group=NETWORKS, metavar="FOLDER")
    surrogate: Path | None = option(None, group=NETWORKS, metavar="FOLDER")
    band: Path | None = option(None, group=NETWORKS, metavar="FOLDER")
    groove: Path | None = option(None, group=NETWORKS, metavar="FOLDER")
    device: str = option("auto", group=NETWORKS)
    dtype: str = option("float32", choices=DTYPES, group=NETWORKS)


@dataclass(frozen=True)
class AccompanyOptions:
    """What a user may choose. Options can be hashed, and do not change: mappings are copied.

    Attributes:
        melody: the track that plays the melody: 2 (its index in --list-tracks), 0,3 (several that
            share it), channel:5 (1 to 16), program:73 (0 to 127), name:TEXT, instrument:TEXT, or
            TEXT for either; it may be given several times; None: the likeliest track.
        bass: the song's own bass, named in the same way, or none if it has none; None: the tracks
            that are named, set or played as a bass.
        drums: the song's own drums, named in the same way, or none if it has none; None: the drum
            kits.
        given: the parts that are taken from the song, some of melody,bass,drums; the others are
            generated.
        keep: which of the song's other tracks stay: others, all but those that play a generated
            part; given, none but the given parts; all, every track.
        outside: what plays in bars in which the given parts rest for long, as in an intro or
            another instrument's solo: own, the song's own bass and drums; band, the new band, in
            every bar in which the song's own played; none, neither.
        beat: where the beats are: file, as the file says; auto, where the notes suggest them, for
            recordings in free time; or so many quarter notes a minute (20 to 400), as in 87.3.
        metre: what to do with 3/4, 6/8 and other metres, as the model knows only 4/4: fit its bars
            to them, or refuse the song.
        pickup: length of the pickup before the first full bar, in quarter notes, if the file itself
            does not say it.
        seed: another seed gives another band; the same seed and options give the same band again.
        candidates: number of bands to generate; the one most like the others comes first.
        temperature: how freely tokens are sampled: 0 always takes the likeliest, 1 samples as the
            network predicts; a number, or one for each part, as in bass=0.5,drums=0.8; None: what
            suits the method (:func:`usual`).
        top_p: nucleus sampling, with method band: sample each token from the likeliest ones that
            together have this share of the probability.
        guidance: classifier-free guidance, with method band: 1 follows the given parts as the
            network does by itself, more follows them more closely; all values but 1 take twice the
            time.
        style: with method band, a MIDI file of another song with melody, bass and drums, in whose
            style the band plays; or none, for no style; None: the style that the surrogate encoder
            predicts from the given parts.
        variety: how much the second and further candidates differ in style from the first, in
            standard deviations of the surrogate encoder's prediction; 0: not at all.
        density: how busy the band is: 0 as real bands on average, 1 and 2 busier, -1 and -2
            sparser.
        swing: how much the band swings: 0 as the network plays, 1 and 2 more, -1 and -2 less.
        attributes: how far to move the latent along other learned directions (attribute vectors),
            by name, in standard deviations of the attribute in real music.
        dynamics: how much the velocities follow the loudness of the song and its metre: 0 not at
            all, 1 as in real bands, up to 2 exaggerated.
        feel: how much of a drummer's velocities and timing the drums have and, less, the bass: 0
            even and on the grid, 1 as a GrooVAE plays, up to 2 exaggerated. The song's own swing is
            kept.
        chords: the chords, as a chart such as "[A] C | Am F | G7 | C x2", or @FILE for a text file
            with a chart; None: the chord symbols in the song's file, or else chords inferred from
            its notes.
        write_chords: write the chords into the result, as markers, which other programs show along
            their timelines.
        add: further parts to generate: chords, a part that plays the chords in the band's rhythm.
        comping: what plays the part of chords: guitar or piano, which strike with the kick and the
            snare; organ or pad, which hold the chords.
        harmony: which bass notes are moved to tones of the chords: strong, those that begin on a
            beat or with a chord, or last half a bar; all; or off, none.
        fill: play in every bar in which the given parts do, though the model may rest.
        skip: ranges of the song's bars in which the new parts are silent, as in 1-4,17; bars are
            counted from 1, and a pickup is bar 0.
        redo: a part and bars of it to make anew, as in bass:9-16, all else staying as it is; it may
            be given several times. With it, given, keep, outside, rests, skip and dynamics do not
            count, and the bars of fills are among those in which the drums are redone.
            The parts are melody, bass, drums and chords, the part that add makes.
        chords_track: with redo, the track that plays the chords, named as the melody is, or none;
            None: the last one that is named chords.
        fills: bars of the song that end in a drum fill, as in 8,16; after an intro, 0 is its last.
        intro: bars that the band plays before the song, to the chords of the song's first bars.
        ending: end with a hit of the drums and a held root of the bass: on the last note of the
            melody if it begins on a beat of the last bar, and otherwise on the first beat of that
            bar.
        outro: bars that the band plays after the given parts, to the chords of their last bars.
        method: what generates the bands: band, the band network, in the style that the surrogate
            encoder predicts. The others decode a latent with the MusicVAE: surrogate, the latent
            that the surrogate encoder predicts; refine, the same after gradient ascent, so that it
            explains the given parts better; refine-only, a latent found by gradient ascent alone,
            without a surrogate encoder. None: band; surrogate, if you name a MusicVAE and no band
            network.

    Raises:
        OptionError: one of them is out of range.
    """

    melody: Tracks | None = option(None, repeat=True, read=str, group=_INPUT, metavar="TRACK")
    bass: Tracks | None = option(None, repeat=True, read=str, group=_INPUT, metavar="TRACK")
    drums: Tracks | None = option(None, repeat=True, read=str, group=_INPUT, metavar="TRACK")
    given: tuple[str, ...] = option(("melody",), group=_INPUT, metavar="PARTS")
    keep: str = option("others", choices=KEEPS, group=_INPUT)
    outside: str = option("own", choices=OUTSIDES, group=_INPUT)
    beat: str | float = option("file", read=read_beat, group=_INPUT, metavar="BEAT")
    seed: int = option(0, least=-(2**63), most=2**63 - 1, group=_GENERATION, metavar="N")
    temperature: float | Mapping[str, float] | None = option(
        None,
        read=_temperatures,
        example="0.5, or bass=0.5,drums=0.8",
        group=_GENERATION,
        metavar="T",
        usual="bass=0.7,drums=0.9; 0.4 with other methods than band",
    )
    top_p: float | None = option(
        None, above=0, most=1, group=_GENERATION, metavar="P", usual=f"{_OF_BANDS['top_p']:g}"
    )
    guidance: float | None = option(
        None,
        least=0,
        most=MAX_GUIDANCE,
        group=_GENERATION,
        metavar="G",
        usual=f"{_OF_BANDS['guidance']:g}",
    )
    style: str | None = option(None, group=_GENERATION, metavar="SONG")
    variety: float = option(0.7, least=0, most=10, group=_GENERATION, metavar="V")
    candidates: int = option(1, least=1, most=MAX_CANDIDATES, group=_GENERATION, metavar="N")
    method: str | None = option(None, choices=METHODS, group=NETWORKS)
    density: float = option(0.0, least=-MAX_MOVE, most=MAX_MOVE, group=_GENERATION, metavar="D")
    swing: float = option(0.0, least=-MAX_MOVE, most=MAX_MOVE, group=_GENERATION, metavar="S")
    attributes: Mapping[str, float] = field(default_factory=dict)
    dynamics: float = option(1.0, least=0, most=2, group=_GENERATION, metavar="D")
    feel: float = option(1.0, least=0, most=2, group=_GENERATION, metavar="F")
    harmony: str | None = option(
        None,
        choices=HARMONIES,
        group=_GENERATION,
        usual="off; strong with other methods than band",
    )
    chords: str | None = option(None, group=_GENERATION, metavar="CHORDS")
    write_chords: bool = option(False, group=_GENERATION)
    add: tuple[str, ...] = option((), group=_GENERATION, metavar="PARTS")
    comping: str = option("guitar", choices=COMPING_ON, group=_GENERATION)
    fill: bool = option(
        True,
        flag="rests",
        group=_GENERATION,
        help="let the band rest in bars that the network leaves silent; otherwise it repeats a bar",
    )
    skip: tuple[tuple[int, int], ...] = option(
        (), read=read_bars, group=_GENERATION, metavar="BARS"
    )
    redo: str | tuple[str, ...] = option(
        (), repeat=True, read=read_redo, group=_FORM, metavar="PART:BARS"
    )
    chords_track: Tracks | None = option(None, repeat=True, read=str, group=_FORM, metavar="TRACK")
    fills: tuple[tuple[int, int], ...] = option(
        (), flag="fill", read=read_bars, group=_FORM, metavar="BARS"
    )
    intro: int = option(0, least=0, most=MAX_ADDED_BARS, group=_FORM, metavar="N")
    ending: bool = option(False, group=_FORM)
    outro: int = option(0, least=0, most=MAX_ADDED_BARS, group=_FORM, metavar="N")
    metre: str = option("fit", choices=METRES, group=_INPUT)
    pickup: float = option(0.0, least=0, group=_INPUT, metavar="QUARTERS")

    def __post_init__(self) -> None:
        given = (self.given,) if isinstance(self.given, str) else tuple(self.given)
        object.__setattr__(self, "given", tuple(part for part in PARTS if part in given))
        added = (self.add,) if isinstance(self.add, str) else tuple(self.add)
        object.__setattr__(self, "add", added)
        object.__setattr__(self, "skip", tuple((first, last) for first, last in self.skip))
        object.__setattr__(self, "fills", tuple((first, last) for first, last in self.fills))
        redo = (self.redo,) if isinstance(self.redo, str) else self.redo
        object.__setattr__(self, "redo", tuple(map(read_redo, redo)))
        object.__setattr__(self, "attributes", FrozenDict(self.attributes))
        if isinstance(self.temperature, Mapping):
            object.__setattr__(self, "temperature", FrozenDict(self.temperature))
        for part in (*PARTS, "chords_track"):
            wanted = getattr(self, part)
            if isinstance(wanted, set | frozenset):
                wanted = sorted(wanted, key=str)
            if isinstance(wanted, list):  # hashable, and not to be changed
                wanted = tuple(wanted)
            if isinstance(wanted, tuple) and len(wanted) == 1:
                (wanted,) = wanted
            object.__setattr__(self, part, wanted)
        if not given or not set(given) <= set(PARTS):
            raise OptionError(f"given must be some of {', '.join(PARTS)}, not {', '.join(given)!r}")
        self._check()

    def _check(self) -> None:
        if len(self.given) == len(PARTS):
            raise OptionError("melody, bass and drums are all given: there is nothing to make")
        for part in self.given:
            if getattr(self, part) == NOBODY and not self.redo:
                raise OptionError(
                    f"{part}: given, but no track is to play that part; take it out of the given "
                    f"parts, or name its track in place of {NOBODY!r}"
                )
        if not set(self.add) <= {COMPING}:
            raise OptionError(f"add must be {COMPING}, or nothing, not {', '.join(self.add)!r}")
        check_options(self)
        if self.of_band and self.method not in (None, BAND):
            raise OptionError(
                f"{self.of_band[0]} applies to method {BAND!r} alone, not to {self.method!r}"
            )
        if not isinstance(self.beat, str):
            Option(least=SLOWEST, most=FASTEST).check("beat", self.beat)
        elif self.beat not in BEATS:
            raise OptionError(
                f"unknown beat {self.beat!r}; say file, auto, or quarter notes a minute"
            )
        each = isinstance(self.temperature, Mapping)
        for part, value in zip(PARTS, self.temperatures, strict=True):
            Option(least=0).check(f"temperature{f' of {part}' * each}", value)
        for name, strength in self.attributes.items():
            Option(least=-MAX_MOVE, most=MAX_MOVE).check(name, strength)
        for name, chosen in (("skip", self.skip), ("fill", self.fills)):
            for first, last in chosen:
                if not 0 <= first <= last:
                    raise OptionError(f"{name}: bars {first}-{last} are no range of bars")
        self._check_form()

    def _check_form(self) -> None:
        added = [name for name in ("intro", "ending", "outro") if getattr(self, name)]
        if self.redo and added:
            raise OptionError(
                f"redo changes bars of parts that are there, and {added[0]} is for a new band; do "
                "one after the other"
            )
        if self.beat != "file" and (self.intro or self.outro):
            raise OptionError(
                f"{'intro' if self.intro else 'outro'} needs the beats of the file; leave out beat"
            )
        if self.fills and "drums" not in self.made:
            raise OptionError("fill: needs new drums, or drums that are redone (--redo drums:8)")

    @property
    def redone(self) -> dict[str, tuple[tuple[int, int], ...]]:
        """The ranges of bars to make anew, by part."""
        found: dict[str, tuple[tuple[int, int], ...]] = {}
        for part in REDOABLE:
            own = [text.partition(":")[2] for text in self.redo if text.startswith(f"{part}:")]
            if own:
                found[part] = read_bars(",".join(own))
        return found

    @property
    def made(self) -> tuple[str, ...]:
        """The parts that are generated, wholly or in some bars: those that networks play."""
        if self.redo:
            return tuple(part for part in PARTS if part in self.redone)
        return tuple(part for part in PARTS if part not in self.given)

    @property
    def moves(self) -> dict[str, float]:
        """How far the latent is moved along each attribute vector, beside the surrogate's
        density shift."""
        moves = dict(self.attributes)
        density = 0.0 if self.method == BAND else self.density * DENSITY  # it has another way
        for name, strength in ((BAND_DENSITY, density), ("swing", self.swing)):
            if strength:
                moves[name] = moves.get(name, 0.0) + strength
        return moves

    @property
    def of_band(self) -> list[str]:
        """Names of the options that have a value and that only the method "band" understands."""
        return [name for name in OF_BAND if getattr(self, name) not in (None, ())]

    def by(self, method: str) -> AccompanyOptions:
        """The same options with a method, and its defaults for those that are None."""
        unsaid = {n: value for n, value in usual(method).items() if getattr(self, n) is None}
        return replace(self, method=method, **unsaid)

    @property
    def temperatures(self) -> tuple[float, ...]:
        """One for each of PARTS.

        Raises:
            OptionError: one is of no part.
        """
        suited = usual(self.method or BAND)["temperature"]
        chosen: dict[str, float] = {}
        for value in (suited, self.temperature):
            if isinstance(value, Mapping):
                chosen |= value
            elif value is not None:
                chosen |= dict.fromkeys(PARTS, value)
        unknown = sorted(set(chosen) - set(PARTS))
        if unknown:
            raise OptionError(f"temperature: no part {unknown[0]!r}; parts: {', '.join(PARTS)}")
        return tuple(chosen[part] for part in PARTS)
