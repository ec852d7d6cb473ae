"""Attribute vectors: directions of the latent along which one thing about the music changes.

    vectors = AttributeVectors.load("checkpoints/trio_16bar_small")
    denser = vectors.move(z, {"band_density": 1.0, "swing": 0.5})

What can be moved is measured in :mod:`musicvae_torch.notes.attributes`; vectors are learnt of data
in :mod:`musicvae_torch.attributes.learning`.
"""

from musicvae_torch.attributes.directions import METHODS, learn_directions
from musicvae_torch.attributes.effects import Effects, measure_effects
from musicvae_torch.attributes.vectors import ATTRIBUTES_FILE, AttributeVectors

__all__ = [
    "ATTRIBUTES_FILE",
    "METHODS",
    "AttributeVectors",
    "Effects",
    "learn_directions",
    "measure_effects",
]
