"""The GPU's random numbers: against Philox written down in NumPy, and against the distributions they should have."""

import math

import numpy as np
import pytest

import tinycnn
from tests.gpu import captured, without_waiting
from tinycnn import backend, nn
from tinycnn.nn import functional as F
from tinycnn.nn import init

pytestmark = pytest.mark.gpu

GPU = backend.Device.named("cuda", 0)


def current_gpu():
    return backend.cupy().cuda.runtime.getDevice()


@pytest.fixture
def gpu():
    from tinycnn.backend.gpu import kernels as gpu

    with backend.on(GPU):
        yield gpu
        assert current_gpu() == 0


# --- the generator, from its definition ---------------------------------------------------------------------------


def philox(key, blocks, attempt=0):
    """Four words (4, N) for each of `blocks`, from Salmon et al., section 3.3, with Python's integers for carry-free
    64-bit products."""
    counter = [blocks & 0xFFFFFFFF, blocks >> np.uint64(32)]
    counter += [np.full_like(blocks, attempt & 0xFFFFFFFF), np.full_like(blocks, attempt >> 32)]
    keys = [key & 0xFFFFFFFF, key >> 32]
    for _ in range(10):
        first, second = np.uint64(0xD2511F53) * counter[0], np.uint64(0xCD9E8D57) * counter[2]
        counter = [
            (second >> np.uint64(32)) ^ counter[1] ^ np.uint64(keys[0]),
            second & np.uint64(0xFFFFFFFF),
            (first >> np.uint64(32)) ^ counter[3] ^ np.uint64(keys[1]),
            first & np.uint64(0xFFFFFFFF),
        ]
        keys = [(keys[0] + 0x9E3779B9) % 2**32, (keys[1] + 0xBB67AE85) % 2**32]
    return np.stack(counter)


def key_of(seed):
    return int(np.random.SeedSequence(seed).generate_state(1, np.uint64)[0])


def expected_uniform(seed, size, dtype, start=0):
    words = philox(key_of(seed), np.arange(start, start + size, dtype=np.uint64)).T
    if dtype == np.float32:
        return (words >> np.uint64(8)).astype(np.float32).ravel()[:size] * np.float32(2**-24)
    high, low = words[:, ::2] >> np.uint64(5), words[:, 1::2] >> np.uint64(6)
    return ((high << np.uint64(26)) + low).ravel()[:size] * 2.0**-53


ANSWERS = [  # from the file kat_vectors of the authors' Random123
    ((0, 0, 0, 0), (0, 0), "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        "d16cfe09 94fdcceb 5001e420 24126ea1",
    ),
]


