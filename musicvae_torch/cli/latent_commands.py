"""The work of the command `musicvae`: options → music in files, and lines about it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from musicvae_torch.analysis.timeline import in_a_row, render_pieces, write_midi
from musicvae_torch.chords.chart import Bar, read_chart, read_text
from musicvae_torch.cli.latent import (
    Attribute,
    Groove,
    Interpolate,
    LatentOptions,
    Reconstruct,
    Sample,
    SongOptions,
)
from musicvae_torch.converters.base import Converter
from musicvae_torch.converters.multitrack import MultitrackConverter
from musicvae_torch.converters.registry import get_converter
from musicvae_torch.errors import ConfigError, OptionError
from musicvae_torch.io.checkpoint import shipped_checkpoint
from musicvae_torch.io.devices import pick_device, use_few_threads
from musicvae_torch.io.markdown import markdown_table
from musicvae_torch.latent import (
    EncodedSong,
    add_hats,
    decode_tokens,
    encode_song,
    find_windows,
    humanise,
    interpolate,
    reconstruct,
    sample,
    song_converter,
    tap_to_drums,
)
from musicvae_torch.latent.conditions import chords_of_window, takes_chords
from musicvae_torch.latent.encoded_song import bar_range
from musicvae_torch.latent.grooves import SHIPPED
from musicvae_torch.midi.notes import check_midi_out, is_midi
from musicvae_torch.midi.vocabulary import STEPS_PER_BAR
from musicvae_torch.model.vae import MusicVAE
from musicvae_torch.windows.tensors import window_controls

_SHIPPED = "trio_16bar_small"
_MOST_LISTED = 50


def load_model(options: LatentOptions, shipped: str = _SHIPPED) -> MusicVAE:
    """The model that was asked for, or the one that ships under a name."""
    device = pick_device(options.device)
    model = MusicVAE.from_pretrained(options.musicvae or shipped_checkpoint(shipped), device)
    use_few_threads(model)
    return model.multiply_in(options.dtype)


def _encode(
    model: MusicVAE, midi: Path, options: SongOptions, every_window: bool = False
) -> EncodedSong:
    """Encode a song, and say which of its notes are left out."""
    song = encode_song(
        model,
        midi,
        every_window=every_window,
        tracks=options.tracks,
        melody_programs=options.melody_programs,
    )
    if song.left_out:
        lost = f"{song.left_out} notes are of drums that the model does not know"
        print(f"{song.name}: {lost}", file=sys.stderr)
    return song


def run_sample(options: Sample) -> None:
    check_out(options.out)
    model = load_model(options)
    converter = get_converter(model.config, "infer")
    chords = None if options.chords is None else read_text(options.chords, read_chart)
    if isinstance(converter, MultitrackConverter):
        tunes = _bars_of_tracks(model, options, chords)
    else:
        length = steps_of(converter, options.length)
        rows = sample(
            model,
            options.n,
            length=length,
            temperature=options.temperature,
            spread=options.spread,
            controls=_conditions(model, options, chords, length or converter.steps),
            seed=options.seed,
        )
        tunes = [[one] for one in rows]
    write_tunes(converter, tunes, options.out, options.tempo, "sample", together=False)


def _bars_of_tracks(
    model: MusicVAE, options: Sample, chords: Sequence[Bar] | None
) -> list[list[np.ndarray]]:
    """Samples of bars of several tracks: of each latent as many bars as the options ask for, or as
    there are chords."""
    bars = options.length or (len(chords) if chords else 1)
    controls = _conditions(model, options, chords, model.config.max_seq_len)
    if controls is not None:
        controls = controls[torch.arange(bars) % len(controls)].repeat(options.n, 1, 1)
    generator = torch.Generator().manual_seed(options.seed)
    z = options.spread * torch.randn(options.n, model.config.z_size, generator=generator)
    rows = decode_tokens(
        model,
        z.repeat_interleave(bars, 0).to(model.device),
        temperature=options.temperature,
        controls=controls,
        seed=options.seed,
    )
    return [list(rows[first : first + bars]) for first in range(0, len(rows), bars)]


def _conditions(
    model: MusicVAE, options: Sample, chords: Sequence[Bar] | None, steps: int
) -> Tensor | None:
    """The controls of a conditioned model; None, if the model is not conditioned.

    Raises:
        ConfigError: it is not conditioned on what was given, or its controls are missing.
    """
    config = model.config
    if chords is not None:
        return chords_of_window(config, chords, steps)
    if options.hits is not None:
        if not config.control_depth or takes_chords(config):
            raise ConfigError(f"the model {config.name!r} is not conditioned on drum hits")
        placed, _ = find_windows(song_converter(model), options.hits)
        return window_controls(config, placed[0].window.tokens)
    if takes_chords(config):
        raise ConfigError(
            f"the model {config.name!r} is conditioned on chords: give some with "
            "--chords 'C | Am | F | G'"
        )
    if config.control_depth:
        raise ConfigError(
            f"the model {config.name!r} is conditioned on drum hits: name a MIDI file with --hits"
        )
    return None


def run_reconstruct(options: Reconstruct) -> None:
    check_out(options.out, [options.midi])
    model = load_model(options)
    song = _encode(model, options.midi, options)
    temperature, spread, seed = options.temperature, options.spread, options.seed
    result = reconstruct(model, song, temperature=temperature, spread=spread, seed=seed)
    print(result)
    if options.out:
        write_midi(result.midi, options.out)
        print(f"\n{options.out}: {len(result.z)} windows, decoded")


def run_interpolate(options: Interpolate) -> None:
    paths, numbers = _points(options)
    if not options.list_windows:
        if options.out is None:
            raise OptionError("name a .mid file or a folder to write to with -o")
        check_out(options.out, paths)
    model = load_model(options)
    songs: dict[Path, EncodedSong] = {}
    for path in dict.fromkeys(paths):
        songs[path] = _encode(model, path, options, every_window=True)
        if options.list_windows:
            _list_windows(songs[path])
    if options.list_windows:
        return
    if len(paths) < 2:
        raise OptionError(
            "an interpolation needs two files, or one with two windows, as in --window 1,9"
        )
    points = [
        (songs[path], _window_row(songs[path], number))
        for path, number in zip(paths, numbers, strict=True)
    ]
    ends = torch.stack([song.mean[row] for song, row in points])
    first, start = points[0][0], points[0][0].placed[points[0][1]]
    tokens = decode_tokens(
        model,
        interpolate(ends, options.steps, options.loop),
        length=steps_of(first.converter, options.length),
        temperature=options.temperature,
        controls=window_controls(model.config, start.window.tokens),
        seed=options.seed,
        same_noise=True,
    )
    for song, row in points:
        print(f"{song.name}: window {row + 1} of {len(song.placed)}, {_place(song, row)}")
    assert options.out is not None
    tunes, tempo = [[one] for one in tokens], options.tempo or start.qpm
    write_tunes(first.converter, tunes, options.out, tempo, "step", together=True)


def _points(options: Interpolate) -> tuple[list[Path], list[int]]:
    """The file and the window's number of each point."""
    paths, numbers = list(options.midi), list(options.window or (1,))
    if len(paths) == 1 and len(numbers) > 1:
        paths = paths * len(numbers)
    if len(numbers) == 1:
        numbers = numbers * len(paths)
    if len(numbers) != len(paths):
        raise OptionError(f"--window has {len(numbers)} numbers for {len(paths)} files")
    return paths, numbers


