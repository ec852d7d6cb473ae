"""How music lies in a latent space, and whether that looks like the prior, a standard normal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from musicvae_torch.errors import DatasetError

# Variance of a dimension's means over windows from which it distinguishes them (Burda et al. 2016,
# "Importance Weighted Autoencoders", section 5.2).
ACTIVE_VARIANCE = 0.01
DIRECTIONS = 200  # random ones, along which the distance is measured
_SHOWN = 6
_NEIGHBOURS = 10


@dataclass(frozen=True, eq=False)
class Inspection:
    """What was found about the posteriors of some windows.

    Attributes:
        kl: (z_size,) mean divergence of each dimension from the prior, in nats.
        active: (z_size,) bool, whether a dimension's mean differs among windows.
        drawn: (windows, z_size), one latent of each posterior: the aggregated posterior.
        random: (windows, 6) of `drawn` along random directions.
        principal: (windows, 6) of `drawn` along its principal axes, widest first.
        distance: of the aggregated posterior from the prior: mean over random directions of the
            Wasserstein distance of order 1, in standard deviations of the prior.
        floor: the same of as many latents of the prior itself.
        map: (windows, 2) of the means along their two widest axes.
        map_share: (2,) of the means' variance that those axes have.
        sources: of each window, the top-level folder of its song.
        neighbours: pairs of rows: a window, and the nearest window of another song.
    """

    kl: np.ndarray
    active: np.ndarray
    drawn: np.ndarray
    random: np.ndarray
    principal: np.ndarray
    distance: float
    floor: float
    map: np.ndarray
    map_share: np.ndarray
    sources: tuple[str, ...]
    neighbours: tuple[tuple[int, int], ...]

    def summary(self) -> dict[str, float]:
        """The numbers."""
        variances = self.principal.var(0)
        return {
            "windows": len(self.drawn),
            "dimensions": len(self.kl),
            "active_units": int(self.active.sum()),
            "kl_bits": float(self.kl.sum() / np.log(2)),
            "distance": self.distance,
            "distance_of_prior": self.floor,
            "mean_norm": float(np.linalg.norm(self.drawn, axis=1).mean()),
            "widest_axis_sd": float(np.sqrt(variances[0])),
        }


def inspect_latents(
    means: np.ndarray,
    stddevs: np.ndarray,
    sources: Sequence[str],
    songs: Sequence[int],
    seed: int = 0,
) -> Inspection:
    """Inspect the posteriors of windows.

    Args:
        means, stddevs: (windows, z_size).
        sources: (windows,) top-level folders.
        songs: (windows,) numbers of songs.
        seed: of all that is drawn.

    Raises:
        DatasetError: there are fewer than three windows.
    """
    count, size = means.shape
    if count < 3:
        raise DatasetError(f"{count} windows are too few to look at; at least 3, better thousands")
    rng = np.random.default_rng(seed)
    means, stddevs = means.astype(np.float64), stddevs.astype(np.float64)
    kl = 0.5 * (means**2 + stddevs**2 - 1) - np.log(stddevs)
    drawn = means + stddevs * rng.standard_normal(means.shape)
    directions = rng.standard_normal((size, max(DIRECTIONS, _SHOWN)))
    directions /= np.linalg.norm(directions, axis=0)
    flat, share = _widest(means, 2)
    return Inspection(
        kl=kl.mean(0),
        active=means.var(0) > ACTIVE_VARIANCE,
        drawn=drawn,
        random=drawn @ directions[:, :_SHOWN],
        principal=_widest(drawn, _SHOWN)[0],
        distance=distance_from_normal(drawn @ directions),
        floor=distance_from_normal(rng.standard_normal((count, directions.shape[1]))),
        map=flat,
        map_share=share,
        sources=tuple(sources),
        neighbours=_nearest(means, np.asarray(songs), rng),
    )


def distance_from_normal(values: np.ndarray) -> float:
    """Mean over columns of the Wasserstein distance of order 1 from the standard normal: how far
    values (rows, columns) must be moved, on average, to be spread as it is."""
    rows = len(values)
    wanted = [NormalDist().inv_cdf((row + 0.5) / rows) for row in range(rows)]
    return float(np.abs(np.sort(values, axis=0) - np.array(wanted)[:, None]).mean())


def _widest(values: np.ndarray, axes: int) -> tuple[np.ndarray, np.ndarray]:
    """Values along the widest principal axes, from the origin, (rows, axes), and each axis's share
    of the variance; zeros for axes beyond those that there are."""
    centred = values - values.mean(0)
    _, lengths, basis = np.linalg.svd(centred, full_matrices=False)
    found = min(axes, len(basis))
    along = np.zeros((len(values), axes))
    along[:, :found] = values @ basis[:found].T
    share = np.zeros(axes)
    share[:found] = lengths[:found] ** 2 / max(float((lengths**2).sum()), 1e-12)
    return along, share


def _nearest(
    means: np.ndarray, songs: np.ndarray, rng: np.random.Generator
) -> tuple[tuple[int, int], ...]:
    picks = rng.permutation(len(means))[:_NEIGHBOURS]
    pairs = []
    for pick in sorted(picks.tolist()):
        others = np.flatnonzero(songs != songs[pick])
        if len(others):
            distances = np.linalg.norm(means[others] - means[pick], axis=1)
            pairs.append((pick, int(others[distances.argmin()])))
    return tuple(pairs)
