"""The entropies of LFQ against a float64 table of all codes, value and gradient, in every implementation."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental.pallas.tpu import InterpretParams
from jax.sharding import NamedSharding, PartitionSpec

from magvit_jax.errors import UserError
from magvit_jax.ops import lfq_entropy
from magvit_jax.ops.lfq_entropy.api import IMPLEMENTATIONS, default_implementation
from magvit_jax.ops.lfq_entropy.pallas_tpu import pallas_tpu

pytestmark = pytest.mark.usefixtures("quick_compilation")
SHARDED = PartitionSpec("data")


def naive(z, temperature, weights=None):
    """((per-sample, mean) entropies, (their gradients)) in float64 by the full table, derivatives by hand.

    For q = softmax(a), a_c = -||z - c||^2 / tau: d q_c / d z_i = q_c (2 / tau) (c_i - E_q[c_i]).
    """
    z = np.asarray(z, np.float64)
    rows, bits = z.shape
    weights = np.ones(rows) if weights is None else np.asarray(weights, np.float64)
    weights = weights / weights.sum()
    codes = 2.0 * ((np.arange(2**bits)[:, None] >> np.arange(bits)) & 1) - 1.0
    scores = -(z**2).sum(1)[:, None] + 2 * z @ codes.T - bits  # -||z - c||^2
    scores = scores / temperature
    q = np.exp(scores - scores.max(1, keepdims=True))
    q /= q.sum(1, keepdims=True)
    mean = weights @ q

    def entropy_and_slope(p):
        log = np.log(np.where(p > 0, p, 1.0))
        return -(p * log).sum(-1), -(log + 1.0)

    def pull(slope_NV):  # gradient with respect to z of sum_n w_n q_n . slope_n
        product = q * slope_NV
        return (
            weights[:, None] * (2 / temperature) * (product @ codes - product.sum(1)[:, None] * (q @ codes))
        )

    sample, sample_slope = entropy_and_slope(q)
    total, total_slope = entropy_and_slope(mean)
    return (weights @ sample, total), (pull(sample_slope), pull(np.broadcast_to(total_slope, q.shape)))


def entropies(z, temperature, mask=None, axis_name=None, implementation=None):
    """The op; the TPU's kernel interpreted, which the op itself refuses to do. The plain interpreter is ten times
    faster and does not run inside `shard_map`."""
    if implementation != "pallas_tpu":
        return lfq_entropy(z, temperature, mask, axis_name, implementation)
    z, temperature = z.astype(jnp.float32), jnp.float32(temperature)
    interpret = True if axis_name is None else InterpretParams()
    return pallas_tpu(z, temperature, mask, axis_name, None, jax.lax.Precision.HIGHEST, interpret=interpret)


@functools.partial(jax.jit, static_argnames="implementation")  # compiled once a shape, for all tests
def value_and_gradients(z, temperature, mask=None, implementation=None):
    value, pullback = jax.vjp(lambda z: entropies(z, temperature, mask, None, implementation), z)
    one, zero = jnp.float32(1.0), jnp.float32(0.0)
    return value, (pullback((one, zero))[0], pullback((zero, one))[0])


def assert_matches(actual, expected, tolerance=5e-5):
    (values, gradients), (expected_values, expected_gradients) = actual, expected
    np.testing.assert_allclose(values, expected_values, rtol=1e-5, atol=1e-6)
    for gradient, expected_gradient in zip(gradients, expected_gradients, strict=True):
        distance = np.linalg.norm(np.asarray(gradient, np.float64) - expected_gradient)
        assert distance <= tolerance * np.linalg.norm(expected_gradient) + 1e-7


class TestEveryImplementation:
    @pytest.mark.parametrize(
        ("implementation", "bits"),
        [
            *(("factorized", bits) for bits in (1, *range(4, 15))),
            *(("pallas_tpu", bits) for bits in (1, 11)),
            *(("reference", bits) for bits in (1, 4, 9, 14)),
        ],
    )
    def test_against_float64(self, implementation, bits):
        rows = 33 if bits % 2 else 20
        z = 0.1 * jax.random.normal(jax.random.key(bits), (rows, bits))
        for temperature in (1.0, 0.05):
            actual = value_and_gradients(z, temperature, implementation=implementation)
            assert_matches(actual, naive(z, temperature))

    @pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
    def test_masked_rows_do_not_count(self, implementation):
        z = 0.1 * jax.random.normal(jax.random.key(0), (31, 6))
        mask = jax.random.bernoulli(jax.random.key(1), 0.6, (31,))
        actual = value_and_gradients(z, 0.1, mask=mask, implementation=implementation)
        assert_matches(actual, naive(z, 0.1, mask))
        np.testing.assert_allclose(actual[0], naive(np.asarray(z)[np.asarray(mask)], 0.1)[0], rtol=1e-5)
        assert not np.any(np.asarray(actual[1])[:, ~np.asarray(mask)])

    @pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
    def test_weighted_rows(self, implementation):
        z = 0.1 * jax.random.normal(jax.random.key(0), (31, 6))
        weights = jax.random.uniform(jax.random.key(1), (31,))
        assert_matches(
            value_and_gradients(z, 0.1, mask=weights, implementation=implementation), naive(z, 0.1, weights)
        )

    @pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
    def test_nothing_valid_is_zero_not_nan(self, implementation):
        z = jax.random.normal(jax.random.key(0), (31, 6))
        values, gradients = value_and_gradients(
            z, 0.1, mask=jnp.zeros(31, bool), implementation=implementation
        )
        assert values == (0.0, 0.0) and not np.any(gradients)

    @pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
    def test_cells_that_are_exactly_zero(self, implementation):
        """All rows at one corner: most of the table is 0 in float32, where autodiff of x log x makes NaN."""
        z = jnp.ones((20, 8)) * 3.0
        values, gradients = value_and_gradients(z, 0.01, implementation=implementation)
        np.testing.assert_allclose(values, (0.0, 0.0), atol=1e-6)
        assert np.all(np.isfinite(gradients))

    @pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
    def test_bfloat16_input_is_computed_in_float32(self, implementation):
        z = (0.1 * jax.random.normal(jax.random.key(0), (40, 8))).astype(jnp.bfloat16)
        values, gradients = value_and_gradients(z, 0.05, implementation=implementation)
        expected_values, expected_gradients = naive(z, 0.05)
        assert values[0].dtype == values[1].dtype == jnp.float32
        np.testing.assert_allclose(values, expected_values, rtol=1e-5)
        assert gradients[1].dtype == jnp.bfloat16
        distance = np.linalg.norm(np.asarray(gradients[1], np.float64) - expected_gradients[1])
        assert distance < 0.004 * np.linalg.norm(expected_gradients[1])

    @pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
    def test_vmap_is_one_call_an_example(self, implementation):
        z = 0.1 * jax.random.normal(jax.random.key(0), (3, 10, 6))
        together = jax.jit(jax.vmap(lambda z: entropies(z, 0.1, implementation=implementation)))(z)
        for i in range(3):
            np.testing.assert_allclose([e[i] for e in together], naive(z[i], 0.1)[0], rtol=1e-5)


@pytest.fixture(scope="module")
def mesh():
    return jax.make_mesh((8,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))


@pytest.fixture(scope="module")
def rows():
    """z of 64 rows whose mean drifts from device to device, and a mask."""
    z = 0.1 * jax.random.normal(jax.random.key(0), (64, 8)) + jnp.linspace(-0.2, 0.2, 64)[:, None]
    return z, jax.random.bernoulli(jax.random.key(1), 0.7, (64,))


class TestOverDevices:
    @pytest.mark.parametrize("implementation", ["factorized", "reference"])  # XLA cannot split a kernel
    def test_jit_with_sharded_rows(self, mesh, rows, implementation):
        z, mask = (jax.device_put(array, NamedSharding(mesh, SHARDED)) for array in rows)
        actual = value_and_gradients(z, 0.1, mask=mask, implementation=implementation)
        assert_matches(actual, naive(rows[0], 0.1, rows[1]))

    def test_jit_moves_the_table_and_nothing_else(self, mesh, rows):
        z = jax.device_put(rows[0], NamedSharding(mesh, SHARDED))
        text = jax.jit(lambda z: lfq_entropy(z, 0.1)).lower(z).compile().as_text()
        assert "f32[16,16]" in "".join(line for line in text.splitlines() if "all-reduce(" in line)
        assert "all-gather(" not in text and "all-to-all(" not in text

    @pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
    @pytest.mark.parametrize("inside", [False, True], ids=["grad_outside", "grad_inside"])
    def test_shard_map_with_axis_name(self, mesh, rows, implementation, inside):
        def per_device(z, mask):
            return entropies(z, 0.1, mask, "data", implementation)

        def penalty(z, mask, function):
            sample, mean = function(z, mask)
            return sample - mean

        if inside:
            gradient = jax.shard_map(
                lambda z, mask: jax.grad(penalty)(z, mask, per_device),
                mesh=mesh, in_specs=(SHARDED, SHARDED), out_specs=SHARDED,
            )  # fmt: skip
        else:
            mapped = jax.shard_map(
                per_device,
                mesh=mesh,
                in_specs=(SHARDED, SHARDED),
                out_specs=(PartitionSpec(), PartitionSpec()),
            )
            np.testing.assert_allclose(jax.jit(mapped)(*rows), naive(rows[0], 0.1, rows[1])[0], rtol=1e-5)
            gradient = jax.grad(lambda z, mask: penalty(z, mask, mapped))
        sample, mean = naive(rows[0], 0.1, rows[1])[1]
        actual = np.asarray(jax.jit(gradient)(*rows), np.float64)
        assert np.linalg.norm(actual - (sample - mean)) < 1e-4 * np.linalg.norm(sample - mean)

    def test_the_mean_over_devices_would_be_another_number(self, rows):
        """Guards the test above: averaging each device's own entropy is not the entropy of all rows."""
        split = [naive(part, 0.1)[0][1] for part in np.split(np.asarray(rows[0]), 8)]
        assert abs(np.mean(split) - naive(rows[0], 0.1)[0][1]) > 0.1


