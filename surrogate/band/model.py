"""The band network: a distribution over the hidden parts of a song, given the others.

Two transformers over sixteenths. The *listener* is bidirectional: it reads the given parts, and
chords, densities and a style where these are known. The *player* is causal: at each step it reads
the steps before and the listener's output for this one, and its heads give logits of melody, bass
and drums, in that order, each conditioned on those before it on the same step.

Tokens are (batch, steps, 3) int64 classes of melody, bass and drums, as in ``converters.trio``, and
HIDDEN where a part is masked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from musicvae_torch.chords import symbols as chords
from musicvae_torch.chords.symbols import CHORD_DEPTH, ROOTS
from musicvae_torch.converters.trio import DEPTHS
from musicvae_torch.io.checkpoint import read_config
from musicvae_torch.kernels.gemm import FLOAT32
from musicvae_torch.midi.vocabulary import DRUM_CLASSES, FIRST_NOTE, MIN_PITCH, PARTS, STEPS_PER_BAR
from musicvae_torch.model.network import Network
from surrogate.band.attention import Attention, Block, Rotation
from surrogate.band.config import BandConfig
from surrogate.band.controls import DENSITY_DEPTH

HIDDEN = -1
"""The value of a token, a chord class or a density class that is masked."""

PITCHES, DRUMS, TRIADS = "pitches", "drums", "triads"
TRAITS = {PITCHES: 12, DRUMS: len(DRUM_CLASSES), TRIADS: len(ROOTS) + len(chords.TRIADS)}
"""Number of traits by kind. A trait is what several classes have in common: the pitch class of
notes, a drum of sets of drums, the root or the kind of triads."""
PART_TRAITS = dict(zip(PARTS, (PITCHES, PITCHES, DRUMS), strict=True))


class Embedding(nn.Module):
    """A vector for each class, and one for HIDDEN.

    A class's vector is its own plus one for each of its traits, so that what is learnt of a trait
    holds for all classes that have it.

    Vectors begin with unit variance. Muon moves the blocks' matrices far, so their outputs would
    soon drown out shorter vectors, and the band would learn later to attend to what was played.

    Args:
        depth: classes.
        width: of vectors.
        traits: the kind of traits, as for :func:`traits_of`; None: classes have none.
    """

    def __init__(self, depth: int, width: int, traits: str | None = None) -> None:
        super().__init__()
        self.kind = traits
        self.table = nn.Parameter(nn.init.normal_(torch.empty(depth + 1, width)))
        with torch.no_grad():
            self.table[HIDDEN].zero_()  # so that masked parts do not drown out the others
        if traits is not None:
            self.traits = nn.Parameter(nn.init.normal_(torch.empty(TRAITS[traits], width)))

    def vectors(self) -> Tensor:
        """(depth + 1, width), HIDDEN last, where index -1 finds it."""
        if self.kind is None:
            return self.table
        shared = traits_of(self.kind, len(self.table) - 1, self.traits) @ self.traits
        return self.table + nn.functional.pad(shared, (0, 0, 0, 1))

    def forward(self, classes: Tensor) -> Tensor:
        """(...) classes → (..., width)."""
        vectors = self.vectors()
        return nn.functional.embedding(classes % len(vectors), vectors)


def traits_of(kind: str, depth: int, like: Tensor) -> Tensor:
    """(depth, traits): 1 where a class has a trait, else 0, of the dtype and device of `like`."""
    classes = torch.arange(depth, device=like.device)[:, None]
    traits = torch.arange(TRAITS[kind], device=like.device)
    if kind == DRUMS:
        has = classes >> traits & 1 > 0
    elif kind == PITCHES:
        has = (classes >= FIRST_NOTE) & ((classes - FIRST_NOTE + MIN_PITCH) % 12 == traits)
    else:
        roots, kinds = (classes - 1) % len(ROOTS), (classes - 1) // len(ROOTS)
        has = (classes > 0) & ((roots == traits) | (kinds + len(ROOTS) == traits))
    return has.to(like.dtype)


def part_embeddings(parts: Sequence[str], width: int) -> nn.ModuleDict:
    """An :class:`Embedding` of each part's tokens."""
    depths = dict(zip(PARTS, DEPTHS, strict=True))
    return nn.ModuleDict(
        {part: Embedding(depths[part], width, PART_TRAITS[part]) for part in parts}
    )


def all_vectors(embeddings: nn.ModuleDict) -> list[Tensor]:
    """The vectors of :func:`part_embeddings`, part by part: (depth + 1, width) each."""
    return [one.vectors() for one in embeddings.values() if isinstance(one, Embedding)]


