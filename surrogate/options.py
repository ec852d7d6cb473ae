"""What a user may choose of an accompaniment."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NoReturn, TypeAlias

from musicvae_torch.converters.trio import PARTS
from musicvae_torch.errors import OptionError

METHODS = ("band", "surrogate", "refine", "refine-only")
BAND = METHODS[0]
NO_STYLE = "none"
OF_BAND = ("top_p", "guidance", "style")  # options that no other method understands
KEEPS = ("others", "given", "all")
OUTSIDES = ("own", "band", "none")
BEATS = ("file", "auto")
NOBODY = "none"
SLOWEST, FASTEST = 20, 400  # quarter notes a minute
METRES = ("fit", "refuse")
HARMONIES = ("strong", "all", "off")
MAX_CANDIDATES = 64
MAX_GUIDANCE = 10
MAX_MOVE = 10  # along an attribute vector, either way
BAND_DENSITY = "band_density"  # name of an attribute vector
DENSITY = 0.5  # of the vector's length; a predicted latent follows it more than an encoded one

# Which tracks: an index, a name, "channel:5", ..., or several of them.
Tracks: TypeAlias = str | int | tuple[str | int, ...]


# Chosen on validation songs, as those with which bands are most like real ones (docs/band.md).
_OF_BANDS = {
    "temperature": {"melody": 0.92, "bass": 0.75, "drums": 0.92},
    "top_p": 0.999,
    "guidance": 1.6,
    "harmony": "off",
}
_OF_DECODERS = {"temperature": 0.4, "harmony": "strong"}


def default_method(musicvae: object, band: object) -> str:
    """Of networks that were named or not (None): bands are the band network's, unless a MusicVAE is
    named alone, so that it is that one which plays."""
    return METHODS[musicvae is not None and band is None]


def usual(method: str) -> Mapping[str, Any]:
    """By name, the values of options that differ between methods, where nothing else is said."""
    return _OF_BANDS if method == BAND else _OF_DECODERS


class FrozenDict(dict[str, float]):
    """A dict that does not change, and so can be hashed. It equals, prints and pickles as one."""

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(frozenset(self.items()))

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise TypeError("options do not change; make others with dataclasses.replace")

    __setitem__ = __delitem__ = update = setdefault = _refuse
    clear = pop = popitem = _refuse
    __ior__ = dict.__or__  # type: ignore[assignment]  # another one, as of a tuple's +=

    def __reduce__(self) -> tuple[type[FrozenDict], tuple[dict[str, float]]]:
        return FrozenDict, (dict(self),)


@dataclass(frozen=True)
class AccompanyOptions:
    """What a user may choose. Options can be hashed, and do not change: mappings are copied.

    Attributes:
        melody: which track is the melody: its index, name, instrument, "channel:1" or
            "program:73", or several of these, whose tracks share it; None: the likeliest.
        bass, drums: the same of the song's own bass and drums; "none": it has none; None: those
            that are found (:mod:`surrogate.song.roles`).
        given: the parts that are taken from the song, of melody, bass and drums; the others are
            made anew.
        keep: which other tracks stay: "others" all but those that play a part that is made anew,
            "given" none but the given parts, "all" every one.
        outside: what plays where the given parts do not (in an intro, or where another sings):
            "own" the song's own bass and drums stay there, "band" the band plays there too,
            wherever they did, "none" neither.
        beat: where the beats are: as the "file" says, "auto" where the notes seem to have them,
            or so many quarter notes a minute.
        seed: another number, another band; the same one, the same band.
        temperature: 0 always takes the likeliest token, 1 samples freely. A number, or one for each
            part, such as {"bass": 0.4, "drums": 0.8}; None: what suits the method (:func:`usual`).
        top_p: of the method "band": each token is drawn from the likeliest that have this share of
            the probability together (nucleus sampling); None: what is usual.
        guidance: of the method "band": how much more the given parts count than they do to the
            band, 1 being as much (classifier-free guidance); None: what is usual.
        style: of the method "band": a MIDI file of another song with melody, bass and drums, as
            whose band this one is to play, or "none"; None: what the surrogate predicts.
        variety: how far the latents of all candidates but the first are from what is likeliest, in
            standard deviations of what the surrogate predicts.
        candidates: bands to make, from which the best comes first.
        method: one of METHODS. "band": a band network plays, in the style of the latent that the
            surrogate predicts. The others decode a latent with the MusicVAE: "surrogate" takes the
            surrogate's, "refine" refines that until it explains the given parts better,
            "refine-only" refines from zero, which needs no surrogate. None: "band", where there is
            a band network, else "surrogate".
        density: how busy the band is: 0 as real ones on the average, 1 and 2 more, -1 and -2 less.
        swing: how much the song's and the band's off-beats come late: 0 as the model would, 1 and
            2 more, -1 and -2 less.
        attributes: how far to move the latent along other learned directions (attribute vectors),
            by name, in standard deviations of the attribute in real music.
        dynamics: how much velocities follow the song and its metre; 0: one fixed velocity, 1: as
            played, up to 2: exaggerated.
        harmony: which bass notes are moved into the harmony: those on "strong" beats, "all", or
            "off"; None: what suits the method: a band network is told the chords, and plays them
            by itself.
        chords: the harmony, such as "C | Am F | G7 | C"; None: of the file's chord symbols or, if
            it has none, inferred from its notes.
        fill: play in every bar in which the given parts do, though the model may rest.
        skip: ranges of the song's bars, (first, last) from 1 (a pickup is 0), in which the new
            parts are silent.
        metre: what becomes of metres that the model does not know: "fit" lays its bars on theirs,
            "refuse" is an error.
        pickup: quarter notes before the first full bar, where the file itself does not say.

    Raises:
        OptionError: one of them is out of range.
    """

    melody: Tracks | None = None
    bass: Tracks | None = None
    drums: Tracks | None = None
    given: tuple[str, ...] = ("melody",)
    keep: str = KEEPS[0]
    outside: str = OUTSIDES[0]
    beat: str | float = BEATS[0]
    seed: int = 0
    temperature: float | Mapping[str, float] | None = None
    top_p: float | None = None
    guidance: float | None = None
    style: str | None = None
    variety: float = 0.7
    candidates: int = 1
    method: str | None = None
    density: float = 0.0
    swing: float = 0.0
    attributes: Mapping[str, float] = field(default_factory=dict)
    dynamics: float = 1.0
    harmony: str | None = None
    chords: str | None = None
    fill: bool = True
    skip: tuple[tuple[int, int], ...] = ()
    metre: str = METRES[0]
    pickup: float = 0.0

    def __post_init__(self) -> None:
        _one_of("method", self.method, METHODS)
        self._check_of_band()
        _one_of("keep", self.keep, KEEPS)
        _one_of("outside", self.outside, OUTSIDES)
        _one_of("metre", self.metre, METRES)
        _one_of("harmony", self.harmony, HARMONIES)
        given = (self.given,) if isinstance(self.given, str) else tuple(self.given)
        object.__setattr__(self, "given", tuple(part for part in PARTS if part in given))
        object.__setattr__(self, "skip", tuple((first, last) for first, last in self.skip))
        object.__setattr__(self, "attributes", FrozenDict(self.attributes))
        if isinstance(self.temperature, Mapping):
            object.__setattr__(self, "temperature", FrozenDict(self.temperature))
        if not given or not set(given) <= set(PARTS):
            raise OptionError(f"given must be some of {', '.join(PARTS)}, not {', '.join(given)!r}")
        if len(self.given) == len(PARTS):
            raise OptionError("melody, bass and drums are all given: there is nothing to make")
        for part in PARTS:
            wanted = getattr(self, part)
            if isinstance(wanted, list | set | frozenset):  # hashable, and not to be changed
                ordered = wanted if isinstance(wanted, list) else sorted(wanted, key=str)
                object.__setattr__(self, part, tuple(ordered))
            if wanted == NOBODY and part in self.given:
                raise OptionError(
                    f"{part}: given, but no track is to play that part; take it out of the given "
                    f"parts, or name its track in place of {NOBODY!r}"
                )
        _check_beat(self.beat)
        if not 1 <= self.candidates <= MAX_CANDIDATES:
            raise OptionError(f"candidates must be 1 to {MAX_CANDIDATES}, not {self.candidates}")
        if not -(2**63) <= self.seed < 2**63:
            raise OptionError(f"seed must fit 64 bits, not {self.seed}")
        each = isinstance(self.temperature, Mapping)
        for part, value in zip(PARTS, self.temperatures, strict=True):
            _within("temperature", value, 0, math.inf, f" of {part}" * each)
        _within("variety", self.variety, 0, 10)
        _within("dynamics", self.dynamics, 0, 2)
        _within("pickup", self.pickup, 0, math.inf)
        own = {"density": self.density, "swing": self.swing}
        for name, strength in [*self.attributes.items(), *own.items()]:
            _within(name, strength, -MAX_MOVE, MAX_MOVE)
        for first, last in self.skip:
            if not 0 <= first <= last:
                raise OptionError(f"skip: bars {first}-{last} are no range of bars")

    @property
    def made(self) -> tuple[str, ...]:
        """The parts that are made anew."""
        return tuple(part for part in PARTS if part not in self.given)

    @property
    def moves(self) -> dict[str, float]:
        """How far the latent is moved along each attribute vector, beside the surrogate's
        lift."""
        moves = dict(self.attributes)
        density = 0.0 if self.method == BAND else self.density * DENSITY  # it has another way
        for name, strength in ((BAND_DENSITY, density), ("swing", self.swing)):
            if strength:
                moves[name] = moves.get(name, 0.0) + strength
        return moves

    @property
    def of_band(self) -> bool:
        """Whether something is said that only the method "band" understands."""
        return any(getattr(self, name) is not None for name in OF_BAND)

    def _check_of_band(self) -> None:
        if self.top_p is not None and not 0 < self.top_p <= 1:
            raise OptionError(f"top_p must be above 0 and at most 1, not {self.top_p}")
        if self.guidance is not None:
            _within("guidance", self.guidance, 0, MAX_GUIDANCE)
        if self.method in (None, BAND):
            return
        for name in OF_BAND:
            if getattr(self, name) is not None:
                raise OptionError(f"{name} is of the method {BAND!r} alone, not of {self.method!r}")

    def by(self, method: str) -> AccompanyOptions:
        """The same with that method, and with what suits it wherever nothing else is said."""
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


def _check_beat(beat: str | float) -> None:
    if isinstance(beat, str):
        if beat not in BEATS:
            raise OptionError(f"unknown beat {beat!r}; say file, auto, or quarter notes a minute")
    else:
        _within("beat", beat, SLOWEST, FASTEST)


def _one_of(name: str, value: str | None, choices: tuple[str, ...]) -> None:
    if value is not None and value not in choices:
        raise OptionError(f"unknown {name} {value!r}; choose one of: {', '.join(choices)}")


def _within(name: str, value: float, least: float, most: float, of: str = "") -> None:
    if not (least <= value <= most and math.isfinite(value)):
        bounds = f"{least:g} or more" if most == math.inf else f"{least:g} to {most:g}"
        raise OptionError(f"{name}{of} must be {bounds}, not {value}")
