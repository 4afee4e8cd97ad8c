"""Tensors out of checkpoint files, without running anything that a pickle holds."""

import os
import re
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file

from magvit_jax.errors import UserError

TORCH_SUFFIXES = (".ckpt", ".pt", ".pth", ".bin")
SAFETENSORS_SUFFIX = ".safetensors"
NUMPY_SUFFIX = ".npz"
MIN_TORCH = (2, 10)  # before it a crafted file could get around `weights_only=True`


def read_tensors(path: str | os.PathLike) -> dict[str, Any]:
    """Tensors by key, in the file's order, as numpy arrays; bfloat16 becomes float32.

    Of a training checkpoint that is its "state_dict". An entry that is no tensor is given as it is.

    Args:
      path: a file of PyTorch (.ckpt, .pt, .pth, .bin), which takes the extra `torch`, .safetensors, or .npz.

    Raises:
      UserError: no such file, a file of another kind or a damaged one, a pickle that holds more than tensors,
        numbers and plain containers, or PyTorch is missing.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: no such file; expected a checkpoint")
    if path.suffix == SAFETENSORS_SUFFIX:
        return _read_safetensors(path)
    if path.suffix in TORCH_SUFFIXES:
        return _read_torch(path)
    if path.suffix == NUMPY_SUFFIX:
        return _read_npz(path)
    known = ", ".join((*TORCH_SUFFIXES, SAFETENSORS_SUFFIX, NUMPY_SUFFIX))
    raise UserError(f"{path}: ends in {path.suffix!r}; expected a checkpoint that ends in one of {known}")


def _read_safetensors(path: Path) -> dict[str, np.ndarray]:
    try:
        return {key: _float32_if_narrow(value) for key, value in load_file(path).items()}
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise UserError(f"{path}: not readable as safetensors: {_one_line(error)}") from error


def _read_npz(path: Path) -> dict[str, np.ndarray]:
    try:
        # Opened here: where NumPy finds no archive in it, it leaves the file open.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as opened:
            return {key: opened[key] for key in opened.files}
    except (OSError, ValueError, EOFError, TypeError, zipfile.BadZipFile, zlib.error) as error:
        raise UserError(f"{path}: not readable as arrays of NumPy: {_one_line(error)}") from error


def _float32_if_narrow(value: np.ndarray) -> np.ndarray:
    return value.astype(np.float32) if value.dtype.name == "bfloat16" else value


def _read_torch(path: Path) -> dict[str, Any]:
    torch = _import_torch(path)
    try:
        # Mapped, a file of gigabytes costs only what is taken out of it.
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except Exception as error:  # a damaged file fails anywhere in the unpickler, with any exception
        raise UserError(f"{path}: {_reason(error)}") from error
    if not isinstance(content, Mapping):
        raise UserError(
            f"{path}: holds a {type(content).__name__}; expected a dict of tensors or with a 'state_dict'"
        )
    state = content.get("state_dict", content)
    if not isinstance(state, Mapping):
        raise UserError(f"{path}: its key state_dict is a {type(state).__name__}; expected a dict of tensors")
    return {str(key): _to_numpy(torch, value) for key, value in state.items()}


def _import_torch(path: Path) -> Any:
    try:
        import torch
    except ImportError as error:
        raise UserError(
            f"{path}: reading it needs PyTorch, which is not installed: pip install 'magvit_jax[torch]'"
        ) from error
    if tuple(map(int, re.findall(r"\d+", torch.__version__)[:2])) < MIN_TORCH:
        raise UserError(
            f"{path}: PyTorch {torch.__version__} does not read pickles safely; expected "
            f"{'.'.join(map(str, MIN_TORCH))} or newer: pip install -U 'magvit_jax[torch]'"
        )
    return torch


def _to_numpy(torch: Any, value: Any) -> Any:
    if not isinstance(value, torch.Tensor):
        return value
    value = value.detach()
    return (value.float() if value.dtype == torch.bfloat16 else value).numpy()


def _reason(error: Exception) -> str:
    """What PyTorch's paragraphs of advice come down to."""
    message = _one_line(error)
    if forbidden := re.search(r"GLOBAL (\S+)", message):
        return (
            f"refused: its pickle asks for {forbidden[1]}, which could run code; expected tensors, numbers and plain "
            "containers only, as in a state_dict that is saved alone"
        )
    if "Weights only load failed" in message:
        message = re.sub(r".*WeightsUnpickler error:|Check the documentation of .*", "", message).strip()
    return f"not readable as a PyTorch checkpoint: {message or 'it ends too early'}"


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
