"""What holds for every encoder: of pictures and of films, of the registry and of timm, transformers among them."""

import ctypes
import sys

import pytest
import torch

from selflabel.base.errors import UserError
from selflabel.encoders import CLIP_ENCODERS, ENCODERS, make_clip_encoder, make_encoder, timm_px
from tests.encoders.gradients import gradients_of_every_encoder

VITS = [
    "timm:vit_tiny_patch16_224",  # a class token
    "timm:deit_tiny_distilled_patch16_224",  # a class and a distillation token
    "timm:vit_small_patch16_dinov3.lvd1689m",  # a class and four register tokens
    "timm:vit_wee_patch16_reg1_gap_256",  # a register token, pooled by averaging
    "timm:eva02_tiny_patch14_224",  # patches of 14 px
]
TIMM = [*VITS, "timm:swin_tiny_patch4_window7_224", "timm:resnet10t", "timm:efficientnet_lite0"]
CLIPS = [*CLIP_ENCODERS, "resnet9", "timm:vit_tiny_patch16_224"]
STRIDES_IN_TIME = {"r2plus1d": 8, "resnet18-2d3d": 4, "resnet34-2d3d": 4, "s3dg": 8}


def px_of(name):
    return timm_px(name) or (96 if name == "alexnet" else 48)


def make(name):
    torch.manual_seed(0)
    return make_encoder(name, 3, px_of(name), fetch=False).eval()


def make_clip(name, frames=8):
    torch.manual_seed(0)
    return make_clip_encoder(name, timm_px(name) or 48, frames, fetch=False).eval()


@pytest.mark.slow
@pytest.mark.parametrize("name", [*ENCODERS, *TIMM])
def test_a_map_has_rows_and_columns_and_does_not_change_the_pooled_feature(name):
    encoder, x = make(name), torch.rand(2, 3, px_of(name), px_of(name))
    with torch.no_grad():
        before = encoder(x)
        maps = encoder.map(x)
        assert torch.equal(encoder(x), before)
    assert before.shape == (2, encoder.dim)
    assert maps.ndim == 4 and len(maps) == 2 and maps.shape[2] == maps.shape[3] > 1
    assert torch.isfinite(maps).all()
    if name not in ("conv4", "alexnet"):  # which flatten the map instead of averaging it
        assert maps.shape[1] == encoder.dim


@pytest.mark.slow
@pytest.mark.parametrize("name", CLIPS)
def test_a_film_has_a_map_in_time_that_does_not_change_the_pooled_feature(name):
    encoder = make_clip(name)
    x = torch.rand(1, 3, 8, encoder.px, encoder.px)
    with torch.no_grad():
        before = encoder(x)
        maps = encoder.map(x)
        assert torch.equal(encoder(x), before)
    assert before.shape == (1, encoder.dim)
    assert maps.ndim == 5 and len(maps) == 1 and maps.shape[2] == 8 // STRIDES_IN_TIME.get(name, 1)


@pytest.mark.slow
@pytest.mark.parametrize("name", [*ENCODERS, *TIMM])
def test_a_loss_on_the_map_teaches_the_trunk(name):
    encoder = make(name)
    encoder.map(torch.rand(1, 3, px_of(name), px_of(name))).square().mean().backward()
    gradients = [p.grad for p in encoder.trunk.parameters() if p.grad is not None]
    assert gradients and sum(float(g.abs().sum()) for g in gradients) > 0


@pytest.mark.parametrize("name", CLIPS)
def test_a_loss_on_the_map_of_a_film_teaches_the_encoder(name):
    encoder = make_clip(name, 2)
    encoder.map(torch.rand(1, 3, 2, encoder.px, encoder.px)).square().mean().backward()
    assert sum(float(p.grad.abs().sum()) for p in encoder.parameters() if p.grad is not None) > 0


def centre_of_change(encoder, where):
    """Where the map differs once these pixels are brighter: the centre of the differences along each axis, 0 to 1."""
    torch.manual_seed(1)
    x = torch.rand(1, 3, *where.shape)
    with torch.no_grad():
        difference = (encoder.map(x + where) - encoder.map(x)).norm(dim=1)[0]
    centres = []
    for axis, n in enumerate(difference.shape):
        share = difference.sum(dim=[a for a in range(difference.ndim) if a != axis]) / difference.sum()
        centres.append(float((share * (torch.arange(n) + 0.5) / n).sum()))
    return centres


