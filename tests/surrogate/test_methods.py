"""Which network plays, and what is usual with it; styles that are asked for."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pretty_midi
import pytest
import torch
from bands import small_band
from pretend_cuda import DEVICE, pretend_cuda
from trio_songs import small_surrogate, small_vae, song

from musicvae_torch.errors import MidiError
from musicvae_torch.io.checkpoint import weights_sha256
from surrogate import Accompanist, AccompanyOptions
from surrogate.band.model import Band
from surrogate.cli.accompany import main
from surrogate.options import METHODS, usual


def accompanist(**changes: Any) -> Accompanist:
    networks = {"band": small_band(style_size=4)} | changes
    return Accompanist(small_vae(), small_surrogate(), **networks)


def melody(bars: int = 18) -> pretty_midi.PrettyMIDI:
    midi = song(0, bars)
    midi.instruments = midi.instruments[:1]
    return midi


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Checkpoints of a trio, its surrogate, and bands that know its latents or do not."""
    home = tmp_path_factory.mktemp("networks")
    small_vae().save_pretrained(home / "vae")
    small_surrogate().save_pretrained(home / "surrogate")
    records = {"training": {"styles": {"sha256": weights_sha256(home / "vae")}}}
    small_band(style_size=4).save_pretrained(home / "band", records=records)
    small_band(style_size=5).save_pretrained(home / "stranger")
    song(3).write(str(home / "other.mid"))
    melody().write(str(home / "melody.mid"))
    return home


def load(folder: Path, band: str | None = None, **how: Any) -> Accompanist:
    own = None if band is None else folder / band
    return Accompanist.from_pretrained(folder / "vae", folder / "surrogate", "cpu", band=own, **how)


def test_a_band_network_plays_where_there_is_one(folder: Path) -> None:
    assert accompanist().accompany(melody()).options.method == "band"
    assert accompanist(band=None).accompany(melody()).options.method == "surrogate"
    # A MusicVAE that is named alone is to play; with a band network, that one is.
    assert load(folder).band is None and load(folder, "band").band is not None
    for method in METHODS[1:]:
        assert load(folder, "band", method=method).band is None


def test_a_method_needs_its_network() -> None:
    with pytest.raises(ValueError, match="'band' needs a band network"):
        accompanist(band=None).accompany(melody(), AccompanyOptions(method="band"))
    with pytest.raises(ValueError, match="'band' needs a band network"):
        accompanist(band=None).accompany(melody(), AccompanyOptions(top_p=0.5))
    with pytest.raises(ValueError, match="needs a surrogate encoder"):
        Accompanist(small_vae()).accompany(melody(), AccompanyOptions(method="surrogate"))
    # Without a surrogate a band network plays, in no style.
    result = Accompanist(small_vae(), band=small_band(style_size=4)).accompany(melody())
    assert not result.latents.size


def test_what_is_usual_depends_on_the_method() -> None:
    for method in METHODS:
        options = AccompanyOptions().by(method)
        for name, value in usual(method).items():
            assert getattr(options, name) == value
        chosen = AccompanyOptions(temperature=0.7, harmony="all").by(method)
        assert (chosen.temperature, chosen.harmony) == (0.7, "all")
    one = AccompanyOptions(temperature={"bass": 0.1})
    for method in ("band", "surrogate"):
        melody, _, drums = AccompanyOptions().by(method).temperatures
        assert one.by(method).temperatures == (melody, 0.1, drums)


def test_the_command_says_what_is_usual() -> None:
    text = " ".join(main.help().split())
    own = usual("band")
    heat = own["temperature"]
    assert f"(default: bass={heat['bass']:g},drums={heat['drums']:g}; 0.4 with other" in text
    assert f"share of the probability (above 0 and at most 1; default: {own['top_p']:g})" in text
    assert f"take twice the time (0 to 10; default: {own['guidance']:g})" in text