class TestLargeVocabularies:
    @pytest.mark.parametrize("std", [0.01, 0.1, 1.0, 10.0])
    def test_finite_at_18_bits(self, std):
        z = std * jax.random.normal(jax.random.key(0), (1280, 18))
        (sample, mean), gradients = value_and_gradients(z, 0.01)
        assert 0.0 <= sample <= mean + 1e-4 <= min(18 * np.log(2), sample + np.log(1280)) + 1e-2
        assert np.all(np.isfinite(gradients))

    def test_uniform_use_reads_18_bits(self):
        """z = 0 makes all codes equally likely; an eps of 1e-5 in the log would read 11.19 nats."""
        sample, mean = jax.jit(lfq_entropy)(jnp.zeros((4, 18)), 0.01)
        np.testing.assert_allclose([sample, mean], 18 * np.log(2), rtol=1e-6)

    def test_gradient_at_18_bits_against_float64(self):
        z = 0.003 * jax.random.normal(jax.random.key(0), (8, 18))
        assert_matches(value_and_gradients(z, 0.01), naive(z, 0.01), tolerance=1e-5)

    # The reference takes the softmax of distances of about 1,400, whose last digit is 1e-4.
    @pytest.mark.parametrize(("implementation", "tolerance"), [("factorized", 2e-5), ("reference", 3e-4)])
    def test_gradient_near_uniform_use(self, implementation, tolerance):
        """All 2^14 cells nearly equal: their logarithms are -9.7, and what differs is in the last digits."""
        z = 0.0003 * jax.random.normal(jax.random.key(0), (64, 14))
        found = value_and_gradients(z, 0.01, implementation=implementation)
        assert_matches(found, naive(z, 0.01), tolerance=tolerance)

    @pytest.mark.parametrize("split", [0, 3, 12])
    def test_any_split_of_the_bits(self, split):
        z = 0.02 * jax.random.normal(jax.random.key(0), (40, 12))
        run = jax.value_and_grad(lambda z: lfq_entropy(z, 0.05, split=split)[1])
        value, gradient = jax.jit(run)(z)
        (_, expected), (_, expected_gradient) = naive(z, 0.05)
        np.testing.assert_allclose(value, expected, rtol=1e-5)
        assert np.linalg.norm(gradient - expected_gradient) < 1e-5 * np.linalg.norm(expected_gradient)

    def test_24_bits(self):
        """Independent fair bits beside 22 that are settled: 2 log 2, in a table of 2^24 cells."""
        z = jnp.concatenate([jnp.ones((4, 22)), jnp.zeros((4, 2))], axis=1)
        np.testing.assert_allclose(jax.jit(lfq_entropy)(z, 0.01), [2 * np.log(2)] * 2, rtol=1e-5)


