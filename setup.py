"""Packaging of magvit_jax; the build system and the tools' settings are in pyproject.toml."""

from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
VERSION = next(
    line.split('"')[1]
    for line in (HERE / "magvit_jax" / "__init__.py").read_text().splitlines()
    if line.startswith("__version__")
)

CONFIGS = ["magvit_jax.configs"] + [
    f"magvit_jax.configs.{folder.name}"
    for folder in sorted((HERE / "configs").iterdir())
    if folder.is_dir() and folder.name != "__pycache__"
]

# So do the thesis's tables, as magvit_jax/experiments/thesis.
CHAPTERS = sorted(folder.name for folder in (HERE / "experiments").iterdir() if folder.name.startswith("chapter"))
TABLES = ["magvit_jax.experiments.thesis"] + [f"magvit_jax.experiments.thesis.{name}" for name in CHAPTERS]

setup(
    name="magvit_jax",
    version=VERSION,
    description="Video tokenizers and generative video transformers (MAGVIT, MAGVIT-v2, VideoPoet) in JAX/Flax.",
    long_description=(HERE / "README.md").read_text() if (HERE / "README.md").exists() else "",
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.11",
    # The configs stand at the top of the repository and travel in the wheel as magvit_jax/configs.
    packages=find_packages(include=["magvit_jax", "magvit_jax.*"]) + CONFIGS + TABLES,
    package_dir={"magvit_jax.configs": "configs", "magvit_jax.experiments.thesis": "experiments"},
    package_data={"magvit_jax.evaluation": ["assets/*/*"]}  # the network of fd_small
    | {name: ["*.toml"] for name in TABLES},
    install_requires=[
        "jax>=0.10.2",
        "flax>=0.12.8",
        "optax>=0.2.8",
        "orbax-checkpoint>=0.12.8",
        "grain>=0.2.18",
        "array_record>=0.8.6",
        "ml-collections>=1.1.0",
        "clu>=0.0.12",
        "numpy>=2.4",
        "imageio>=2.38",
        "av>=18.1",
        "pillow>=13.0",
        "safetensors>=0.8",
        "scikit-learn>=1.9",
        "scipy>=1.17",
        "absl-py>=2.5",
    ],
    extras_require={
        "test": ["pytest>=9.2", "pytest-xdist>=3.8", "ruff>=0.17", "scikit-image>=0.26"],
        "tpu": ["jax[tpu]>=0.10.2"],
        # The TPU's compiler alone, newer than the one jax wants for running: what docs/benchmarks.md was made with.
        "aot": ["libtpu>=0.0.52"],
        "cuda": ["jax[cuda13]>=0.10.2"],
        "tensorboard": ["tensorflow-cpu>=2.21", "tensorboard"],
        # An extra: it brings a package without a wheel (promise) and 170 MB of pyarrow, for one source of data.
        "tfds": ["tensorflow-datasets>=4.9.10"],
        "torch": ["torch>=2.10"],  # reads checkpoints of others
        "text": ["sentencepiece>=0.2", "ftfy>=6.3"],  # tokenizers of T5 and of CLIP for more than ASCII
        "oracles": [
            "vector-quantize-pytorch",
            "transformers>=5.23",
            "pytorch-msssim>=1.0",
            "nltk>=3.10",
            "sacrebleu>=2.6",
        ],
    },
    entry_points={"console_scripts": ["magvit = magvit_jax.cli.main:main"]},
    classifiers=["License :: OSI Approved :: Apache Software License", "Programming Language :: Python :: 3"],
)
