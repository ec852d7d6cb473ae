"""The base of all networks."""

from __future__ import annotations

from typing import Self

from musicvae_torch.io.checkpoint import PretrainedNetwork
from musicvae_torch.kernels import dispatch


class Network(PretrainedNetwork):
    """A network of a checkpoint folder, whose weights may be multiplied in a lower precision."""

    def multiply_in(self, dtype: str) -> Self:
        """Choose the precision in which LSTM weights are multiplied where no gradient is wanted:
        encoding, sampling, teacher forcing under ``torch.no_grad()``. Returns the network itself.

        The weights stay in float32. Lower precisions are faster, the more so the larger the network
        is, and change results a little; docs/speed.md says by how much. Products are prepared once:
        change weights by PyTorch's operations, not through ``parameter.data``, or call this again.

        Args:
            dtype: "float32", which is exact; "bfloat16"; or "int8", on x86 processors only.

        Raises:
            OptionError: there is no such precision, or not on the device that the network is on.
        """
        dispatch.set_weight_dtype(self, dtype)
        return self
