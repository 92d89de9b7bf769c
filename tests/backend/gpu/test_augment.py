"""Augmentation of batches on a GPU: the same draws from the same numbers as on the CPU, and then the same pixels."""

import math
from types import SimpleNamespace

import numpy as np
import pytest

import tinycnn
from tests.backend.gpu.test_random import expected_uniform
from tests.gpu import captured, on_gpu, without_waiting
from tests.layouts import LAYOUTS
from tinycnn import backend
from tinycnn.backend import cpu
from tinycnn.data.transforms import InterpolationMode, v2

pytestmark = pytest.mark.gpu

FLOATS = ["float16", "float32", "float64"]
DTYPES = [*FLOATS, "uint8", "int64", "bool"]


@pytest.fixture
def gpu():
    from tinycnn.backend.gpu import kernels as gpu

    with backend.on(backend.Device("gpu")):
        yield gpu


class Counted:
    """What draws for the CPU: the numbers that the GPU's generator of this seed draws."""

    def __init__(self, seed):
        self.seed, self.drawn = seed, 0

    def random(self, size, dtype):
        count = math.prod(size)
        assert count % 4 == 0  # whole blocks
        start, self.drawn = self.drawn // 4, self.drawn + count
        return expected_uniform(self.seed, count, dtype, start).reshape(size)


RANGES = [(-30, 60), (-3.4, 3.4), (-1, 5), (0.5, 2), (-20, 20), (0, 9)]
DRAWS = {
    "draw_starts": (5, 3),
    "draw_flips": (0.3,),
    "draw_boxes": ((14, 11), 0.7, (0.02, 0.9), (math.log(0.3), math.log(3.3))),
    "draw_squares": ((14, 11), 5),
    "draw_maps": ((14, 11), RANGES, (1.5, -2.0)),
}


@pytest.mark.parametrize("N", [0, 1, 7, 700])  # a block has 256 threads
@pytest.mark.parametrize("name", DRAWS)
def test_the_same_draws_from_the_same_numbers(gpu, name, N):
    ours, theirs = gpu.Generator(3), Counted(3)
    for _ in range(2):  # the state moves on
        found, expected = getattr(gpu, name)(ours, N, *DRAWS[name]), getattr(cpu, name)(theirs, N, *DRAWS[name])
        assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
        if expected.dtype.kind == "f":
            np.testing.assert_allclose(found.get(), expected, rtol=1e-6, atol=1e-6)
        else:
            np.testing.assert_array_equal(found.get(), expected)
    assert ours.state().get()[1] == theirs.drawn // 4


def beta(alpha, seed, block):
    """(Beta(α, α), the next block), by algorithm BA of Cheng, as in the paper."""
    a = b = alpha
    sharp = 1 / min(a, b) if min(a, b) <= 1 else math.sqrt((a + b - 2) / (2 * a * b - (a + b)))
    gamma = a + 1 / sharp
    while True:
        u, w = 1 - expected_uniform(seed, 2, np.float64, block)
        block += 1
        v = sharp * math.log(u / (1 - u))
        W = a * math.exp(v)
        if (a + b) * math.log((a + b) / (b + W)) + gamma * v - math.log(4) >= math.log(u * u * w):
            return W / (b + W), block


@pytest.mark.parametrize("alpha", [0.2, 1.0, 3.0, 50.0])
def test_the_share_of_a_mixture(gpu, alpha):
    generator, block = gpu.Generator(1), 0
    for _ in range(100):
        share, box = gpu.draw_mixture(generator, alpha)
        expected, block = beta(alpha, 1, block)
        assert box is None
        assert abs(share.get() - expected) < 1e-12
    assert generator.state().get()[1] == block


@pytest.mark.parametrize("alpha", [0.01, 0.2, 1.0, 3.0, 50.0])
def test_the_share_of_a_mixture_is_beta(gpu, alpha):
    generator = gpu.Generator(1)
    drawn = np.array([gpu.draw_mixture(generator, alpha)[0].get() for _ in range(1500)])
    assert ((drawn >= 0) & (drawn <= 1)).all()
    expected = np.random.default_rng(0).beta(alpha, alpha, 100_000)
    for level in (0.05, 0.25, 0.5, 0.75, 0.95):  # as many are below it
        at = np.quantile(expected, level)
        assert abs((drawn <= at).mean() - (expected <= at).mean()) < 5 * math.sqrt(0.25 / 1500)


