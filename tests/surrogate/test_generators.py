"""Generators of missing parts, and the pipeline with one of another kind."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pretty_midi
import pytest
import torch
from bands import small_band
from trio_songs import Recorder, small_surrogate, small_vae, song

from musicvae_torch.midi.score import divisible, read_score
from musicvae_torch.midi.vocabulary import STEPS_PER_BAR
from surrogate import Accompanist, AccompanyOptions
from surrogate.arrangement.harmony import song_harmony
from surrogate.generators.band import BandGenerator
from surrogate.generators.trio import TrioGenerator
from surrogate.song.context import SongContext, analyze

BARS = 20


def heard(options: AccompanyOptions, seed: int = 0) -> SongContext:
    return analyze(divisible(read_score(song(seed, bars=BARS))), options)


@pytest.fixture
def band() -> BandGenerator:
    network = small_band(style_size=4)
    with torch.no_grad():
        network.player.style.weight.mul_(20)  # or little latents would change little
    return BandGenerator(network, TrioGenerator(small_vae(), small_surrogate()))


def test_given_parts_stay_and_others_are_played(band: BandGenerator) -> None:
    options = AccompanyOptions(candidates=2)
    known = heard(options)
    (made,) = band.generate([known], options)
    assert made.tokens.shape == (2, BARS * STEPS_PER_BAR, 3)
    np.testing.assert_array_equal(made.tokens[0, :, 0], known.tokens[:, 0])
    assert made.tokens[..., 1:].any((0, 1)).all() and not made.silent.any()
    assert made.log_likelihood.shape == (2, BARS) and (made.log_likelihood < 0).all()
    assert made.latents.shape == (len(made.starts), 4)


def test_songs_and_candidates_do_not_depend_on_others(band: BandGenerator) -> None:
    options = AccompanyOptions(candidates=1, seed=1)
    songs = [heard(options, seed) for seed in (0, 1)]
    together = list(band.generate(songs, options))
    (alone,) = band.generate(songs[1:], options)
    np.testing.assert_array_equal(together[1].tokens, alone.tokens)
    (more,) = band.generate(songs[1:], replace(options, candidates=3))
    np.testing.assert_array_equal(more.tokens[0], alone.tokens[0])


def test_chords_that_are_said_are_heard(band: BandGenerator) -> None:
    options = AccompanyOptions()
    known = heard(options)
    (plain,) = band.generate([known], options)
    (said,) = band.generate([known], replace(options, chords="C | Csus | F#m | N.C."))
    assert (plain.tokens != said.tokens).any()
    # What nobody says is what the melody suggests.
    names = song_harmony(known, [0], None).names_at(np.arange(0, BARS * 16, 8)).tolist()
    pairs = zip(names[::2], names[1::2], strict=True)
    (suggested,) = band.generate([known], replace(options, chords=" | ".join(map(" ".join, pairs))))
    np.testing.assert_array_equal(plain.tokens, suggested.tokens)


def test_the_style_is_heard_and_moves(band: BandGenerator) -> None:
    options = AccompanyOptions(variety=1.0, candidates=2)
    known = heard(options)
    (with_style,) = band.generate([known], options)
    (without,) = BandGenerator(band.band).generate([known], options)
    assert (with_style.tokens[0] != without.tokens[0]).any()
    assert without.latents.size == without.starts.size == 0
    # The first candidate's style is the likeliest, whatever the variety; the second's is not.
    (varied,) = band.generate([known], replace(options, variety=3.0))
    np.testing.assert_array_equal(varied.tokens[0], with_style.tokens[0])
    assert (varied.tokens[1] != with_style.tokens[1]).any()


def test_cold_bands_are_likelier(band: BandGenerator) -> None:
    options = AccompanyOptions()
    known = heard(options)
    (warm,) = band.generate([known], options)
    for colder in (AccompanyOptions(temperature=0.2), AccompanyOptions(top_p=0.2)):
        (likely,) = band.generate([known], colder)
        assert likely.log_likelihood.sum() > warm.log_likelihood.sum()


def test_density_needs_no_latent(band: BandGenerator) -> None:
    known = heard(AccompanyOptions())
    hits = []
    for density in (-10, 0):
        options = AccompanyOptions(density=density)
        (made,) = BandGenerator(band.band).generate([known], options)
        hits.append(int((made.tokens[0, :, 2] > 0).sum()))
    assert hits[0] < hits[1]


def test_temperatures_are_for_each_part(band: BandGenerator) -> None:
    options = AccompanyOptions()
    known = heard(options)
    (plain,) = band.generate([known], options)
    (cold,) = band.generate([known], replace(options, temperature={"drums": 0.0}))
    # The bass of the first step is drawn before any drums.
    assert plain.tokens[0, 0, 1] == cold.tokens[0, 0, 1]
    assert (plain.tokens[..., 2] != cold.tokens[..., 2]).any()
    (again,) = band.generate([known], replace(options, temperature={"drums": 0.0}, seed=1))
    assert cold.tokens[0, 0, 2] == again.tokens[0, 0, 2]


def test_the_pipeline_takes_any_generator() -> None:
    accompanist = Accompanist(small_vae(), small_surrogate())
    accompanist.generator = Recorder()
    midi = song(0, bars=4)
    midi.instruments = midi.instruments[:1]
    result = accompanist.accompany(midi, AccompanyOptions(harmony="off"))
    bass, drums = result.best.tracks
    assert len(bass.notes) == 4 and set(bass.notes["pitch"].tolist()) == {36}
    assert len(drums.notes) == 16 and isinstance(result.midi, pretty_midi.PrettyMIDI)
