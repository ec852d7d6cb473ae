"""The files of a checkpoint folder, and the error of those that cannot be read."""

from __future__ import annotations

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
ATTRIBUTES_FILE = "attributes.safetensors"
"""Where attribute vectors lie, if any were learnt."""
CARD_FILE = "README.md"


class CheckpointError(ValueError):
    """A checkpoint folder that cannot be read; the message names the file and the fault."""