def test_gradient_descent_spreads_the_codes():
    """The second term's gradient uses codes more evenly: what it is there for."""
    z = 0.2 + 0.05 * jax.random.normal(jax.random.key(0), (256, 6))
    step = jax.jit(jax.value_and_grad(lambda z: -lfq_entropy(z, 0.1)[1]))
    before, gradient = step(z)
    for _ in range(60):
        z = z - 10.0 * gradient
        after, gradient = step(z)
    assert -before < 3.0 < 4.0 < -after <= 6 * np.log(2) + 1e-5


def test_traced_temperature_gets_its_gradient():
    z = 0.1 * jax.random.normal(jax.random.key(0), (20, 6))
    slope = jax.jit(jax.grad(lambda t: lfq_entropy(z, t)[1]))(jnp.float32(0.2))
    expected = (naive(z, 0.2 + 1e-5)[0][1] - naive(z, 0.2 - 1e-5)[0][1]) / 2e-5
    np.testing.assert_allclose(slope, expected, rtol=1e-3)


def test_default_implementation():
    assert [default_implementation(b) for b in ("cpu", "gpu", "tpu")] == ["factorized", "factorized", "pallas_tpu"]


@pytest.mark.parametrize(
    ("message", "z", "arguments"),
    [
        ("'cuda' is not one of factorized, pallas_tpu, ref", jnp.zeros((4, 4)), {"implementation": "cuda"}),
        ("'pallas_tpu' needs a TPU; the backend is 'cpu'", jnp.zeros((4, 4)), {"implementation": "pallas_tpu"}),
        ("25 bits, 'factorized' takes .* 1 to 24", jnp.zeros((4, 25)), {}),
        ("15 bits, 'reference' takes .* 1 to 14", jnp.zeros((4, 15)), {"implementation": "reference"}),
        ("0 rows", jnp.zeros((0, 4)), {}),
        ("split is 5, expected 0 to 4", jnp.zeros((4, 4)), {"split": 5}),
        ("'reference' splits no bits, got split=2", jnp.zeros((4, 4)), {"implementation": "reference", "split": 2}),
        ("expected floats", jnp.zeros((2, 4, 4)), {}),
        ("expected floats", jnp.zeros((4, 4), jnp.int32), {}),
        ("mask has shape", jnp.zeros((4, 4)), {"mask": jnp.ones((3,), bool)}),
    ],
)
def test_bad_arguments(message, z, arguments):
    with pytest.raises(UserError, match=message):
        lfq_entropy(z, 0.1, **arguments)
