"""The files of a checkpoint folder."""

from __future__ import annotations

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
ATTRIBUTES_FILE = "attributes.safetensors"
"""Where attribute vectors lie, if any were learnt."""
CARD_FILE = "README.md"