@pytest.mark.parametrize("counter, key, words", ANSWERS)
def test_known_answers(gpu, counter, key, words):
    import cupy

    from tinycnn.backend.gpu import cuda

    asked = """
    extern "C" __global__ void answer(uint* out, const uint64* counter, uint64 key) {
        Words words = philox(key, counter[0], counter[1]);
        for (int i = 0; i < 4; ++i) out[i] = words.word[i];
    }"""
    module = cupy.RawModule(code=cuda.source("random", "float32") + asked, options=("--std=c++17",))
    block, attempt, key = (a | b << 32 for a, b in (counter[:2], counter[2:], key))
    out = cupy.empty(4, np.uint32)
    module.get_function("answer")((1,), (1,), (out, cupy.asarray([block, attempt], np.uint64), np.uint64(key)))
    expected = [int(word, 16) for word in words.split()]
    assert out.get().tolist() == expected
    assert philox(key, np.array([block], np.uint64), attempt).ravel().tolist() == expected


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_uniform_numbers(gpu, dtype):
    generator = gpu.Generator(5)
    first, second, one = generator.random((3, 7), dtype), generator.random(10, dtype), generator.random(dtype=dtype)
    assert (first.dtype, first.shape, second.shape, one.shape) == (dtype, (3, 7), (10,), ())
    a_block = 4 if dtype == np.float32 else 2
    np.testing.assert_array_equal(first.get().ravel(), expected_uniform(5, 21, dtype))
    used = -(-21 // a_block)
    np.testing.assert_array_equal(second.get(), expected_uniform(5, 10, dtype, used))
    assert one.get() == expected_uniform(5, 1, dtype, used + -(-10 // a_block))[0]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_normal_numbers(gpu, dtype):
    u = expected_uniform(3, 22, dtype).astype(np.float64).reshape(11, 2)
    radius, angle = np.sqrt(-2 * np.log(1 - u[:, 0])), 2 * np.pi * u[:, 1]
    expected = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1).ravel()[:21]
    found = gpu.Generator(3).standard_normal((7, 3), dtype)
    assert found.dtype == dtype
    tolerance = 1e-5 if dtype == np.float32 else 1e-13
    np.testing.assert_allclose(found.get().ravel(), expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("low, high", [(0, 5), (-3, 4), (-(2**63), 2**62), (10, 11), (0, 2**63 - 1)])
def test_integers(gpu, low, high):
    """The third range rejects a quarter of all words."""
    size, n, used = 500, high - low, 7
    blocks = np.arange(used, used + size, dtype=np.uint64)
    attempts = [philox(key_of(9), blocks, attempt) for attempt in range(20)]
    words = [[int(b) << 32 | int(a) for a, b in zip(w[0], w[1])] for w in attempts]
    expected = [next(w[i] * n >> 64 for w in words if w[i] * n % 2**64 >= 2**64 % n) + low for i in range(size)]
    generator = gpu.Generator(9)
    generator.integers(10, size=used)
    found = generator.integers(low, high, size)
    assert found.dtype == np.int64
    assert found.get().tolist() == expected
    assert gpu.Generator(9).integers(7, size=(2, 3)).shape == (2, 3)


def test_numbers_do_not_depend_on_the_launch(gpu, monkeypatch):
    def draw():
        g = gpu.Generator(1)
        return [a.get() for a in (g.random(3000), g.standard_normal(999, np.float32), g.integers(0, 9, 2000))]

    before = draw()
    from tinycnn.backend.gpu import launch

    monkeypatch.setattr(launch, "THREADS", 32)
    monkeypatch.setattr(launch, "MAX_BLOCKS", 3)
    for a, b in zip(before, draw()):
        np.testing.assert_array_equal(a, b)


# --- distributions ------------------------------------------------------------------------------------------------


def deviations(found, expected, standard_deviation, count):
    """How many standard deviations of a mean of `count` lie between the two."""
    return abs(found - expected) / (standard_deviation / math.sqrt(count))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_moments(gpu, dtype):
    generator, N = gpu.Generator(0), 200_000
    u, z = generator.random(N, dtype).get(), generator.standard_normal(N, dtype).get().astype(np.float64)
    assert u.min() >= 0
    assert u.max() < 1
    u = u.astype(np.float64)
    assert deviations(u.mean(), 1 / 2, math.sqrt(1 / 12), N) < 4
    assert deviations(u.var(), 1 / 12, math.sqrt(1 / 180), N) < 4
    assert deviations((u[1:] * u[:-1]).mean(), 1 / 4, math.sqrt(7 / 144), N) < 4
    for power, (mean, variance) in {1: (0, 1), 2: (1, 2), 3: (0, 15), 4: (3, 96)}.items():
        assert deviations((z**power).mean(), mean, math.sqrt(variance), N) < 4
    assert deviations((z[1:] * z[:-1]).mean(), 0, 1, N) < 4
    assert deviations((z[2:] * z[:-2]).mean(), 0, 1, N) < 4


def chi_square(counts):
    """As a normal number (Wilson and Hilferty, 1931), for equally likely outcomes."""
    counts = np.asarray(counts)
    degrees, expected = counts.size - 1, counts.mean()
    statistic = ((counts - expected) ** 2 / expected).sum()
    return ((statistic / degrees) ** (1 / 3) - (1 - 2 / (9 * degrees))) / math.sqrt(2 / (9 * degrees))


@pytest.mark.parametrize("low, high", [(0, 2), (0, 5), (-3, 4), (0, 100)])
def test_integers_are_equally_likely(gpu, low, high):
    found = gpu.Generator(1).integers(low, high, 100_000).get()
    counts = np.bincount(found - low, minlength=high - low)
    assert counts.size == high - low
    assert abs(chi_square(counts)) < 4
    pairs = np.bincount((found[::2] - low) * (high - low) + found[1::2] - low, minlength=(high - low) ** 2)
    assert abs(chi_square(pairs)) < 4


def test_permutations(gpu):
    generator = gpu.Generator(2)
    for n in (0, 1, 2, 7, 1000):
        order = generator.permutation(n)
        assert order.dtype == np.int64
        assert sorted(order.get().tolist()) == list(range(n))
    found = [tuple(generator.permutation(4).get().tolist()) for _ in range(2400)]
    counts = [found.count(order) for order in set(found)]
    assert len(counts) == 24
    assert abs(chi_square(counts)) < 4


# --- state --------------------------------------------------------------------------------------------------------


def draws(device=GPU, size=50):
    return tinycnn.randn(size, device=device).cpu().numpy().tolist()


def test_manual_seed_starts_again_in_the_same_memory(gpu):
    tinycnn.manual_seed(3)
    generator = backend.random_generator(GPU)
    assert isinstance(generator, gpu.Generator)
    first, second = draws(), draws()
    address = generator._state.data.ptr
    tinycnn.manual_seed(3)
    assert (draws(), draws()) == (first, second)
    assert first != second
    assert backend.random_generator(GPU) is generator
    assert generator._state.data.ptr == address
    tinycnn.manual_seed(4)
    assert draws() != first


def test_a_generator_that_is_made_later_follows_manual_seed_too(gpu, monkeypatch):
    tinycnn.manual_seed(3)
    first = draws()
    monkeypatch.setattr(backend.random, "_generators", {})
    assert draws() == first


def test_without_a_seed_no_two_are_the_same(gpu):
    assert gpu.Generator().random(4).get().tolist() != gpu.Generator().random(4).get().tolist()


def test_two_devices_have_streams_of_their_own(gpu):
    if backend.gpu_count() < 2:
        pytest.skip("needs two GPUs")
    other = backend.Device.named("cuda", 1)
    tinycnn.manual_seed(0)
    alone = draws(), draws()
    tinycnn.manual_seed(0)
    with_another = draws(), draws(other), draws()
    assert with_another[::2] == alone
    assert with_another[1] not in alone
    assert tinycnn.rand(3, device=other).device == other
    generator = backend.random_generator(other)
    tinycnn.manual_seed(0)
    assert generator.integers(0, 9, 3).device.id == generator.permutation(3).device.id == 1
    assert tinycnn.zeros(3, device=GPU).device == GPU


def test_every_replay_draws_other_numbers(gpu):
    def work():
        generator = backend.random_generator(GPU)
        mask = F.dropout(x, 0.3)
        return generator.random(30, np.float32), generator.integers(0, 10**6, 5), mask._array

    x = tinycnn.ones(20, device=GPU)
    tinycnn.manual_seed(1)
    expected = [[a.get() for a in work()] for _ in range(3)]
    tinycnn.manual_seed(1)
    found, graph = captured(work)
    for values in expected:
        with without_waiting():
            graph.launch()
        for a, b in zip(found, values):
            np.testing.assert_array_equal(a.get(), b)
    with without_waiting():
        tinycnn.manual_seed(1)
        graph.launch()
    np.testing.assert_array_equal(found[0].get(), expected[0][0])


def test_a_capture_does_not_seed(gpu):
    for work in (gpu.Generator, backend.random_generator(GPU).seed):
        with pytest.raises(RuntimeError, match="^random numbers: a generator cannot be made or seeded while"):
            captured(work)


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda g: g.random(3, np.float16), TypeError, "^random: expected float32 or float64, got float16$"),
        (lambda g: g.standard_normal(3, int), TypeError, "^standard_normal: expected float32 or float64, got int64$"),
        (lambda g: g.integers(3, 3), ValueError, "^integers: expected .* low < high < .* got low=3 and high=3$"),
        (lambda g: g.integers(0, 2**63), ValueError, "^integers: expected .* got low=0 and high=9223372036854775808$"),
    ],
)
def test_refuses(gpu, call, error, message):
    with pytest.raises(error, match=message):
        call(gpu.Generator(0))


