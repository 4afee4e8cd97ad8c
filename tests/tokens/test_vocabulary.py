import jax.numpy as jnp
import numpy as np
import pytest

from magvit_jax.errors import UserError
from magvit_jax.tokens import Vocabulary

VOCABULARY = Vocabulary(codes=1024, num_classes=3, tasks=("frame_prediction", "class_conditional"))


def test_ids_follow_the_written_out_layout():
    v = VOCABULARY
    assert [v.class_id(0), v.class_id(2), v.class_id(None), v.unconditional_id] == [1024, 1026, 1027, 1027]
    assert [v.mask_id, v.prompt_id("frame_prediction"), v.prompt_id("class_conditional")] == [1028, 1029, 1030]
    assert (v.size, v.num_special) == (1031, 7)


def test_prefix_has_both_tokens_and_minus_one_is_unconditional():
    prefix_B2 = VOCABULARY.prefix(jnp.array([0, 1, 1]), jnp.array([-1, 0, 2]))
    np.testing.assert_array_equal(prefix_B2, [[1029, 1027], [1030, 1024], [1030, 1026]])
    assert prefix_B2.dtype == jnp.int32


def test_mistakes_name_what_is_known():
    with pytest.raises(UserError, match="frame_prediction, class_conditional"):
        VOCABULARY.prompt_id("inpainting")
    with pytest.raises(UserError, match="label 3"):
        VOCABULARY.class_id(3)
    with pytest.raises(UserError, match="different names"):
        Vocabulary(codes=8, num_classes=0, tasks=("a", "a"))