class Head(nn.Module):
    """Logits of a part, from the player's output and the parts that come before it in a step.

    Args:
        width: of the player's output.
        part: whose head it is.
    """

    def __init__(self, width: int, part: str) -> None:
        super().__init__()
        index = PARTS.index(part)
        self.hears = part_embeddings(PARTS[:index], width)  # a name that checkpoints hold
        self.norm = nn.LayerNorm(width, bias=False)
        self.up = nn.Linear(width, 2 * width, bias=False)
        self.down = nn.Linear(2 * width, width, bias=False)
        self.last_norm = nn.LayerNorm(width, bias=False)
        self.out = nn.Linear(width, DEPTHS[index])
        # Weights of the classes' traits, as in Embedding.
        self.kind = PART_TRAITS[part]
        self.traits = nn.Linear(width, TRAITS[self.kind], bias=False)
        for layer in (self.down, self.out, self.traits):
            nn.init.zeros_(layer.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, hidden: Tensor, tokens: Tensor) -> Tensor:
        """Compute logits.

        Args:
            hidden: (..., width) outputs of the player.
            tokens: (..., 3) of the same steps; only those of the parts before this one are read.

        Returns:
            (..., depth).
        """
        for index, embedding in enumerate(self.hears.values()):
            hidden = hidden + embedding(tokens[..., index])
        hidden = hidden + self.down(nn.functional.gelu(self.up(self.norm(hidden))))
        hidden = self.last_norm(hidden)
        return nn.functional.linear(hidden, self.out_weight(), self.out.bias)

    def out_weight(self) -> Tensor:
        """(depth, width): the weight of the last layer, with the share of the traits."""
        own = self.out.weight
        return own + traits_of(self.kind, len(own), own) @ self.traits.weight


def style_reader(config: BandConfig) -> nn.Linear:
    """A layer from styles (..., style_size) to (..., width), initialised with zeros."""
    layer = nn.Linear(config.style_size, config.width, bias=False)
    nn.init.zeros_(layer.weight)
    return layer


@dataclass(frozen=True)
class Controls:
    """What the band is told beside the given parts; None, or HIDDEN at single steps, leaves it
    open.

    Attributes:
        chords: (batch, steps) chord classes of ``chords.symbols``.
        density: (batch, steps, 3) density classes of ``band.controls``, for each part.
        style: (batch, 1 or steps, style_size) latents, zeros for none.
    """

    chords: Tensor | None = None
    density: Tensor | None = None
    style: Tensor | None = None


class Listener(nn.Module):
    """A bidirectional transformer over the given parts and the controls."""

    def __init__(self, config: BandConfig) -> None:
        super().__init__()
        width = config.width
        self.parts = part_embeddings(PARTS, width)
        self.place = Embedding(STEPS_PER_BAR, width)
        self.chords = Embedding(CHORD_DEPTH, width, TRIADS)
        self.density = nn.ModuleDict({part: Embedding(DENSITY_DEPTH, width) for part in PARTS})
        self.style = style_reader(config)
        self.blocks = nn.ModuleList(
            Block(width, config.heads, config.context, causal=False)
            for _ in range(config.listener_layers)
        )
        self.norm = nn.LayerNorm(width, bias=False)

    def forward(self, given: Tensor, controls: Controls, rotation: Rotation) -> Tensor:
        """(batch, steps, 3) tokens → (batch, steps, width)."""
        batch, steps, _ = given.shape
        nothing = given.new_full((batch, steps), HIDDEN)
        x = self.place(torch.arange(steps, device=given.device) % STEPS_PER_BAR)
        for index, part in enumerate(PARTS):
            x = x + self.parts[part](given[..., index])
            density = nothing if controls.density is None else controls.density[..., index]
            x = x + self.density[part](density)
        x = x + self.chords(nothing if controls.chords is None else controls.chords)
        if controls.style is not None:
            x = x + self.style(controls.style)
        for block in self.blocks:
            x = block(x, rotation)
        normed: Tensor = self.norm(x)
        return normed


