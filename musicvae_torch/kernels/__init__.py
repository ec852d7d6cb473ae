"""The LSTM of `model.lstm`, fast: each kernel is tested against that reference."""

from musicvae_torch.kernels.switch import kernels_enabled, reference

__all__ = ["kernels_enabled", "reference"]
