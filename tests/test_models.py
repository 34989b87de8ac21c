"""The networks: exact sizes, sliced form against nn.Conv3d, near-plain start, their specs."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from vsrcli.models import MODELS, ModelSpec
from vsrcli.models.checkpoint import build, count_parameters
from vsrcli.models.layers import (
    OutputRange,
    RecursiveBlock,
    RecursiveBlock3d,
    SlicedConv3d,
    set_passes,
)

SPECS = pytest.mark.parametrize("spec", MODELS.values(), ids=lambda spec: spec.name)


@SPECS
def test_parameter_count(spec: ModelSpec) -> None:
    assert count_parameters(build(spec)) == spec.parameters


def test_parameter_counts_of_the_report() -> None:
    assert MODELS["delta"].parameters == 83_702
    assert MODELS["5-parallel"].parameters == 259_938
    previous = build(MODELS["previous"])
    frame = previous.get_submodule("frame")
    assert count_parameters(frame) == 10_577
    assert count_parameters(previous) - count_parameters(frame) == 63_129
    delta = build(MODELS["delta"])
    volume = count_parameters(delta.get_submodule("volume")) + count_parameters(
        delta.get_submodule("output")
    )
    assert (count_parameters(delta) - volume, volume) == (17_101, 66_601)


@SPECS
def test_every_parameter_is_used(spec: ModelSpec) -> None:
    network = build(spec)
    network(torch.rand(1, 1, spec.planes, 9, 11) * 255).mean().backward()
    assert [
        name for name, value in network.named_parameters() if value.grad is None
    ] == []


@given(
    depth=st.integers(3, 6),
    channels=st.sampled_from([(1, 4), (3, 2)]),
    kernel=st.sampled_from(
        [
            ((3, 3, 3), (1, 1, 1)),
            ((3, 3, 3), (0, 0, 0)),
            ((5, 5, 3), (2, 2, 1)),
            ((1, 1, 3), (0, 0, 1)),
        ]
    ),
    size=st.tuples(st.integers(5, 9), st.integers(5, 9)),
    batch=st.integers(1, 2),
)
@settings(max_examples=40, deadline=None)
def test_sliced_convolution_is_conv3d(
    depth: int,
    channels: tuple[int, int],
    kernel: tuple[tuple[int, int, int], tuple[int, int, int]],
    size: tuple[int, int],
    batch: int,
) -> None:
    torch.manual_seed(depth)
    sliced = SlicedConv3d(*channels, kernel[0], padding=kernel[1]).double()
    plain = nn.Conv3d(*channels, kernel[0], padding=kernel[1]).double()
    plain.load_state_dict(sliced.state_dict())
    volume = torch.randn(batch, channels[0], depth, *size, dtype=torch.float64)
    result = torch.stack(sliced(list(volume.unbind(2))), dim=2)
    torch.testing.assert_close(result, plain(volume), rtol=1e-12, atol=1e-12)


class _PlainBlock3d(nn.Module):
    def __init__(self, block: RecursiveBlock3d) -> None:
        super().__init__()
        self.block = block

    def forward(self, volume: torch.Tensor) -> torch.Tensor:
        x = volume
        for _ in range(self.block.passes):
            y = functional.relu(
                functional.conv3d(x, self.block.a.weight, self.block.a.bias, padding=1)
            )
            x = functional.relu(
                functional.conv3d(y, self.block.b.weight, self.block.b.bias, padding=1)
                + x
            )
        return x


def test_recursive_block_is_its_formula_and_its_gradient() -> None:
    torch.manual_seed(0)
    block = RecursiveBlock3d(4, 3).double()
    volume = torch.rand(1, 4, 5, 6, 7, dtype=torch.float64)
    sliced = torch.stack(block(list(volume.unbind(2))), dim=2)
    plain = _PlainBlock3d(block)(volume)
    torch.testing.assert_close(sliced, plain)
    (sliced_gradient,) = torch.autograd.grad(sliced.square().sum(), block.a.weight)
    (plain_gradient,) = torch.autograd.grad(plain.square().sum(), block.a.weight)
    torch.testing.assert_close(sliced_gradient, plain_gradient)


def test_output_range() -> None:
    control = OutputRange(16, 234)
    x = torch.tensor([-1e6, 0.0, 100.0, 1e6])
    torch.testing.assert_close(
        control(x),
        torch.tensor([16.0, 125.0, 218 * torch.sigmoid(torch.tensor(1.0)) + 16, 234.0]),
    )


@SPECS
def test_starts_as_a_plain_upsampler(spec: ModelSpec) -> None:
    torch.manual_seed(1)
    network = build(spec)
    network.initialise()
    window = torch.rand(1, 1, spec.planes, 24, 20) * 60 + 98
    with torch.no_grad():
        result = network(window)
    mode = "nearest" if spec.name == "lite" else "bilinear"
    height, width = (2 * side for side in window.shape[-2:])
    plain = functional.interpolate(
        window[:, :, spec.middle], scale_factor=2, mode=mode
    )[..., spec.trim : height - spec.trim, spec.trim : width - spec.trim]
    inner = (slice(None), slice(None), slice(6, -6), slice(6, -6))
    # 5-parallel's sigmoid is a straight line over mid-grey only
    assert (result - plain)[inner].abs().max() < (
        3.0 if spec.name == "5-parallel" else 1e-3
    )


def test_lite_keeps_its_budget() -> None:
    """At most 20,000 multiply-adds an output pixel (a source pixel gives four), nothing reused."""
    spec = MODELS["lite"]
    network = build(spec)
    done: list[int] = []
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            layer.register_forward_hook(
                lambda layer, _, out: done.append(layer.weight[0].numel() * out.numel())
            )
    height = 12
    width = 20
    with torch.no_grad():
        network(torch.rand(1, 1, spec.planes, height, width))
    assert sum(done) == 61_472 * height * width
    assert sum(done) <= 20_000 * 4 * height * width


@pytest.mark.parametrize("name", ["delta", "5-parallel"])
def test_passes_can_be_limited_and_restored(name: str) -> None:
    network = build(MODELS[name])
    volumes = [
        block for block in network.modules() if isinstance(block, RecursiveBlock3d)
    ]
    maps = [block for block in network.modules() if isinstance(block, RecursiveBlock)]
    full = [block.passes for block in volumes + maps]
    set_passes(network, 2)
    assert {block.passes for block in volumes} == {2}
    assert [block.passes for block in volumes + maps][len(volumes) :] == full[
        len(volumes) :
    ], "those of the 2D part cost little and stay"
    set_passes(network, None)
    assert [block.passes for block in volumes + maps] == full


@SPECS
@pytest.mark.parametrize("size", [(1, 1), (3, 8), (9, 5)])
def test_output_shape_and_type(spec: ModelSpec, size: tuple[int, int]) -> None:
    height, width = (side + 2 for side in size)
    with torch.no_grad():
        result = build(spec)(torch.rand(2, 1, spec.planes, height, width) * 255)
    assert result.shape == (
        2,
        1,
        spec.scale * height - 2 * spec.trim,
        spec.scale * width - 2 * spec.trim,
    )
    assert result.dtype == torch.float32


@SPECS
@pytest.mark.parametrize("axis", [-2, -1], ids=["rows", "columns"])
def test_halo_is_enough(spec: ModelSpec, axis: int) -> None:
    """With positive weights every path shows in the gradient; beyond the halo there is none."""
    network = build(spec).double()
    with torch.no_grad():
        for name, value in network.named_parameters():
            value.fill_(0.0 if name.endswith("bias") else 1.0 / value[0].numel())
    middle = spec.halo_px + 6
    shape = [3, 3]
    shape[axis] = 2 * middle + 1
    window = torch.rand(1, 1, spec.planes, *shape, dtype=torch.float64) + 1
    window.requires_grad_()
    # the two output rows or columns of the middle pixel, as a tile's core would need them
    result = network(window).narrow(axis, spec.scale * middle - spec.trim, spec.scale)
    (gradient,) = torch.autograd.grad(result.sum(), window)
    across = 2 if axis == -2 else 1
    touched = gradient[0, 0].abs().sum(dim=(0, across)).nonzero()
    reach = max(middle - int(touched.min()), int(touched.max()) - middle)
    assert reach <= spec.halo_px
    if axis == -1:  # the 1x1x3 convolutions reach sideways only, so columns decide
        assert reach == spec.halo_px
