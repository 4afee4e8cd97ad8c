"""VGGish under the keys of the public PyTorch port (harritaylor/torchvggish)."""

from collections.abc import Mapping

import jax
import numpy as np

from magvit_jax.converters.pretrained import by_name
from magvit_jax.converters.pretrained.files import Source
from magvit_jax.pretrained.language import vggish
from magvit_jax.pretrained.networks import abstract_params

#: Places in the two lists of layers, which count activations and poolings.
_MODULES = {
    "stage0_conv0": "features.0",
    "stage1_conv0": "features.3",
    "stage2_conv0": "features.6",
    "stage2_conv1": "features.8",
    "stage3_conv0": "features.11",
    "stage3_conv1": "features.13",
    "hidden0": "embeddings.0",
    "hidden1": "embeddings.2",
    "embedding": "embeddings.4",
}


def arrays(source: Source) -> dict[str, np.ndarray]:
    """Our arrays by path. UserError naming the first key that does not fit."""
    return network_arrays(abstract_params(vggish(np.float32)), source)


def network_arrays(expected: Mapping[str, jax.ShapeDtypeStruct], source: Source) -> dict[str, np.ndarray]:
    """Our arrays by path, of a network of these shapes."""
    return by_name.arrays(source, expected, key_of)


def key_of(path: str) -> str:
    """"stage1_conv0/kernel" is "features.3.weight"."""
    module, _, leaf = path.partition("/")
    return f"{_MODULES[module]}.{by_name.LEAVES[leaf]}"
