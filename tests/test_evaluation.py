"""Reconstruction accuracy and its baselines, on cases worked by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from magenta_models import Golden

from musicvae_torch.evaluation import accuracy_table, baseline_accuracy, reconstruction_accuracy
from musicvae_torch.notes.trio import to_tokens


def test_baselines() -> None:
    tokens = np.zeros((1, 256, 3), np.uint16)
    tokens[0, ::16, 0] = 40  # a melody of one note at the start of every bar
    tokens[0, 0, 1] = 20  # a bass note in the first bar alone
    scores = baseline_accuracy(tokens)
    assert scores["always no event"] == {"melody": 240 / 256, "bass": 255 / 256, "drums": 1.0}
    assert scores["the bar before"] == {"melody": 255 / 256, "bass": 254 / 256, "drums": 1.0}


def test_both_ways_of_decoding(golden: Golden) -> None:
    """Counted over batches, as it comes out when one window at a time is compared."""
    model = golden.model
    tokens = to_tokens(golden.reference["inputs"].numpy()).astype(np.int64)
    right: dict[str, list[float]] = {"teacher forced": [], "decoded freely": []}
    with torch.no_grad():
        for window in torch.from_numpy(tokens).split(1):
            z = model.encode(window).mean
            for way, rows in (
                ("teacher forced", model.teacher_force(z, window)),
                ("decoded freely", model.decode(z, temperature=0)),
            ):
                drums = rows[..., 180:].argmax(-1)
                right[way].append((drums == window[..., 2]).float().mean().item())
    scores = reconstruction_accuracy(model, tokens, batch_size=3)
    for way, shares in right.items():
        assert scores[way]["drums"] == pytest.approx(np.mean(shares), abs=1e-6)


def test_table() -> None:
    table = accuracy_table({"a model": {"melody": 0.5, "bass": 0.25, "drums": 1.0}})
    assert table.splitlines()[-1] == "| a model | 0.500 | 0.250 | 1.000 |"
