"""The LSTM of `model.lstm`, fast: each kernel is tested against that reference."""

from musicvae_torch.kernels.switch import (
    graphs_enabled,
    kernels_enabled,
    reference,
    without_graphs,
)

__all__ = ["graphs_enabled", "kernels_enabled", "reference", "without_graphs"]
