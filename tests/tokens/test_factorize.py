import jax.numpy as jnp
import numpy as np
import pytest

from magvit_jax.errors import UserError
from magvit_jax.tokens import join, split, sub_codes
from magvit_jax.tokens.factorize import join_widths, split_widths


def test_split_puts_the_low_bits_first():
    ids = jnp.array([[0b101_000_011, 0b000_111_001]])
    np.testing.assert_array_equal(split(ids, 3, 9), [[[0b011, 0b000, 0b101], [0b001, 0b111, 0b000]]])


@pytest.mark.parametrize("factors", [1, 2, 3, 6])
def test_join_inverts_split_on_every_end_of_eighteen_bits(factors):
    ids = jnp.concatenate([jnp.arange(100), jnp.arange(2**18 - 100, 2**18)])
    parts = split(ids, factors, 18)
    assert parts.shape == (200, factors) and int(parts.max()) < sub_codes(2**18, factors)
    np.testing.assert_array_equal(join(parts, factors, 18), ids)


def test_unequal_subspaces_are_refused_but_one_factor_takes_any_size():
    assert sub_codes(1000, 1) == 1000
    assert sub_codes(2**18, 2) == 512
    with pytest.raises(UserError, match="4 factors"):
        sub_codes(2**18, 4)
    with pytest.raises(UserError, match="power of two"):
        sub_codes(1000, 2)
    with pytest.raises(UserError, match="10 bits"):
        split(jnp.zeros((2,), jnp.int32), 3, 10)


def test_unequal_widths_written_out_and_inverted():
    ids = jnp.array([0b000011110000_101001])
    np.testing.assert_array_equal(split_widths(ids, (6, 12)), [[0b101001, 0b000011110000]])
    ends = jnp.concatenate([jnp.arange(100), jnp.arange(2**18 - 100, 2**18)])
    for widths in ((6, 12), (12, 6), (1, 4, 13)):
        parts = split_widths(ends, widths)
        assert all(int(parts[:, i].max()) < 2**width for i, width in enumerate(widths))
        np.testing.assert_array_equal(join_widths(parts, widths), ends)
    with pytest.raises(UserError, match="expected a last axis of 2 factors"):
        join_widths(jnp.zeros((5, 3), jnp.int32), (6, 12))