def test_refuses_more_than_the_kernels_count(gpu):
    class Huge:
        size, dtype = 2**31, np.dtype("float32")

    with pytest.raises(ValueError, match="^random numbers: expected less than 2\\*\\*31 at a time, got 2,147,483,648$"):
        gpu.Generator(0).fill("uniform", Huge())


# --- what draws ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [tinycnn.float32, tinycnn.float64, tinycnn.float16])
@pytest.mark.parametrize("p", [0.3, 0.9, 1.0])
def test_dropout(gpu, p, dtype):
    tinycnn.manual_seed(0)
    x = tinycnn.ones(100, 3, 8, 9, dtype=dtype, device=GPU)
    with without_waiting():
        y = F.dropout(x, p)
    assert (y.dtype, y.shape) == (dtype, x.shape)
    found = y.cpu().numpy().astype(np.float64)
    kept = found != 0
    assert deviations(kept.mean(), 1 - p, math.sqrt(p * (1 - p)) or 1e-9, kept.size) < 4
    np.testing.assert_allclose(found[kept], 1 / max(1 - p, 1e-9), rtol=1e-3 if dtype == tinycnn.float16 else 1e-6)


def test_dropout_keeps_the_memory_order(gpu):
    rng = np.random.default_rng(0)
    for axes in [(0, 1, 2, 3), (3, 0, 1, 2), (1, 2, 3, 0)]:
        x = backend.cupy().asarray(rng.random((5, 4, 3, 2), np.float32)).transpose(axes)
        mask = gpu.dropout_mask(x, 0.5, gpu.Generator(1))
        assert mask.strides == x.strides
        in_memory = mask.transpose(np.argsort([-s for s in mask.strides]).tolist())
        np.testing.assert_array_equal(in_memory.get().ravel() != 0, expected_uniform(1, 120, np.float32) >= 0.5)