@pytest.mark.parametrize(
    "wrong", [{"top_p": 0.0}, {"top_p": 1.5}, {"guidance": -1.0}, {"guidance": 99.0}]
)
def test_out_of_range(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        AccompanyOptions(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("chosen", [{"top_p": 0.9}, {"guidance": 2.0}, {"style": "none"}])
def test_other_methods_do_not_understand(chosen: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="applies to method 'band' alone, not to 'refine'"):
        AccompanyOptions(method="refine", **chosen)


def test_another_songs_style(folder: Path) -> None:
    able, plain = accompanist(), AccompanyOptions(seed=3)
    with torch.no_grad():
        able.band.player.style.weight.mul_(50)  # type: ignore[union-attr]
    bands = [
        able.accompany(melody(), replace(plain, style=style)).best.tokens
        for style in (None, "none", str(folder / "other.mid"))
    ]
    assert all((a != b).any() for a, b in zip(bands, bands[1:] + bands[:1], strict=True))
    # It is that of the mean of the other song's latents.
    with torch.no_grad():
        latents = able._band.style_of(str(folder / "other.mid"))  # type: ignore[union-attr]
    assert latents.mean.shape == (3, 4)
    blown = song(3)
    blown.instruments[0].program = 56  # a trumpet, which no window of Magenta's would take
    blown.write(str(folder / "blown.mid"))
    np.testing.assert_allclose(
        able._band.style_of(str(folder / "blown.mid")).mean,  # type: ignore[union-attr]
        latents.mean,
    )
    again = able.accompany(melody(), replace(plain, style=str(folder / "other.mid")))
    np.testing.assert_array_equal(again.best.tokens, bands[2])
    np.testing.assert_allclose(again.latents, latents.mean.numpy())


def test_a_style_that_cannot_be_had(folder: Path) -> None:
    with pytest.raises(MidiError, match=r"nowhere\.mid"):
        accompanist().accompany(melody(), AccompanyOptions(style="nowhere.mid"))
    alone = str(folder / "melody.mid")
    with pytest.raises(MidiError, match=r"melody\.mid"):
        accompanist().accompany(melody(), AccompanyOptions(style=alone))
    with pytest.raises(ValueError, match="was not trained on this MusicVAE's latents"):
        other = str(folder / "other.mid")
        accompanist(styled=False).accompany(melody(), AccompanyOptions(style=other))


def test_a_band_of_another_musicvae_plays_without_a_style(folder: Path) -> None:
    knows, stranger = load(folder, "band"), load(folder, "stranger")
    assert knows.accompany(melody()).latents.shape == (2, 4)
    result = stranger.accompany(melody())
    assert not result.latents.size and result.best.tracks
    assert any("without a style" in line for line in result.notes)
    assert not any("without a style" in line for line in knows.accompany(melody()).notes)


def test_the_command(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pair = ["--musicvae", folder / "vae", "--surrogate", folder / "surrogate", "--device", "cpu"]
    own = [*pair, "--band", folder / "band"]

    def run(*words: Any) -> int:
        return main([str(folder / "melody.mid"), "-o", *map(str, words)])

    assert run(tmp_path / "a.mid", *own, "--style", folder / "other.mid", "--top-p", "0.9") == 0
    assert run(tmp_path / "b.mid", *own, "--top-p", "0.9") == 0
    assert (tmp_path / "a.mid").read_bytes() != (tmp_path / "b.mid").read_bytes()
    assert run(tmp_path / "c.mid", *own, "--style", tmp_path / "gone.mid") == 2
    assert "gone.mid" in capsys.readouterr().err and not (tmp_path / "c.mid").exists()
    assert run(tmp_path / "c.mid", *pair, "--top-p", "0.9") == 2
    assert "--top-p: applies to --method band" in capsys.readouterr().err
    assert run(tmp_path / "c.mid", *pair, "--band", folder / "vae") == 2
    assert "wanted a 'band'" in capsys.readouterr().err


def test_a_record_without_styles_is_a_stranger(folder: Path, tmp_path: Path) -> None:
    small_band(style_size=4).save_pretrained(tmp_path / "old")
    config = json.loads((tmp_path / "old/config.json").read_text())
    assert "training" not in config
    assert Band.from_pretrained(tmp_path / "old").config.style_size == 4
    able = Accompanist.from_pretrained(
        folder / "vae", folder / "surrogate", "cpu", band=tmp_path / "old"
    )
    assert not able.accompany(melody()).latents.size


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS[:3])
def test_a_gpu_plays_what_the_cpu_plays(method: str) -> None:
    """On the stand-in alone: a GPU itself rounds otherwise."""
    options = AccompanyOptions(method=method)

    def tokens(own: Accompanist) -> list[np.ndarray]:
        song = own.accompany(melody(2), options)
        return [one.tokens for one in sorted(song.candidates, key=lambda one: one.number)]

    own = accompanist(band=small_band(style_size=4) if method == METHODS[0] else None)
    exact = tokens(own)
    with pretend_cuda():
        for network in (own.musicvae, own.surrogate, own.band):
            if network is not None:
                network.to(DEVICE)
        ours = tokens(own)
    alike = [(one == other).mean() for one, other in zip(ours, exact, strict=True)]
    assert min(alike) > 0.9
