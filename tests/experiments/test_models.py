"""The commands behind our rows: each is one that `magvit` takes, in an order that works."""

import shlex

import pytest

from magvit_jax import bundles, systems
from magvit_jax.cli import flags
from magvit_jax.cli.config_files import load_config
from magvit_jax.experiments import models, report
from magvit_jax.experiments.tables import tables


def test_every_command_is_one_that_magvit_takes():
    """Every flag, config, variant and override of every command of every table, and what a run needs is made before."""
    seen = set()
    for table in tables().values():
        made = []
        for name, line in report.command_lines(table):
            made.append(line.split("--workdir=")[1])
            if line in seen:
                continue
            seen.add(line)
            program, *words = shlex.split(line)
            args, overrides = flags.parse(words)
            config = load_config(args.config, overrides)
            assert program == "magvit" and args.command == "train", line
            starts = [config.init_from, config.get("tokenizer", ""), config.get("sound_tokenizer", "")]
            assert [start for start in starts if start] == [start for start in starts if start in made[:-1]], line
            assert (systems.kind(config) in bundles.GENERATORS) == bool(config.get("tokenizer", "")), name
            assert config.data.path.startswith("DATA/"), line


def test_a_chain_is_what_a_model_needs_in_order():
    assert models.chain("bair_fp_commit") == ("imagenet_b_64", "bair_b", "bair_fp_commit")
    lines = models.commands("bair_fp_commit", workdir="w", data="/d")
    assert [line.split("--workdir=")[1] for line in lines] == ["w/imagenet_b_64", "w/bair_b", "w/bair_fp_commit"]
    assert "--config.data.path=/d/bair" in lines[2] and "--config.tokenizer=w/bair_b" in lines[2]


def test_the_first_data_set_that_is_missing_is_named(tmp_path):
    said = models.missing_data("bair_fp_commit", None)
    assert said.startswith("data set ImageNet") and said.endswith("in DIR/imagenet with --data=DIR")
    (tmp_path / "imagenet").mkdir()
    said = models.missing_data("bair_fp_commit", tmp_path)
    assert said.startswith("data set BAIR") and said.endswith(f"in {tmp_path / 'bair'}")
    (tmp_path / "bair").mkdir()
    assert models.missing_data("bair_fp_commit", tmp_path) == ""
    assert "UCF-101" in models.missing_data("bair_fp_commit", tmp_path, ["bair", "ucf101"])


@pytest.mark.parametrize(
    ("better", "worse", "changed"),
    [
        ("ucf101_b", "ucf101_b_average", {"inflation.method"}),
        ("bair_fp_commit", "bair_fp_mask", {"loss.part_weights.refine", "loss.part_weights.reconstruct"}),
        ("entropy_with", "entropy_without", {"loss.entropy"}),
        ("vocabulary_lfq_14", "images_lfq", {"model.quantizer.bits"}),
        ("k600_magvit2_24", "k600_magvit2_12", {"tasks.frame_prediction.decoding.steps"}),
    ],
)
def test_rows_differ_in_what_they_are_compared_for(better, worse, changed, different):
    assert different(*(models.models()[name].load() for name in (better, worse))) == changed


def test_of_two_overrides_of_a_field_the_later_one_holds():
    """Also of a tuple, which the flags of configs would make longer."""
    own = models.Model("quickstart/tokenizer", "bair", set=("model.channel_multipliers=(1,2)", "seed=1"))
    config = own.load("model.channel_multipliers=(1,1,1)")
    assert tuple(config.model.channel_multipliers) == (1, 1, 1) and config.seed == 1
