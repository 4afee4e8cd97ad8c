"""The networks that see: their modules, and how pixels are prepared for each.

Callers hand over RGB pixels, uint8 in [0, 255] or float in [0, 1]: clips [B, T, H, W, 3] or pictures
[N, H, W, 3].
"""

from collections.abc import Callable

import jax.numpy as jnp

from magvit_jax.pretrained import resnet
from magvit_jax.pretrained.c3d import C3D, CLIP
from magvit_jax.pretrained.definition import Definition, floats, unit_float
from magvit_jax.pretrained.i3d import I3D
from magvit_jax.pretrained.inception import InceptionV3
from magvit_jax.pretrained.lpips import ALEXNET, VGG16, Layer, LpipsMaps
from magvit_jax.pretrained.resize import resize
from magvit_jax.pretrained.resnet import ResNet50
from magvit_jax.typing import Array, Dtype

I3D_SIZE, INCEPTION_SIZE = (224, 224), (299, 299)
# Pictures of this size stand for others: these networks take any.
_ANY = (1, 64, 64, 3)


def i3d(dtype: Dtype) -> Definition:
    """I3D on clips of at least 9 frames."""
    return Definition(I3D(dtype=dtype), (floats(1, 9, *I3D_SIZE, 3),), for_i3d)


def c3d_ucf101(dtype: Dtype) -> Definition:
    """C3D on clips of 16 frames."""
    return Definition(C3D(dtype=dtype), (floats(1, *CLIP, 3),), for_c3d)


def inception(dtype: Dtype) -> Definition:
    """Inception-v3 of FID on pictures."""
    return Definition(InceptionV3(dtype=dtype), (floats(1, *INCEPTION_SIZE, 3),), for_inception)


def lpips_vgg(dtype: Dtype) -> Definition:
    """VGG16 with the heads of LPIPS v0.1, on pictures of at least 32 x 32."""
    return _lpips(VGG16, dtype)


def lpips_alex(dtype: Dtype) -> Definition:
    """AlexNet with the heads of LPIPS v0.1, on pictures of at least 32 x 32."""
    return _lpips(ALEXNET, dtype)


def _lpips(layers: tuple[Layer, ...], dtype: Dtype) -> Definition:
    return Definition(LpipsMaps(layers, dtype), (floats(*_ANY),), for_lpips)


def resnet50(dtype: Dtype) -> Definition:
    """ResNet-50 on pictures of any size."""
    return Definition(ResNet50(dtype), (floats(*_ANY),), for_resnet)


def for_i3d(video_BTHWC: Array) -> Array:
    """Clips as the reference implementation of FVD prepares them: 224 x 224, in [-1, 1]."""
    return resize(unit_float(video_BTHWC), I3D_SIZE, "corner") * 2 - 1


def for_c3d(video_BTHWC: Array) -> Array:
    """Clips as MAGVIT's authors prepare them after TGANv2: 112 x 112, BGR in [0, 255]."""
    return jnp.flip(resize(unit_float(video_BTHWC), CLIP[1:], "aligned"), axis=-1) * 255


def for_inception(x_NHWC: Array) -> Array:
    """Pictures as the graph of FID itself prepares them: 299 x 299, (pixel - 128) / 128."""
    return (resize(unit_float(x_NHWC), INCEPTION_SIZE, "corner") * 255 - 128) / 128


def for_lpips(x_NHWC: Array) -> Array:
    """Pictures in [-1, 1], at their own size."""
    return unit_float(x_NHWC) * 2 - 1


def for_resnet(x_NHWC: Array) -> Array:
    """Pictures normalised by ImageNet's statistics, at their own size."""
    x_NHWC = unit_float(x_NHWC)
    mean, deviation = (
        jnp.broadcast_to(jnp.asarray(value, jnp.float32), x_NHWC.shape)
        for value in (resnet.MEAN, resnet.DEVIATION)
    )
    return (x_NHWC - mean) / deviation


#: By the names of `pretrained.NETWORKS`.
VISION: dict[str, Callable[[Dtype], Definition]] = {
    "i3d": i3d,
    "c3d_ucf101": c3d_ucf101,
    "inception": inception,
    "lpips_vgg": lpips_vgg,
    "lpips_alex": lpips_alex,
    "resnet50": resnet50,
}
