"""Attribute vectors: directions of the latent along which one thing about the music changes.

    vectors = AttributeVectors.load("checkpoints/trio_16bar_small")
    denser = vectors.move(z, {"band_density": 1.0, "swing": 0.5})

:mod:`musicvae_torch.analysis.attributes` measures the attributes;
:mod:`musicvae_torch.attribute_vectors.learning` learns vectors from data.
"""

from musicvae_torch.attribute_vectors.directions import METHODS, learn_directions
from musicvae_torch.attribute_vectors.effects import Effects, measure_effects
from musicvae_torch.attribute_vectors.vectors import AttributeVectors
from musicvae_torch.io.checkpoint_files import ATTRIBUTES_FILE

__all__ = [
    "ATTRIBUTES_FILE",
    "METHODS",
    "AttributeVectors",
    "Effects",
    "learn_directions",
    "measure_effects",
]
