"""How accompany-music-vae trained its network."""

from __future__ import annotations

from typing import Any

ORIGINAL_EPOCHS = 20
# How accompany-music-vae trains, as fields of TrainingOptions.
ORIGINAL_OPTIONS: dict[str, Any] = {
    "batch_size": 16,
    "learning_rate": 3e-4,
    "decay_rate": 1.0,
    "grad_clip": 1.0,
    "max_transpose": 0,
    "draw": "windows",
}