class Player(nn.Module):
    """A causal transformer over the steps before, and the listener's output for this one."""

    def __init__(self, config: BandConfig) -> None:
        super().__init__()
        width = config.width
        self.parts = part_embeddings(PARTS, width)
        self.start = nn.Parameter(torch.zeros(width))
        self.place = Embedding(STEPS_PER_BAR, width)
        self.heard = nn.Linear(width, width, bias=False)  # of the listener's output
        self.style = style_reader(config)
        self.blocks = nn.ModuleList(
            Block(width, config.heads, config.context, causal=True)
            for _ in range(config.player_layers)
        )

    def inputs(self, listened: Tensor, style: Tensor | None) -> Tensor:
        """The input at each step without the steps before, of the listener's output and the style:
        (batch, steps, width)."""
        steps = torch.arange(listened.shape[1], device=listened.device)
        x: Tensor = self.heard(listened) + self.place(steps % STEPS_PER_BAR)
        return x if style is None else x + self.style(style)

    def forward(self, inputs: Tensor, past: Tensor, rotation: Rotation) -> Tensor:
        """Compute outputs for the heads.

        Args:
            inputs: (batch, steps, width), of :meth:`inputs`.
            past: (batch, steps, 3) tokens of the same steps; each step reads those before it.
            rotation: of all steps.

        Returns:
            (batch, steps, width).
        """
        played = sum(self.parts[part](past[:, :-1, index]) for index, part in enumerate(PARTS))
        start = self.start.expand(len(past), 1, -1)
        x = inputs + torch.cat([start, played], 1)
        for block in self.blocks:
            x = block(x, rotation)
        return x


class Band(Network):
    """Models p(hidden parts | given parts, chords, densities, style), step by step.

    Attributes:
        weight_dtype: precision in which weights are multiplied when the band is sampled; see
            :meth:`multiply_in`.
    """

    weight_dtype = FLOAT32
    kind = "band"
    config_class = BandConfig
    config: BandConfig

    def __init__(self, config: BandConfig) -> None:
        super().__init__()
        self.config = config
        self.listener = Listener(config)
        self.player = Player(config)
        self.heads = nn.ModuleDict({part: Head(config.width, part) for part in PARTS})

    def forward(
        self, given: Tensor, tokens: Tensor, controls: Controls, past: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Compute the logits of all parts at each step, teacher-forced.

        Args:
            given: (batch, steps, 3) tokens that are known beforehand, HIDDEN elsewhere.
            tokens: (batch, steps, 3) of all parts; HIDDEN for a part that does not play at all.
            controls: see :class:`Controls`.
            past: `tokens` as the player reads them, HIDDEN where it has forgotten them; None: as
                they are.

        Returns:
            Logits of melody, bass and drums, (batch, steps, depth) each. Those of a step depend on
            `tokens` of earlier steps, and on those of the parts before it on the same step.
        """
        _, hidden = self.hidden_states(given, tokens if past is None else past, controls)
        melody, bass, drums = (self.heads[part](hidden, tokens) for part in PARTS)
        return melody, bass, drums

    def hidden_states(
        self, given: Tensor, past: Tensor, controls: Controls
    ) -> tuple[Tensor, Tensor]:
        """:meth:`Player.inputs` and the player's outputs, which the heads read: (batch, steps,
        width) each; arguments as for :meth:`forward`."""
        rotation = self.rotation(given.shape[1], given.device)
        inputs = self.player.inputs(self.listener(given, controls, rotation), controls.style)
        return inputs, self.player(inputs, past, rotation)

    def rotation(self, steps: int, device: torch.device) -> Rotation:
        """Rotary positions of the first `steps` steps."""
        positions = torch.arange(steps, device=device)
        return Rotation(positions, self.config.width // self.config.heads)

    def forget_styles(self, style_size: int) -> None:
        """Replace the layers that read styles by untrained ones, for styles of `style_size`."""
        self.config = replace(self.config, style_size=style_size)
        self.listener.style = style_reader(self.config)
        self.player.style = style_reader(self.config)

    def freeze_biases(self) -> None:
        """Stop training the player's biases by distance. Without their gradient attention never
        stores its scores, and a training step takes much less time on a CPU."""
        for module in self.player.modules():
            if isinstance(module, Attention):
                module.bias.requires_grad_(False)

    def matrices(self) -> list[Tensor]:
        """The weight matrices that Muon trains, those inside the blocks and heads: no embeddings,
        and no layers that give logits or read styles."""
        layers = [self.player.heard]
        for module in self.modules():
            if isinstance(module, Block):
                layers += [module.attention.qkv, module.attention.out, module.up, module.down]
            elif isinstance(module, Head):
                layers += [module.up, module.down]
        return [layer.weight for layer in layers]


def styles_of(folder: str | Path) -> dict[str, Any]:
    """What a band's checkpoint folder records of the MusicVAE whose latents were its styles: its
    name as "musicvae", and the "sha256" of its weights. Empty if the band was trained without
    styles."""
    styles = read_config(folder).get("training", {}).get("styles")
    return styles if isinstance(styles, dict) else {}
