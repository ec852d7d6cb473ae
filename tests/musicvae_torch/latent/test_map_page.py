"""The map of `musicvae inspect`: its colours, its page, and the probes of the latent."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_up import tiny

from musicvae_torch.analysis.attributes import ATTRIBUTES
from musicvae_torch.analysis.probes import probe_attributes, r2, ridge_weights, split_songs
from musicvae_torch.cli.latent import main as musicvae
from musicvae_torch.cli.latent_inspect import Measured, write_report
from musicvae_torch.latent.inspection import inspect_latents
from musicvae_torch.latent.map_colours import UNDEFINED, Scale, Sources, colour_names
from musicvae_torch.latent.map_page import scale_colours, source_colours
from musicvae_torch.latent.pictures import draw_map

HOSTILE = "x/</script><script>window.bad = 1</script>.mid"


def test_r2_by_hand() -> None:
    # Predictions of 2 and 4 where the values are 2 and 6: a squared error of 4, beside 2² + 2² = 8
    # from their mean.
    assert r2(np.array([2.0, 6.0]), np.array([2.0, 4.0])) == pytest.approx(0.5)
    assert np.isnan(r2(np.ones(2), np.array([2.0, 4.0])))


def test_ridge_weights_by_hand() -> None:
    # The line through (0, 1) and (2, 3) has slope 1. As much again as the inputs' variance, 1,
    # halves it.
    inputs, targets = np.array([[-1.0], [1.0]]), np.array([[-1.0], [1.0]])
    assert ridge_weights(inputs, targets, (0.0, 1.0)).ravel() == pytest.approx([1.0, 0.5])
    # Of all exact fits to two equal inputs the shortest weights.
    assert ridge_weights(inputs.repeat(2, 1), targets, (0.0,)).ravel() == pytest.approx([0.5, 0.5])


def test_songs_stay_together_and_parts_are_even() -> None:
    songs = np.repeat([7, 3, 9, 4], [3, 3, 3, 3])
    for seed in range(5):
        part = split_songs(songs, 2, np.random.default_rng(seed))
        assert part.sum() == 6
        assert all(len(set(part[songs == song])) == 1 for song in (7, 3, 9, 4))


def test_probes_of_made_up_latents() -> None:
    rng = np.random.default_rng(0)
    means = rng.normal(size=(600, 40)) * ([3, 2] + [1] * 38)
    songs = np.arange(600) // 4
    values = {
        "density": means[:, 0] * 2 + 5,  # of the map's axes
        "register": means[:, 20] - means[:, 30],  # of the latent alone
        "interval": rng.normal(size=600),  # of neither
        "syncopation": means[:, 0] + rng.normal(0, 3, 600),  # half of its variance is noise
        "swing": np.where(np.arange(600) < 15, means[:, 0], np.nan),  # too few
        "drum_density": np.ones(600),
    }
    values["density"][:100] = np.nan
    scores = probe_attributes(means, means[:, :2], values, songs)
    assert scores["density"].windows == 500
    assert scores["density"].map_r2 == pytest.approx(1) and scores["density"].latent_r2 > 0.99
    assert scores["register"].map_r2 < 0.05 and scores["register"].latent_r2 > 0.95
    assert abs(scores["interval"].map_r2) < 0.1 and -0.3 < scores["interval"].latent_r2 < 0.1
    assert scores["syncopation"].map_r2 == pytest.approx(0.5, abs=0.1)
    for name in ("swing", "drum_density"):
        assert np.isnan(scores[name].map_r2) and np.isnan(scores[name].latent_r2)
    assert scores["swing"].windows == 15
    again = probe_attributes(means, means[:, :2], values, songs)
    assert again["register"] == scores["register"]


def test_windows_of_one_song_are_not_scored_on_themselves() -> None:
    # Each song has a place and a value of its own, which tell nothing of another song's.
    rng = np.random.default_rng(1)
    songs = np.repeat(np.arange(40), 20)
    means = rng.normal(size=(40, 60))[songs] + rng.normal(0, 0.01, (800, 60))
    scores = probe_attributes(means, means[:, :2], {"density": rng.normal(size=40)[songs]}, songs)
    assert scores["density"].latent_r2 < 0.2


def test_scales_and_sources() -> None:
    scale = Scale.span("swing", np.array([*np.arange(101.0), np.nan, np.nan]))
    assert (scale.low, scale.high, scale.undefined) == (2, 98, 2)
    assert scale.beyond == (True, True) and scale.legend() == "undefined (2)"
    rare = Scale.span("swing", np.array([0.0] * 999 + [3.0]))
    assert (rare.low, rare.high, rare.beyond) == (0, 3, (False, False))
    alike = Scale.span("swing", np.full(5, 2.0))
    assert (alike.low, alike.high) == (1.5, 2.5)
    nothing = Scale.span("swing", np.full(5, np.nan))
    assert nothing.low < nothing.high and nothing.undefined == 5
    few = Sources.count(["b", "a", "a"])
    assert few.legend() == ["a (2)", "b (1)"] and few.of.tolist() == [1, 0, 0]
    many = Sources.count([str(row) for row in range(11) for _ in range(20 - row)])
    assert many.labels == (*map(str, range(9)), "others")
    assert many.legend()[-1] == "others (21)"


def made_up_report(folder: Path, colour: str) -> Path:
    rng = np.random.default_rng(2)
    means, songs = rng.normal(size=(80, 5)), np.arange(80) // 4
    found = inspect_latents(means, np.full((80, 5), 0.5), ["x", "y"] * 40, songs.tolist())
    values = {"density": np.arange(80.0), "swing": np.where(songs < 3, np.nan, 0.25)}
    measured = Measured(values, probe_attributes(means, found.map, values, songs))
    names = [HOSTILE if song == 0 else f"y/{song}.mid" for song in songs]
    write_report(found, names, folder, "made up", measured, colour)
    return folder / "index.html"


def test_the_picture_has_a_colour_bar_and_counts_the_undefined() -> None:
    means = np.random.default_rng(0).normal(size=(30, 4))
    found = inspect_latents(means, np.ones((30, 4)), ["x"] * 30, list(range(30)))
    values = np.where(np.arange(30) < 4, np.nan, np.arange(30.0))
    figure = draw_map(found, Scale.span("drum_density", values))
    axes, bar = figure.axes
    assert axes.get_legend_handles_labels()[1] == ["undefined (4)"]
    assert [np.shape(part.get_offsets())[0] for part in axes.collections] == [4, 26]
    assert axes.collections[1].get_cmap().name == "viridis"
    assert bar.get_ylabel() == "drum_density, hits a bar"
    assert len(draw_map(found, Sources.count(found.sources)).axes) == 1


def test_the_report_and_its_data(tmp_path: Path) -> None:
    page = made_up_report(tmp_path, "swing").read_text(encoding="utf-8")
    assert "window.bad = 1</script>" not in page
    assert not re.search(r"(src|href)=\"(?!data:)", page) and "fetch(" not in page
    data = json.loads(re.findall(r'id="map-data">(.*?)</script>', page)[0])
    assert [choice["name"] for choice in data["choices"]] == ["source", "density", "swing"]
    assert data["first"] == 2 and data["names"][0] == HOSTILE
    assert data["choices"][2]["values"].count(None) == 12
    assert data["choices"][2]["legend"] == "undefined (12)"
    found = json.loads((tmp_path / "inspection.json").read_text(encoding="utf-8"))["attributes"]
    assert found["swing"] == {
        "unit": "share",
        "windows": 68,
        "undefined": 12,
        "map_r2": None,
        "latent_r2": None,
    }
    assert found["density"]["map_r2"] < 1


def test_the_chooser_colours_anew_without_a_network(tmp_path: Path, browser: Any) -> None:
    path = made_up_report(tmp_path, "density")
    context = browser.new_context(offline=True)
    page = context.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("request", lambda request: problems.append(request.url))
    page.goto(path.as_uri())
    circles = page.locator("#map-points circle")

    def colours() -> list[str]:
        script = "all => all.map((one) => one.getAttribute('fill'))"
        return list(circles.evaluate_all(script))

    assert len(colours()) == 80
    assert set(colours()) <= set(scale_colours()) and len(set(colours())) > 40
    page.select_option("#map-choice", "swing")
    assert colours().count(UNDEFINED) == 12 and len(set(colours())) == 2
    assert "undefined (12)" in page.locator("#map-legend").inner_text()
    # Those without a value lie behind the others, so come first.
    circles.first.hover(force=True)
    assert "swing: undefined" in page.locator("#map-here").inner_text()
    page.select_option("#map-choice", "source")
    assert set(colours()) == set(source_colours()[:2])
    outside = [one for one in problems if not one.startswith(("file:", "data:"))]
    assert not outside and page.evaluate("window.bad") is None
    context.close()


def test_what_windows_can_be_coloured_by(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert colour_names(tiny("hier-trio_16bar")) == ("source", *ATTRIBUTES)
    assert colour_names(tiny("nade-drums_2bar_full")) == (
        "source",
        "density",
        "drum_density",
        "swing",
    )
    assert colour_names(tiny("hier-multiperf_vel_1bar_med")) == ("source",)
    command = ["inspect", str(tmp_path), "-o", str(tmp_path / "o"), "--colour", "loudness"]
    assert musicvae(command) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "--color loudness" in line and f"source, {', '.join(ATTRIBUTES)}" in line