def test_the_box_of_a_mixture(gpu):
    generator, block = gpu.Generator(1), 0
    for _ in range(200):
        share, box = gpu.draw_mixture(generator, 1.0, (9, 12))
        of_beta, block = beta(1.0, 1, block)
        numbers = expected_uniform(1, 2, np.float32, block)
        block += 1
        chosen = SimpleNamespace(beta=lambda a, b, drawn=of_beta: drawn, random=lambda size, dtype, u=numbers: u)
        expected, where = cpu.draw_mixture(chosen, 1.0, (9, 12))
        assert box.get().tolist() == where.tolist()
        assert abs(share.get() - expected) < 1e-12


def pixels(name, kernels, place, x):
    """What `name` makes of x. `place` moves an array to the device."""
    N, C, H, W = x.shape
    rng, fill = np.random.default_rng(1), np.arange(C).astype(x.dtype)
    if name == "cropped":
        borders = np.pad(np.arange(H), 2, constant_values=-1), np.pad(np.arange(W), 1, mode="reflect")
        starts = np.stack([rng.integers(0, H + 4 - 5 + 1, N), rng.integers(0, W + 2 - 4 + 1, N)]).astype("i4")
        return kernels.cropped(x, place(starts), *[place(b.astype("i4")) for b in borders], (5, 4), place(fill))
    if name in ("left and right", "top and bottom"):
        return kernels.flipped(x, place(rng.random(N) < 0.5), -1 if name == "left and right" else -2)
    if name in ("erased", "noise"):
        boxes = cpu.draw_boxes(rng, N, (H, W), 0.8, (0.1, 0.5), (-1.0, 1.0))
        value = (rng.random(x.shape) * 9).astype(x.dtype) if name == "noise" else fill.reshape(-1, 1, 1)
        return kernels.erased(x, place(boxes), place(value))
    if name in ("nearest", "bilinear"):
        maps = cpu.draw_maps(rng, N, (H, W), RANGES, (1.0, 0.0))
        return kernels.warped(x, place(maps), name == "bilinear", place(fill))
    share = place(np.asarray(0.3))
    if name == "mixed":
        return kernels.mixed(x, share)
    return kernels.pasted(x, place(np.array([1, 2, 3, 2], np.int32)))


MOVED = ["cropped", "left and right", "top and bottom", "erased", "noise", "nearest", "pasted"]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", [*MOVED, "bilinear", "mixed"])
def test_the_same_pixels(gpu, name, dtype, layout):
    if name == "mixed" and dtype not in FLOATS:
        pytest.skip("mixtures are of floats")
    values = np.random.default_rng(0).uniform(0, 100, (5, 3, 6, 7))
    if dtype == "int64" and name in MOVED:  # more digits than a float has
        values *= 1e16
    x = LAYOUTS[layout]((values > 50) if dtype == "bool" else values.astype(dtype))
    found, expected = pixels(name, gpu, gpu.xp.asarray, on_gpu(x)), pixels(name, cpu, np.asarray, x)
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    in_order = [np.argsort(-np.abs(np.array(each.strides))).tolist() for each in (found, expected)]
    assert in_order[0] == in_order[1]
    if name in MOVED:
        np.testing.assert_array_equal(found.get(), expected)
        return
    if dtype not in FLOATS:  # halfway between two integers either one is right
        assert np.abs(found.get().astype(float) - expected.astype(float)).max() <= 1
        assert (found.get() != expected).mean() < 0.02
        return
    np.testing.assert_allclose(found.get(), expected, rtol=1e-3 if dtype == "float16" else 1e-5, atol=1e-4)


@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (1, 3, 4, 5), (0, 3, 4, 5), (2, 0, 4, 5), (2, 3, 9, 3)])
@pytest.mark.parametrize("name", [*MOVED, "bilinear", "mixed"])
def test_other_sizes(gpu, name, shape):
    if name == "cropped" and shape == (1, 1, 1, 1):
        pytest.skip("nothing to reflect")
    x = np.random.default_rng(0).random(shape, np.float32)
    found, expected = pixels(name, gpu, gpu.xp.asarray, on_gpu(x)), pixels(name, cpu, np.asarray, x)
    np.testing.assert_allclose(found.get(), expected, rtol=1e-5, atol=1e-5)


