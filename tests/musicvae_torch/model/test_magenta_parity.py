"""Every config against the numbers that real Magenta computed from the same weights.

Tolerances are of the largest value of the reference: float32 sums come in another order.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from magenta_models import MODELS, Golden, error, golden_folders, load_golden
from torch import Tensor

from convert_weights.conversion import convert
from convert_weights.formats.tensor_bundle import open_tensor_bundle
from convert_weights.names.magenta import match_layers, to_variables
from musicvae_torch.config import CONFIGS
from musicvae_torch.errors import CheckpointError
from musicvae_torch.training import standard_normal_kl

TOLERANCE = 1e-5
LOGIT_TOLERANCE = 5e-5
# Close to a certain hit, a rounding of the sigmoid is large against the floor of the logarithm.
LOSS_TOLERANCES = {"categorical": 1e-5, "nade": 2e-4, "groove": 2e-4}
# A groove feeds real numbers back, whose rounding errors grow from step to step.
GROOVE_SAMPLE_TOLERANCE = 2e-4


@pytest.fixture(scope="module", params=golden_folders(MODELS, "fixtures", "models"))
def golden(request: pytest.FixtureRequest) -> Golden:
    return load_golden(request.param)


@pytest.fixture
def placed(golden: Golden, device: torch.device) -> Golden:
    """A model of Magenta's on each device."""
    return golden.on(device)


def valid(golden: Golden, lengths: Tensor) -> Tensor:
    """(batch, logit steps, 1): which of the kept logits are of steps that count."""
    steps = golden.reference["outputs"].shape[1]
    per_segment = lengths.unsqueeze(1) if lengths.dim() == 1 else lengths
    segment_steps = steps // per_segment.shape[1]
    counts = torch.arange(segment_steps, device=lengths.device) < per_segment.unsqueeze(-1)
    return counts.flatten(1)[:, golden.logit_steps, None]


def test_there_is_a_model_of_every_config() -> None:
    assert {folder.name for folder in MODELS.iterdir() if folder.is_dir()} == set(CONFIGS)


def test_sizes_are_magentas(golden: Golden) -> None:
    config, hparams = golden.config, golden.hparams
    assert config.name == golden.name
    assert config.z_size == hparams["z_size"]
    assert list(config.enc_rnn_size) == hparams["enc_rnn_size"]
    assert list(config.dec_rnn_size) == hparams["dec_rnn_size"]
    assert config.nade_num_hidden == (hparams["nade_num_hidden"] if config.output == "nade" else 0)


@pytest.mark.usefixtures("implementation")
@pytest.mark.parametrize("prefix", ["", "var_"], ids=["full", "shorter"])
@torch.no_grad()
def test_the_posterior_is_magentas(placed: Golden, prefix: str) -> None:
    golden, reference = placed, placed.reference
    lengths = reference[f"{prefix}lengths"]
    posterior = golden.model.encode(reference["inputs"], lengths, golden.controls)
    assert error(posterior.mean, reference[f"{prefix}mu"]) <= TOLERANCE
    assert error(posterior.stddev, reference[f"{prefix}sigma"]) <= TOLERANCE
    assert error(standard_normal_kl(posterior), reference[f"{prefix}kl"]) <= TOLERANCE
    if prefix == "" and lengths.dim() == 1:
        whole = golden.model.encode(reference["inputs"], None, golden.controls)
        assert error(whole.mean, reference["mu"]) <= TOLERANCE


@pytest.mark.usefixtures("implementation")
@pytest.mark.parametrize("prefix", ["", "var_"], ids=["full", "shorter"])
@torch.no_grad()
def test_logits_and_losses(placed: Golden, prefix: str) -> None:
    golden, reference, model = placed, placed.reference, placed.model
    lengths = reference["var_dec_lengths" if prefix else "lengths"]
    logits = model.teacher_force(reference["z"], reference["outputs"], golden.controls)
    counts = valid(golden, lengths)
    # A golden file pads what Magenta cut off after the longest length.
    theirs = reference[f"{prefix}logits"]
    ours = logits[:, golden.logit_steps][:, : theirs.shape[1]] * counts[:, : theirs.shape[1]]
    assert error(ours, theirs * counts[:, : theirs.shape[1]]) <= LOGIT_TOLERANCE
    losses = model.reconstruction_loss(logits, reference["outputs"], lengths)
    assert error(losses, reference[f"{prefix}r_loss"]) <= LOSS_TOLERANCES[golden.config.output]


@pytest.mark.usefixtures("implementation")
def test_samples_are_magentas(placed: Golden) -> None:
    golden, reference = placed, placed.reference
    theirs = reference["samples"]
    controls = reference.get("sample_c_input")
    for temperature in (0.0, float(reference["sample_temperature"])):
        ours = golden.model.decode(reference["z"], theirs.shape[1], temperature, controls)
        if golden.config.output == "groove":
            hits = golden.config.output_depth // 3
            assert torch.equal(ours[..., :hits], theirs[..., :hits])
            assert error(ours, theirs) <= GROOVE_SAMPLE_TOLERANCE
        elif temperature == 0:
            # Of Magenta's two ways with a NADE, ours is the threshold.
            assert torch.equal(ours, reference.get("samples_threshold", theirs).float())
        else:
            assert torch.equal(ours, theirs.float())


def test_weights_there_and_back(golden: Golden) -> None:
    weights = {name: tensor.numpy() for name, tensor in golden.model.state_dict().items()}
    layers = match_layers(golden.config, {name: array.shape for name, array in weights.items()})
    again: dict[str, np.ndarray] = {}
    for layer in layers:
        again |= to_variables(layer, (weights[name] for name in layer.parameters))
    bundle = open_tensor_bundle(next(golden.folder.glob("*.index")).with_suffix(""))
    assert set(again) == set(bundle) - {"global_step"}
    for name, array in again.items():
        assert array.dtype == bundle[name].dtype and array.tobytes() == bundle[name].tobytes()


def test_config_may_be_left_out_where_the_variables_decide(golden: Golden, tmp_path: Path) -> None:
    alike = [
        {name for name in CONFIGS if name.startswith("groovae") and "control" not in name},
        {"hier-multiperf_vel_1bar_med", "hier-multiperf_vel_1bar_big"},
        {"hier-multiperf_vel_1bar_med_chords", "hier-multiperf_vel_1bar_big_chords"},
    ]
    candidates = next((names for names in alike if golden.name in names), {golden.name})
    if len(candidates) == 1:
        assert convert(golden.folder, None, tmp_path / "model").config == golden.config
        return
    with pytest.raises(CheckpointError, match="choose with --config one of") as caught:
        convert(golden.folder, None, tmp_path / "model")
    listed = str(caught.value).rpartition(": ")[2].split(", ")
    assert set(listed) == candidates and not any(tmp_path.iterdir())
