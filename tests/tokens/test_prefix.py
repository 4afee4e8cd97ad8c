"""Condition tokens packed into slots."""

import jax.numpy as jnp
import numpy as np
import pytest

from magvit_jax.errors import UserError
from magvit_jax.tokens.prefix import pack, require_room

IDS = jnp.asarray([[10, 11, 12, 13, 14, 15], [20, 21, 22, 23, 24, 25]])
REGION = jnp.asarray([[0, 1, 0, 1, 1, 0], [0, 0, 0, 0, 0, 1]], bool)


def test_tokens_of_the_region_come_first_in_their_order():
    found = pack(IDS, REGION, 3)
    np.testing.assert_array_equal(found.used_BM, [[True, True, True], [True, False, False]])
    np.testing.assert_array_equal(found.ids_BM[0], [11, 13, 14])
    np.testing.assert_array_equal(found.place_BM[0], [1, 3, 4])
    assert (int(found.ids_BM[1, 0]), int(found.place_BM[1, 0])) == (25, 5)
    assert found.ids_BM.dtype == found.place_BM.dtype == jnp.int32


def test_slots_that_are_left_over_are_unused_but_hold_real_places():
    found = pack(IDS, REGION, 5)
    np.testing.assert_array_equal(np.sum(found.used_BM, axis=1), [3, 1])
    assert int(found.place_BM.max()) < 6
    assert pack(IDS, REGION, 0).ids_BM.shape == (2, 0)


def test_a_region_that_does_not_fit_is_refused():
    require_room(np.asarray(REGION), 3)
    with pytest.raises(UserError, match="3 condition tokens: expected at most 2"):
        require_room(np.asarray(REGION), 2)
