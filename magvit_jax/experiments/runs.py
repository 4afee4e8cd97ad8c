"""Models trained and measured once: a run's result is a JSON file, and a finished one is never made again."""

import dataclasses
import hashlib
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import jax
from ml_collections import ConfigDict

import magvit_jax
from magvit_jax import bundles
from magvit_jax.experiments.models import models
from magvit_jax.experiments.paired import once
from magvit_jax.workflows.train import train

#: What another model starts from is trained once, with this seed, and shared by all seeds.
SHARED_SEED = 0
RESULT, TRAINED = "result.json", "trained.json"


class Scale(Protocol):
    """What the two scales have in common; `name` is "mini" or "paper", `data_name` what runs on, for people."""

    name: str
    data_name: str

    def why_not(self, model: str) -> str:
        """Why a model cannot be made at this scale; "" where it can."""

    def needs(self, model: str) -> Mapping[str, str]:
        """The models that one starts from, by the field of the config."""

    def config(self, model: str, seed: int) -> ConfigDict:
        """The training config; what it starts from is not filled in yet."""

    def asked(self, model: str) -> dict[str, Any]:
        """What a result hangs on besides the config of its training."""

    def measure(self, model: str, workdir: Path, config: ConfigDict) -> dict[str, Any]:
        """The "values" of a trained model by name; and "missing", by name, why one could not be had."""


@dataclasses.dataclass(frozen=True)
class Runs:
    """The runs of one workdir.

    Attributes:
      workdir: runs live in `workdir/runs/MODEL_sSEED_HASH`; the hash is of the config and of what it starts from, so
        that a changed recipe is a new run and never mixed with an old one.
      say: gets a line before each run that is made.
    """

    workdir: Path
    scale: Scale
    say: Callable[[str], None]
    _fingerprints: dict[tuple[str, int], str] = dataclasses.field(default_factory=dict, compare=False)

    def config(self, model: str, seed: int) -> ConfigDict:
        """The training config, with the folders of what it starts from."""
        config = self.scale.config(model, seed)
        for field, need in self.scale.needs(model).items():
            config[field] = str(self.folder(need, SHARED_SEED))
        return config

    def folder(self, model: str, seed: int) -> Path:
        return self.workdir / "runs" / f"{model}_s{seed}_{self.fingerprint(model, seed)}"

    def fingerprint(self, model: str, seed: int) -> str:
        """Eight hex digits over the config and those of the models that it starts from."""
        if (model, seed) not in self._fingerprints:
            config = self.scale.config(model, seed).to_dict()
            needs = {field: self.fingerprint(need, SHARED_SEED) for field, need in self.scale.needs(model).items()}
            text = json.dumps(config | needs, sort_keys=True)
            self._fingerprints[model, seed] = hashlib.sha256(text.encode()).hexdigest()[:8]
        return self._fingerprints[model, seed]

    def trained(self, model: str, seed: int) -> Path:
        """The workdir of its training, finished; whatever it needs is trained before."""
        for need in self.scale.needs(model).values():
            self.trained(need, SHARED_SEED)
        folder = self.folder(model, seed)
        done = folder / TRAINED
        if not done.is_file():
            config = self.config(model, seed)
            self.say(f"training {model}, seed {seed}, {config.training.steps} steps")
            start = time.monotonic()
            train(config, folder)
            # Of an interrupted run, the seconds since it was taken up again.
            once(done, {}, lambda: dict(seconds=round(time.monotonic() - start, 1)))
        return folder

    def result(self, model: str, seed: int) -> dict[str, Any]:
        """The run's result, made now where it is not there yet."""
        asked = dict(model=model, seed=seed, config=models()[model].config, **self.scale.asked(model))
        asked |= dict(fingerprint=self.fingerprint(model, seed))

        def make() -> Mapping[str, Any]:
            folder = self.trained(model, seed)
            self.say(f"measuring {model}, seed {seed}")
            start = time.monotonic()
            measured = self.scale.measure(model, folder, self.config(model, seed))
            trained = json.loads((folder / TRAINED).read_text())
            took = dict(train_seconds=trained["seconds"], measure_seconds=round(time.monotonic() - start, 1))
            return measured | took | dict(parameters=_parameters(folder), made_with=made_with())

        return once(self.folder(model, seed) / RESULT, asked, make)


def made_with() -> dict[str, str]:
    """Versions and device, for the record."""
    device = jax.devices()[0]
    name = f"{device.device_kind} ({device.platform})"
    return dict(magvit_jax=magvit_jax.__version__, jax=jax.__version__, device=name)


def _parameters(folder: Path) -> int:
    """Of the model itself, without the tokenizer that a generator was trained on."""
    bundle = bundles.from_workdir(folder)
    params = bundle.params if bundle.kind == "tokenizer" else bundle.params["transformer"]
    return sum(leaf.size for leaf in jax.tree.leaves(params))