def _window_row(song: EncodedSong, number: int) -> int:
    count = len(song.placed)
    if not 1 <= number <= count:
        raise OptionError(
            f"{song.name}: there is no window {number}, only 1 to {count}; --list-windows shows "
            "them"
        )
    return number - 1


def _place(song: EncodedSong, row: int) -> str:
    one = song.placed[row]
    tracks = ", ".join(map(str, one.window.instruments))
    return f"bars {bar_range(song.converter, one)} of tracks {tracks}"


def _list_windows(song: EncodedSong) -> None:
    print(f"{song.name}: {len(song.placed)} windows")
    for row in range(min(len(song.placed), _MOST_LISTED)):
        print(f"  {row + 1}: {_place(song, row)}")
    if len(song.placed) > _MOST_LISTED:
        print(f"  and so on, to {len(song.placed)}: {_place(song, len(song.placed) - 1)}")


def run_attribute(options: Attribute) -> None:
    from musicvae_torch.analysis.attributes import measure, window_parts
    from musicvae_torch.attribute_vectors import AttributeVectors

    check_out(options.out, [options.midi])
    folder = options.musicvae or shipped_checkpoint(_SHIPPED)
    vectors = AttributeVectors.load(options.attributes or folder, folder)
    strengths = {name: far for move in options.move for name, far in move.items()}
    for name in strengths:
        vectors.direction(name)  # before any work, as it may not be there
    model = load_model(options)
    song = _encode(model, options.midi, options)
    decode = partial(
        decode_tokens,
        model,
        temperature=options.temperature,
        controls=window_controls(model.config, song.tokens),
        seed=options.seed,
        same_noise=True,
    )
    unmoved, moved = decode(song.mean), decode(vectors.move(song.mean, strengths))
    values = [measure(window_parts(model.config, rows)) for rows in (song.tokens, unmoved, moved)]
    rows = [
        [f"**{name}**" if name in strengths else name, unit, *(_mean(own[name]) for own in values)]
        for name, unit in zip(vectors.names, vectors.units, strict=True)
    ]
    print(markdown_table(["attribute", "unit", "song", "unmoved", "moved"], rows))
    write_midi(song.render_pieces(list(moved)), options.out)
    print(f"\n{options.out}: {len(song.placed)} windows, moved")