@pytest.mark.parametrize("index", [0, 1])
def test_dropout_of_channels(gpu, index):
    if backend.gpu_count() <= index:
        pytest.skip("needs two GPUs")
    x = tinycnn.ones(200, 10, 2, 3, device=f"cuda:{index}")
    y = nn.Dropout2d(0.4)(x).cpu().numpy()
    assert (y == y[:, :, :1, :1]).all()
    assert deviations((y[:, :, 0, 0] != 0).mean(), 0.6, math.sqrt(0.24), 2000) < 4


@pytest.mark.parametrize("index", [0, 1])
def test_creation_and_initial_values(gpu, index):
    if backend.gpu_count() <= index:
        pytest.skip("needs two GPUs")
    device = f"cuda:{index}"
    tinycnn.manual_seed(0)
    assert tinycnn.rand(2, 3, device=device, dtype=tinycnn.float16).dtype == tinycnn.float16
    assert set(tinycnn.randint(2, 5, (200,), device=device).tolist()) == {2, 3, 4}
    assert tinycnn.randint(7, (), device=device).shape == ()
    assert sorted(tinycnn.randperm(9, device=device).tolist()) == list(range(9))
    weight, square = tinycnn.empty(60, 50, device=device), tinycnn.empty(6, 6, device=device)
    for fill, mean, std in [
        (lambda: init.uniform_(weight, -1, 3), 1, 4 / math.sqrt(12)),
        (lambda: init.normal_(weight, 2, 3), 2, 3),
        (lambda: init.kaiming_uniform_(weight), 0, math.sqrt(2 / 50)),
        (lambda: init.xavier_normal_(weight), 0, math.sqrt(2 / 110)),
        (lambda: init.trunc_normal_(weight, a=-1, b=1), 0, math.sqrt(1 - 2 * 0.2419707 / 0.6826895)),
    ]:
        values = fill().cpu().numpy().astype(np.float64)
        assert current_gpu() == 0
        assert weight.device == device
        assert deviations(values.mean(), mean, std, values.size) < 4
        assert values.std() == pytest.approx(std, rel=0.1)
    q = init.orthogonal_(weight).cpu().numpy()
    np.testing.assert_allclose(q.T @ q, np.eye(50), atol=1e-5)
    assert ((init.sparse_(weight, 0.25).cpu().numpy() == 0).sum(0) == 15).all()
    np.testing.assert_array_equal(init.eye_(square).cpu().numpy(), np.eye(6))
    assert current_gpu() == 0
    assert init.constant_(square, 3).cpu().numpy().tolist() == np.full((6, 6), 3).tolist()
