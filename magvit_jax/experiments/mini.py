"""The papers' configs shrunk to minutes on two cores, by the settings of `experiments/mini.toml`."""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from magvit_jax import bundles, data
from magvit_jax.errors import UserError
from magvit_jax.evaluation.small_features import shipped
from magvit_jax.experiments import files, measures, multimodal_measures
from magvit_jax.experiments.models import models

MEASURES = ("reconstruction", "generation", "multimodal", "time")
BATCH = 64
#: Of the clips that all runs are measured on; no run trains with it.
MEASURED_SEED = 1000


@dataclasses.dataclass(frozen=True)
class Group:
    """Settings by which models are shrunk and measured.

    Attributes:
      set: overrides "key=value" of the config, those of `like` first.
      steps: of training.
      measure: one of `MEASURES`.
      clips: held-out clips that are measured.
      read: frames of each that are read; 0 for as many as the model is trained on.
      frames: frames of it that are compared, the first ones; 0 for all.
      scratch: start from nothing, also where the thesis starts from another model (`init_from`).
      clips_of: the groups CLIPS_OF_embedded and CLIPS_OF_videos say what the clips are.
    """

    set: tuple[str, ...] = ()
    steps: int = 0
    measure: str = ""
    clips: int = 0
    read: int = 0
    frames: int = 0
    scratch: bool = False
    clips_of: str = "data"


@dataclasses.dataclass(frozen=True)
class Scale:
    """What "mini" means: groups by name, and the clips.

    Attributes:
      groups: of `experiments/mini.toml`.
      videos: the user's own videos; None for the embedded clips.
      steps, clips: in place of every group's own; 0 keeps them.
    """

    groups: Mapping[str, Group]
    videos: Path | None = None
    steps: int = 0
    clips: int = 0
    name = "mini"

    @property
    def data_name(self) -> str:
        return "the embedded moving digits" if self.videos is None else f"the videos in {self.videos.name}"

    def group(self, model: str) -> Group:
        """The settings of a model, with this scale's own."""
        group = self.groups[models()[model].mini]
        return dataclasses.replace(group, steps=self.steps or group.steps, clips=self.clips or group.clips)

    def why_not(self, model: str) -> str:
        """Why a model cannot be made at this scale; "" where it can."""
        return "" if models()[model].mini else models()[model].why_not_mini

    def asked(self, model: str) -> dict[str, Any]:
        """What a result hangs on besides the config of its training."""
        group = self.group(model)
        measured = dict(measure=group.measure, clips_at_most=group.clips, read=group.read, frames=group.frames)
        return measured | dict(data=self.data_name, steps=group.steps, fd_small_network=shipped().fingerprint)

    def needs(self, model: str) -> Mapping[str, str]:
        """The models that one starts from at this scale, by the field of the config."""
        skipped = ("init_from",) if self.group(model).scratch else ()
        return {field: need for field, need in models()[model].needs.items() if field not in skipped}

    def config(self, model: str, seed: int) -> ConfigDict:
        """The training config of one run; what it starts from is not filled in yet."""
        group, own = self.group(model), models()[model]
        clips = f"{group.clips_of}_{'embedded' if self.videos is None else 'videos'}"
        overrides = [*self.groups[clips].set, *group.set, *own.mini_set]
        config = own.load_mini(*overrides)
        if group.scratch:
            config.inflation.update(method="", discriminator=False)
        config.seed = config.data.seed = seed
        if self.videos is not None:
            config.data.path = str(self.videos)
        steps = config.training.steps = group.steps
        config.training.checkpoint_every = max(steps // 4, 1)
        config.optimizer.warmup_steps = min(50, steps // 10)
        if "entropy_annealing_steps" in config.loss:
            config.loss.entropy_annealing_steps = min(config.loss.entropy_annealing_steps, steps // 2)
        return config


    def measure(self, model: str, workdir: Path, config: ConfigDict) -> dict[str, Any]:
        """The values of a trained model, by name."""
        group = self.group(model)
        if group.measure == "multimodal":
            return dict(values=self._multimodal(workdir, config, group))
        clips = self.held_out(config, group)
        if group.measure == "reconstruction":
            tokenizer = bundles.load_tokenizer(workdir)
            # One that goes frame by frame takes any number; others the clips that they were trained on.
            frames = config.data.frames if tokenizer.model.compression[0] > 1 else clips[0]["video"].shape[1]
            return dict(values=measures.reconstruction(tokenizer, clips, frames, group.frames or frames))
        generator = bundles.load_generator(workdir)
        if group.measure == "time":
            return dict(values=measures.efficiency(generator, clips[0]["video"]))
        return dict(values=measures.generation(generator, clips))

    def _multimodal(self, workdir: Path, config: ConfigDict, group: Group) -> dict[str, float]:
        wanted = ConfigDict(dict(config.data.to_dict(), seed=MEASURED_SEED))
        clips = multimodal_measures.read_clips(wanted, "test", group.clips)
        heard = multimodal_measures.read_clips(config.data, "train", group.clips).with_sound()
        return multimodal_measures.measure(bundles.load_generator(workdir), clips, heard.audio)

    def held_out(self, config: ConfigDict, group: Group) -> Sequence[Mapping[str, np.ndarray]]:
        """The clips that all runs on this data are measured on."""
        frames = group.read or config.data.frames
        wanted = ConfigDict(dict(config.data.to_dict(), seed=MEASURED_SEED, frames=frames))
        spec = dataclasses.replace(data.ClipSpec.from_config(wanted), flip=False, random_crop=False)
        source = data.build_source(wanted, "test")
        return list(data.eval_batches(source, spec, batch_size=BATCH, num=group.clips))


def load(videos: Path | None = None, **settings) -> Scale:
    """The shipped scale. UserError where its file has a mistake, or a model names a group that it has not."""
    path = files.folder() / "mini.toml"
    groups = parse(files.read(path), str(path))
    for name, model in models().items():
        if model.mini and model.mini not in groups:
            raise UserError(f"model {name!r}: mini is {model.mini!r}; expected one of {', '.join(groups)}")
    return Scale(groups, videos, **settings)


def parse(content: Mapping[str, Mapping], where: str) -> Mapping[str, Group]:
    """Groups from a file's content; one that is `like` another has its settings where it has none."""

    @functools.cache
    def group(name: str) -> Group:
        fields = dict(content[name])
        like = fields.pop("like", "")
        own = files.build(Group, fields, f"{where}: {name}")
        if not like:
            return own
        if like not in content:
            raise UserError(f"{where}: {name} is like {like!r}; expected one of {', '.join(content)}")
        base = group(like)
        changed = {field: getattr(own, field) for field in fields if field != "set"}
        return dataclasses.replace(base, **changed, set=(*base.set, *own.set))

    groups = {name: group(name) for name in content}
    for name, found in groups.items():
        if found.measure and found.measure not in MEASURES:
            raise UserError(f"{where}: {name} measures {found.measure!r}; expected one of {', '.join(MEASURES)}")
    return groups