def test_crops_of_nothing_are_filled(gpu):
    x, place = gpu.xp.zeros((2, 3, 0, 4), np.float32), gpu.xp.asarray
    outside, fill = place(np.full(3, -1, np.int32)), place(np.float32([1, 2, 3]))
    found = gpu.cropped(x, gpu.xp.zeros((2, 2), np.int32), outside, outside, (2, 3), fill)
    np.testing.assert_array_equal(found.get()[1, :, 1, 2], [1, 2, 3])


@pytest.mark.parametrize("dtype", ["int64", "int32", "uint8"])
def test_mixed_classes(gpu, dtype):
    classes = np.array([3, 0, 0, 1, 9], dtype)[::-1]
    found = gpu.mixed_classes(on_gpu(classes), gpu.xp.asarray(0.3), 4)
    np.testing.assert_allclose(found.get(), cpu.mixed_classes(classes, np.asarray(0.3), 4), rtol=1e-6)


# --- transforms ---------------------------------------------------------------------------------------------------

TRANSFORMS = {
    "RandomCrop": v2.RandomCrop(8, padding=3, fill=0.5),
    "RandomHorizontalFlip": v2.RandomHorizontalFlip(),
    "RandomVerticalFlip": v2.RandomVerticalFlip(),
    "RandomRotation": v2.RandomRotation(40),
    "RandomAffine": v2.RandomAffine(30, (0.2, 0.1), (0.8, 1.2), 10, InterpolationMode.BILINEAR),
    "RandomErasing": v2.RandomErasing(0.8),
    "Cutout": v2.Cutout(5),
    "RandomShift": v2.RandomShift(2, fill=-1.0),
    "MixUp": lambda x: v2.MixUp(num_classes=4)(x, tinycnn.arange(len(x), device=x.device) % 4)[0],
    "CutMix": lambda x: v2.CutMix(num_classes=4)(x, tinycnn.arange(len(x), device=x.device) % 4)[0],
}


@pytest.fixture
def batch():
    return tinycnn.tensor(np.random.default_rng(0).random((12, 2, 8, 9), np.float32), device="gpu")


@pytest.mark.parametrize("name", TRANSFORMS)
def test_two_launches_and_nobody_waits(gpu, batch, name, monkeypatch):
    from tinycnn.backend.gpu import launch

    transform = TRANSFORMS[name]
    if name in ("MixUp", "CutMix"):
        labels, mixture = tinycnn.arange(12, device="gpu") % 4, getattr(v2, name)(num_classes=4)
        transform = lambda x: mixture(x, labels)[0]  # noqa: E731
    transform(batch)  # compiles, and copies constants
    launched, kernel = [], launch.kernel
    monkeypatch.setattr(launch, "kernel", lambda file, *of: launched.append(file) or kernel(file, *of))
    with without_waiting():
        transform(batch)
    assert launched == ["draws", "augment", *(["augment"] if name in ("MixUp", "CutMix") else [])]


@pytest.mark.parametrize("name", TRANSFORMS)
def test_the_seed_decides(batch, name):
    def drawn():
        return [TRANSFORMS[name](batch).cpu().numpy() for _ in range(3)]

    tinycnn.manual_seed(5)
    first = drawn()
    tinycnn.manual_seed(5)
    states = backend.random_states()
    np.testing.assert_array_equal(drawn(), first)
    assert not all((one == first[0]).all() for one in first)
    backend.set_random_states(states)
    np.testing.assert_array_equal(drawn(), first)


@pytest.mark.parametrize("name", TRANSFORMS)
def test_each_replay_of_a_graph_draws_anew(batch, name):
    transform = TRANSFORMS[name]
    tinycnn.manual_seed(5)
    eager = [transform(batch).cpu().numpy() for _ in range(4)]
    result, graph = captured(lambda: transform(batch))
    tinycnn.manual_seed(5)
    for expected in eager:
        graph.launch()
        np.testing.assert_array_equal(result.cpu().numpy(), expected)


def test_within_a_captured_step(batch):
    augment = v2.Compose([v2.RandomCrop(8, padding=1), v2.RandomHorizontalFlip(), v2.RandomErasing(), v2.Cutout(3)])

    def run(step):
        tinycnn.manual_seed(2)
        return [step(batch).cpu().numpy() for _ in range(6)]

    step = tinycnn.cuda.capture(augment)
    found = run(step)
    assert step.captured
    np.testing.assert_array_equal(found, run(augment))
    assert len({one.tobytes() for one in found}) == 6
