"""How a checkpoint is refused."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from musicvae_torch.errors import CheckpointError


def failure(action: Callable[[], object]) -> str:
    """The message of the CheckpointError that `action` raises; it must be one line."""
    with pytest.raises(CheckpointError) as caught:
        action()
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    return message
