"""`compile_ahead` end to end: the eight simulated devices in place of a slice, and, marked `aot`, real topologies."""

import json

import jax
import pytest
from tiny_models import overrides, quick_compilation

from magvit_jax.aot import step as aot_step
from magvit_jax.aot.chips import CHIPS
from magvit_jax.aot.memory import exhausted
from magvit_jax.aot.report import to_text
from magvit_jax.aot.step import build_system
from magvit_jax.aot.topology import Topology
from magvit_jax.cli.config_files import load_config
from magvit_jax.cli.main import main
from magvit_jax.errors import UserError
from magvit_jax.workflows import compile as workflow
from magvit_jax.workflows import compile_ahead


@pytest.fixture
def simulated(monkeypatch):
    """Every topology is the simulated devices."""
    devices = jax.devices()

    def fake(name, slices=1):
        return Topology(name, CHIPS["v5e"], (len(devices),), slices, devices)

    monkeypatch.setattr(aot_step, "get_topology", fake)
    monkeypatch.setattr(workflow, "get_topology", fake)
    with quick_compilation():
        yield


def tokenizer_config(*more):
    return load_config("quickstart/tokenizer:smoke", overrides("tokenizer", *more))


def generator_config(*more):
    return load_config("quickstart/generator:smoke", overrides("generator", *more))


def test_a_report_of_a_tokenizer(simulated):
    config = tokenizer_config("mesh.data=8")
    report = compile_ahead(config, "v5e:2x4")
    assert report.fits
    assert (report.chips, report.batch, report.mesh["data"]) == (8, 8, 8)
    assert report.memory.arguments > 4 * 3 * report.parameters  # parameters and two moments, in float32
    assert report.memory.aliased == pytest.approx(report.memory.outputs, rel=0.01)  # the state is donated
    # Without recomputation the program does what the model needs, and no more.
    assert report.program.flops * 8 == pytest.approx(report.model_flops, rel=0.01)
    assert report.program.wire_bytes >= 4 * report.parameters  # gradients, to and from
    assert 0 < report.bounds.mfu <= 1.01
    plain = json.loads(json.dumps(report.to_json()))
    assert plain["fits"] and plain["bounds"]["limit"] in ("compute", "hbm", "ici")
    text = to_text(report)
    for word in ("arguments", "temporaries", "TFLOP", "all-reduce", "roofline bound", "MFU bound"):
        assert word in text


def test_sampling_of_a_generator_on_a_tokenizer_that_was_never_trained(simulated):
    report = compile_ahead(
        generator_config("mesh.data=8"), "v5e:2x4", what="sample", tokenizer=tokenizer_config(), task="frame_prediction"
    )
    assert report.what == "sample"
    assert report.batch == 8
    assert report.program.flops > 0


@pytest.mark.parametrize(
    ("config", "fields", "message"),
    [
        (lambda: tokenizer_config("mesh.data=3"), {}, "data=3, fsdp=1, .* makes 3 devices, but 8 are present"),
        (
            lambda: tokenizer_config("mesh.data=8", "data.batch_size=12"),
            {},
            "data.batch_size 12: does not divide by data=8 x fsdp=1 x microbatches=1; expected a multiple of 8",
        ),
        (lambda: tokenizer_config("mesh.data=8"), dict(what="serve"), "'serve'; expected one of train, train-images"),
        (lambda: generator_config(), {}, "config.tokenizer is empty; expected the folder of a trained tokenizer, or"),
        (lambda: generator_config("tokenizer=/nowhere"), {}, "config.tokenizer: /nowhere: expected a tokenizer's"),
        (
            lambda: generator_config("mesh.data=8"),
            dict(what="sample", task="dance", tokenizer=tokenizer_config()),
            "task 'dance'; expected one of class_conditional, frame_prediction",
        ),
        (
            lambda: load_config("magvit2/video_tokenizer", ["--config.mesh.data=8"]),
            {},
            "resnet50: no weights.* --config.perceptual.weight=0",
        ),
    ],
)
def test_mistakes_are_named_before_anything_is_compiled(simulated, config, fields, message):
    with pytest.raises(UserError, match=message):
        compile_ahead(config(), "v5e:2x4", **fields)


@pytest.mark.parametrize(
    ("message", "needed", "alone"),
    [
        ("RESOURCE_EXHAUSTED: XLA: Used 63.82G of 15.75G hbm. Exceeded hbm capacity by 48.07G.", 63.82, False),
        (
            "RESOURCE_EXHAUSTED: E1000: CompileTimeHbmOom: Ran out of memory on HBM, the total memory required for HLO "
            "temporaries (18.30G) exceeds available HBM (15.75G).",
            18.30,
            True,
        ),
    ],
)
def test_what_the_compiler_says_of_memory(message, needed, alone):
    found = exhausted(message)
    assert found.needed == pytest.approx(needed * 2**30, rel=1e-6)
    assert found.available == pytest.approx(15.75 * 2**30, rel=1e-6)
    assert found.temporaries_only == alone
    assert exhausted("INVALID_ARGUMENT: Used 63.82G of 15.75G hbm") is None


@pytest.mark.aot
def test_the_command_says_what_does_not_fit_and_what_to_change(capsys, tmp_path):
    """The published batch of MAGVIT-L at once on four chips."""
    arguments = ["--config=magvit2/masked_video:l", "--config.tokenizer=magvit2/video_tokenizer", "--topology=v5e:2x2"]
    arguments += ["--config.data.source=token_shards", "--no-code", f"--json={tmp_path / 'report.json'}"]
    assert main(["compile", *arguments]) == 1
    text = capsys.readouterr().out
    assert "DOES NOT FIT: needs " in text
    assert "--config.training.microbatches=2 (64 examples a chip at once now)" in text
    assert "--config.mesh.fsdp=4" in text
    assert json.loads((tmp_path / "report.json").read_text())["fits"] is False


@pytest.mark.aot
def test_without_code_the_report_is_the_same():
    config = generator_config("mesh.data=4", "data.source=token_shards")
    whole, early = (
        compile_ahead(config, "v5e:2x2", tokenizer=tokenizer_config(), code=code) for code in (True, False)
    )
    assert early.program.flops == whole.program.flops
    assert early.program.collectives == whole.program.collectives
    assert early.program.hbm_bytes == pytest.approx(whole.program.hbm_bytes, rel=0.01)
    for kind in ("arguments", "outputs", "aliased", "temporaries"):
        assert getattr(early.memory, kind) == pytest.approx(getattr(whole.memory, kind), rel=0.01, abs=2**16)
    assert early.memory.code is None and whole.memory.code > 0
    assert whole.program.compiler_seconds > 0


def test_sampling_needs_no_network_of_a_loss():
    config = load_config("magvit2/video_tokenizer", [])
    with pytest.raises(UserError, match="perceptual.network: resnet50: no weights"):
        build_system(config, None, 0)
    assert build_system(config, None, 0, "sample").kind == "tokenizer"
