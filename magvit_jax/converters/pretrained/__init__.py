"""Published weights of the frozen networks, made into bundles that `magvit_jax.pretrained` loads."""

import functools
from collections.abc import Callable, Mapping

import numpy as np

from magvit_jax.converters.pretrained import c3d, clip, i3d, inception, lpips, resnet, t5, vggish
from magvit_jax.converters.pretrained.files import Source
from magvit_jax.pretrained.clip import CLIP_SIZES
from magvit_jax.pretrained.t5 import T5_SIZES

#: By the names of `pretrained.NETWORKS`: from the published files, in the row's order, to our arrays by path.
CONVERTERS: Mapping[str, Callable[..., dict[str, np.ndarray]]] = {
    "i3d": i3d.arrays,
    "c3d_ucf101": c3d.arrays,
    "inception": inception.arrays,
    "lpips_vgg": lpips.vgg,
    "lpips_alex": lpips.alex,
    "resnet50": resnet.arrays,
    "vggish": vggish.arrays,
    **{name: functools.partial(clip.arrays, name) for name in CLIP_SIZES},
    **{name: functools.partial(t5.arrays, name) for name in T5_SIZES},
}

__all__ = ["CONVERTERS", "Source"]