def _mean(values: np.ndarray) -> str:
    known = values[~np.isnan(values)]
    return f"{known.mean():.2f}" if len(known) else "none"


def run_groove(options: Groove) -> None:
    check_out(options.out, [options.midi])
    what = {"humanize": "humanise"}.get(options.what, options.what)
    model = load_model(options, SHIPPED[what])
    chosen: dict[str, Any] = {
        "temperature": options.temperature,
        "seed": options.seed,
        "drums": options.drums,
    }
    if what == "tap":
        groove = tap_to_drums(options.midi, model, **chosen)
    else:
        change = add_hats if what == "hats" else humanise
        groove = change(options.midi, model, redraw=options.redraw, **chosen)
    groove.write(options.out)
    for line in (*groove.score.remarks, *groove.remarks):
        print(f"note: {line}")
    print(f"{options.out}: {groove.hits} drum hits")


def steps_of(converter: Converter, bars: int | None) -> int | None:
    """Steps to decode for a number of bars; None: those of a window. Raises OptionError for more
    than the model can decode."""
    if bars is None:
        return None
    if isinstance(converter, MultitrackConverter):
        if bars != 1:
            raise OptionError(f"--length: the model's windows are one bar, not {bars}")
        return None
    return bars * STEPS_PER_BAR


def check_out(out: Path | None, songs: Sequence[Path] = ()) -> None:
    """Raise OptionError if a result would replace a song, or is named as another kind of file."""
    if out is None:
        return
    check_midi_out(out)
    for song in songs:
        if out.exists() and song.exists() and out.samefile(song):
            raise OptionError(f"{out}: is the song itself; name another file with -o")


def write_tunes(
    converter: Converter,
    tunes: Sequence[Sequence[np.ndarray]],
    out: Path,
    tempo: float,
    stem: str,
    *,
    together: bool,
) -> None:
    """Write tunes: all in a row into a .mid file, or each into a file of its own in a folder.

    Args:
        tunes: windows of each.
        out: the file or the folder.
        tempo: in quarter notes a minute.
        stem: of the names of files in a folder.
        together: whether the folder gets a file of all in a row, too.
    """

    def write(windows: Sequence[np.ndarray], path: Path) -> None:
        write_midi(render_pieces(converter, in_a_row(converter, windows, tempo)), path)

    row = [window for tune in tunes for window in tune]
    if is_midi(out):
        write(row, out)
        print(f"{out}: {len(tunes)} in a row")
        return
    digits = len(str(len(tunes)))
    for number, tune in enumerate(tunes, start=1):
        write(tune, out / f"{stem}_{number:0{digits}d}.mid")
    if together:
        write(row, out / "all.mid")
    print(f"{out}: {len(tunes)} files{', and all in a row in all.mid' if together else ''}")