def quarter(px, row, column):
    where = torch.zeros(px, px)
    where[row * px // 2 : (row + 1) * px // 2, column * px // 2 : (column + 1) * px // 2] = 1
    return where


@pytest.mark.slow
@pytest.mark.parametrize("name", [*ENCODERS, *TIMM])
def test_the_map_has_the_top_of_the_picture_at_its_top_and_the_left_at_its_left(name):
    encoder, px = make(name), px_of(name)
    rows, columns = zip(*(centre_of_change(encoder, quarter(px, *corner)) for corner in [(0, 0), (0, 1), (1, 0)]))
    assert rows[2] > max(rows[0], rows[1]) and columns[1] > max(columns[0], columns[2])


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in CLIPS if name not in STRIDES_IN_TIME])
def test_the_map_of_a_film_has_its_frames_in_order(name):
    encoder = make_clip(name)
    times = []
    for frame in (1, 4, 6):
        where = torch.zeros(8, encoder.px, encoder.px)
        where[frame] = 1
        times.append(centre_of_change(encoder, where)[0])
    assert times == sorted(times) and times[2] - times[0] > 0.3


def patch_size(encoder):
    return encoder.trunk.net.patch_embed.patch_size[0]


@pytest.mark.parametrize("name", VITS)
@pytest.mark.parametrize("layer", ["map", "keys"])
def test_a_patch_of_pixels_is_at_its_own_row_and_column_of_a_transformers_map(name, layer):
    """Without attention before the layer, no position knows of another's pixels."""
    encoder = make(name)
    net, size = encoder.trunk.net, patch_size(encoder)
    net.blocks = net.blocks[:1] if layer == "keys" else torch.nn.Sequential()
    x = torch.rand(1, 3, encoder.px, encoder.px)
    brighter = x.clone()
    brighter[:, :, 2 * size : 3 * size, 5 * size : 6 * size] += 1
    with torch.no_grad():
        changed = (encoder.map(brighter, layer) != encoder.map(x, layer)).any(dim=1)[0]
    assert changed.shape == (encoder.px // size, encoder.px // size)
    assert changed.nonzero().tolist() == [[2, 5]]


@pytest.mark.slow
@pytest.mark.parametrize("name", VITS)
def test_transformers_give_the_keys_of_their_last_attention_and_leave_no_hook(name):
    encoder, x = make(name), torch.rand(2, 3, px_of(name), px_of(name))
    with torch.no_grad():
        before, keys = encoder(x), encoder.map(x, layer="keys")
        assert keys.shape == encoder.map(x).shape and not torch.equal(keys, encoder.map(x))
        assert torch.equal(encoder(x), before)
    assert not any(module._forward_pre_hooks for module in encoder.modules())


@pytest.mark.parametrize("name", [*ENCODERS, "timm:swin_tiny_patch4_window7_224", "timm:resnet10t"])
def test_an_encoder_without_attention_over_all_patches_says_that_it_has_no_keys(name):
    encoder = make(name)
    with pytest.raises(UserError, match=r"no layer 'keys': .* has no attention.*use another encoder"):
        encoder.map(torch.rand(1, 3, px_of(name), px_of(name)), layer="keys")


@pytest.mark.parametrize("name", ["conv4", "timm:resnet10t", "timm:vit_tiny_patch16_224"])
def test_a_layer_that_no_encoder_has_is_a_programmers_error(name):
    with pytest.raises(ValueError, match="there is no layer 'values'; there are 'map', 'keys', 'stride16', 'stages'"):
        make(name).map(torch.rand(1, 3, px_of(name), px_of(name)), layer="values")


def test_films_have_keys_where_their_frames_have():
    with torch.no_grad():
        framewise = make_clip("timm:vit_tiny_patch16_224", 2)
        assert framewise.map(torch.rand(1, 3, 2, 224, 224), layer="keys").shape == (1, 192, 2, 14, 14)
    for name in ("clip9", "resnet9"):
        with pytest.raises(UserError, match="no layer 'keys'"):
            make_clip(name, 2).map(torch.rand(1, 3, 2, 48, 48), layer="keys")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="mallopt is of glibc")
def test_gradients_do_not_depend_on_what_was_in_memory_before():
    """glibc fills allocated and freed memory with a byte of our choice: whatever is read before it is written differs."""
    mallopt, M_PERTURB, results = ctypes.CDLL(None).mallopt, -6, []
    try:
        for byte in (1, 128):
            assert mallopt(M_PERTURB, byte) == 1
            assert torch.empty(1 << 20, dtype=torch.uint8)[:99].tolist() == [255 - byte] * 99  # it does
            results.append(gradients_of_every_encoder())
    finally:
        mallopt(M_PERTURB, 0)
    one, other = results
    assert [name for name, g in one.items() if not torch.equal(g, other[name])] == []
