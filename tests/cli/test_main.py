"""The `magvit` command: each command once, and every mistake one line on standard error with status 2."""

import argparse
import functools
import importlib
import json
import shutil
import subprocess
import sys

import jax
import numpy as np
import pytest
from tiny_models import moving_square, overrides

import magvit_jax
from magvit_jax import workflows
from magvit_jax.cli import config_files, flags
from magvit_jax.cli.main import main
from magvit_jax.errors import UserError
from magvit_jax.media.video_io import read_video, write_mp4, write_png


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """Two good videos. Read only."""
    folder = tmp_path_factory.mktemp("videos")
    for seed in range(2):
        write_mp4(folder / f"square{seed}.mp4", moving_square(12, 16, 16, seed=seed))
    return folder


def test_the_version_by_module():
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "magvit_jax", "--version"], capture_output=True, text=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, f"magvit_jax {magvit_jax.__version__}\n", "")


def test_help_needs_no_model(capsys):
    for command in (
        "quickstart",
        "train",
        "shards",
        "tokenize",
        "embed-text",
        "reconstruct",
        "generate",
        "gallery",
        "evaluate",
        "export",
    ):
        with pytest.raises(SystemExit) as stopped:
            main([command, "--help"])
        assert stopped.value.code == 0
    assert "--guidance-scale" in capsys.readouterr().out


def test_train_then_export(tmp_path, capsys, monkeypatch):
    """On one device, the program that `tiny` is trained by: it is compiled once for both."""
    monkeypatch.setattr(workflows, "train", functools.partial(workflows.train, devices=jax.devices()[:1]))
    workdir = tmp_path / "run"
    arguments = ["train", "--config=quickstart/tokenizer:smoke", f"--workdir={workdir}"]
    assert main([*arguments, *overrides("tokenizer")]) == 0
    assert main(["export", f"--workdir={workdir}", f"--output={tmp_path / 'bundle'}"]) == 0
    fingerprint = magvit_jax.load_tokenizer(workdir).fingerprint
    assert f"tokenizer {fingerprint} of step 4" in capsys.readouterr().out
    assert magvit_jax.load_tokenizer(tmp_path / "bundle").fingerprint == fingerprint


def test_reconstruct(tiny, videos, tmp_path, capsys):
    model, output = tiny.generator.workdir, tmp_path / "out"  # a workdir, and a generator's tokenizer
    assert main(["reconstruct", f"--model={model}", f"--input={videos}", f"--output={output}"]) == 0
    assert len(read_video(output / "square1_mp4.mp4")) == 12
    assert capsys.readouterr().out.count("PSNR") == 2
    whole = [f"--input={videos / 'square0.mp4'}", "--whole", f"--output={tmp_path / 'whole'}"]
    assert main(["reconstruct", f"--model={model}", *whole]) == 0
    assert len(read_video(tmp_path / "whole" / "square0_mp4_beside.mp4")) == 12


def test_generate(tiny, videos, tmp_path, capsys):
    common = ["generate", f"--model={tiny.generator.bundle}", f"--output={tmp_path}", "--num=1", "--steps=1"]
    assert main([*common, "--task=class_conditional", "--label=grow", "--guidance-scale=0", "--seed=3"]) == 0
    assert main([*common, "--task=frame_prediction", f"--input={videos}", "--temperature=0"]) == 0
    assert (tmp_path / "class_conditional_0000_grow.gif").is_file()
    assert (tmp_path / "frame_prediction_0000_beside.mp4").is_file()
    film = f"--input={videos / 'square0.mp4'}"
    assert main([*common, "--box=0,0,1,0.5", "--given=outside", film, "--prompt=frame_prediction", "--states"]) == 0
    assert (tmp_path / "mask_0000_states.gif").is_file()
    named = ["--decoding=magvit2_imagenet_guided", "--guidance-schedule=linear", "--guidance-power=2"]
    assert main([*common, "--task=class_conditional", *named, "--schedule=exp", "--sampling-temperature=0"]) == 0
    assert main([*common, "--task=frame_prediction", film, "--frames=11"]) == 0
    assert len(read_video(tmp_path / "frame_prediction_0000.mp4")) == 11


def test_gallery(tiny, tmp_path, capsys):
    model = tiny.generator.bundle
    assert main(["gallery", f"--model={model}", f"--output={tmp_path}", "--num=1", "--steps=1", "--seed=2"]) == 0
    page = (tmp_path / "gallery.html").read_text()
    assert f"--model={model} --task=frame_prediction" in page and "seed 2" in page
    assert capsys.readouterr().out.endswith(f"page: {tmp_path / 'gallery.html'}\n")


def test_evaluate(tiny, videos, tmp_path, capsys):
    file = tmp_path / "sub" / "results.json"
    arguments = [f"--model={tiny.tokenizer.bundle}", f"--input={videos}", "--metrics=psnr,codebook"]
    assert main(["evaluate", *arguments, f"--json={file}"]) == 0
    results = json.loads(file.read_text())
    assert results["reconstruction"]["clips"] == 2
    assert f"{results['reconstruction']['psnr']:.2f}" in capsys.readouterr().out


def bad_inputs():
    """(name, arguments, what the line says); {…} are folders made by `places`."""
    train = ["train", "--workdir={new}"]
    tokenizer = [*train, "--config=quickstart/tokenizer:smoke"]
    folder = ["--config.data.source=video_folder", "--config.data.path={place}"]
    generate = ["generate", "--model={generator}", "--output={new}"]
    reconstruct = ["reconstruct", "--model={tokenizer}", "--output={new}"]
    evaluate = ["evaluate", "--model={tokenizer}"]

    def on(place, *words):
        return [word.format_map(Keep(place="{" + place + "}")) for word in words]

    return [
        ("unknown config", [*train, "--config=quickstart/tokeniser"], "quickstart/tokeniser: no such file"),
        ("unknown variant", [*train, "--config=quickstart/tokenizer:tiny"], "no variant 'tiny'"),
        ("unknown key", [*tokenizer, "--config.model.bts=3"], "bts"),
        ("unknown group", [*tokenizer, "--config.modl.patch=3"], "modl"),
        ("value of another type", [*tokenizer, "--config.model.patch=many"], "many"),
        ("no override", [*tokenizer, "--steps=3"], "--steps=3"),
        ("empty folder", [*tokenizer, *on("empty", *folder)], "{empty} has no video file"),
        ("no readable video", [*tokenizer, *on("broken", *folder)], "none of its 2 videos can be read"),
        ("clips too short", [*tokenizer, *on("short", *folder)], "the longest has 4 frames, a clip needs 9"),
        ("missing folder", [*tokenizer, *on("absent", *folder)], "{absent}' does not exist"),
        ("missing tokenizer", [*train, "--config=quickstart/generator:smoke"], "config.tokenizer is empty"),
        (
            "other config",
            ["train", "--workdir={run}", "--config=quickstart/tokenizer:smoke"],
            "another config: ",
        ),
        (
            "no such model",
            ["reconstruct", "--model={absent}", "--input={videos}", "--output={new}"],
            "{absent}",
        ),
        ("no model there", ["evaluate", "--model={empty}"], "{empty}: neither a bundle"),
        ("truncated model", ["evaluate", "--model={cut}"], "params.safetensors: not readable"),
        (
            "half-written checkpoint",
            ["export", "--workdir={half}", "--output={new}"],
            "{half}: no checkpoint",
        ),
        ("empty input", [*reconstruct, "--input={empty}"], "{empty} has no video or image file"),
        ("zero bytes", [*reconstruct, "--input={broken}/zero.mp4"], "{broken}/zero.mp4: "),
        ("missing input", [*reconstruct, "--input={absent}"], "{absent}"),
        (
            "size that does not fit",
            [*reconstruct, "--input={videos}", "--width=0"],
            "width is 0: expected 1 or",
        ),
        (
            "two sizes",
            [*reconstruct, "--input={videos}", "--whole", "--width=16"],
            "whole takes the size of the file",
        ),
        ("unknown task", [*generate, "--task=outpainting"], "task 'outpainting' is unknown"),
        ("unknown label", [*generate, "--task=class_conditional", "--label=jump"], "label 'jump' is unknown"),
        ("no condition", [*generate, "--task=frame_prediction"], "--input"),
        ("neither task nor mask", generate, "needs --task=NAME"),
        ("a box of words", [*generate, "--box=a,b"], "--box=a,b: expected four numbers"),
        ("a box in pixels", [*generate, "--box=0,0,8,8"], "box 0,0,8,8: expected top,left,bottom,right as shares"),
        ("a mask and a box", [*generate, "--box=0,0,1,0.5", "--mask=m.png"], "expected one of --mask and --box"),
        ("given of nothing", [*generate, "--task=x", "--given=inside"], "expected --mask or --box with it"),
        ("no such mask", [*generate, "--mask={absent}", "--input={videos}/square0.mp4"], "{absent} does not exist"),
        (
            "mask of another size",
            [*generate, "--mask={small}", "--input={videos}/square0.mp4"],
            "small.png: mask of 8x8; expected 16x16 as",
        ),
        ("white mask", [*generate, "--mask={white}", "--input={videos}/square0.mp4"], "all pixels are given"),
        (
            "black mask",
            [*generate, "--mask={white}", "--given=outside", "--input={videos}/square0.mp4"],
            "white.png: no pixel is given",
        ),
        ("unknown decoding", [*generate, "--task=class_conditional", "--decoding=best"], "decoding 'best' is unknown"),
        (
            "unknown guidance schedule",
            [*generate, "--task=class_conditional", "--guidance-schedule=up", "--guidance-scale=1"],
            "guidance schedule 'up' is unknown",
        ),
        ("long video of a mask", [*generate, "--box=0,0,1,0.5", "--frames=20"], "--box does not go with --frames"),
        (
            "long video of classes",
            [*generate, "--task=class_conditional", "--frames=20"],
            "expected frame_prediction or",
        ),
        ("short gallery", ["gallery", *generate[1:], "--input={short}/a.mp4"], "has 4 frames, a clip needs 5"),
        ("short condition", [*generate, "--task=frame_prediction", "--input={short}/a.mp4"], "has 4 frames"),
        ("no steps", [*generate, "--task=class_conditional", "--steps=0"], "0 steps"),
        (
            "no generator",
            ["generate", "--model={tokenizer}", "--task=x", "--output={new}"],
            "holds a tokenizer",
        ),
        ("unknown metric", [*evaluate, "--metrics=psnr,lpipz"], "metric 'lpipz' is unknown"),
        ("metric of a generator", [*evaluate, "--metrics=frame_prediction"], "needs a generator"),
        ("unreadable folder", [*evaluate, "--input={broken}"], "none of its 2 videos can be read"),
        (
            "export over something",
            ["export", "--workdir={run}", "--output={videos}"],
            "{videos}: exists and is no",
        ),
        ("export of nothing", ["export", "--workdir={empty}", "--output={new}"], "{empty}: no config.json"),
        ("unknown argument", ["export", "--workdir={run}", "--output={new}", "--force"], "--force"),
        (
            "quickstart without videos",
            ["quickstart", "--videos={empty}", "--workdir={new}"],
            "{empty} has no video",
        ),
    ]


class Keep(dict):
    """Leaves names that it does not know as they are."""

    def __missing__(self, name):
        return "{" + name + "}"


@pytest.fixture(scope="module")
def places(tiny, videos, tmp_path_factory):
    root = tmp_path_factory.mktemp("places")
    places = {name: root / name for name in ("empty", "broken", "short", "absent", "cut", "half", "new")}
    for name in ("empty", "broken", "short"):
        places[name].mkdir()
    (places["broken"] / "zero.mp4").write_bytes(b"")
    (places["broken"] / "noise.mp4").write_bytes(np.random.default_rng(0).bytes(5000))
    write_mp4(places["short"] / "a.mp4", moving_square(4))
    for name, side in (("small", 8), ("white", 16)):
        places[name] = write_png(root / f"{name}.png", np.full((side, side, 3), 255, np.uint8))
    shutil.copytree(tiny.tokenizer.bundle, places["cut"])
    params = places["cut"] / "params.safetensors"
    params.write_bytes(params.read_bytes()[:-10])
    shutil.copytree(tiny.tokenizer.workdir, places["half"])
    for step in (2, 4):
        (places["half"] / "checkpoints" / str(step) / "_CHECKPOINT_METADATA").unlink()
    return places | dict(
        videos=videos,
        run=tiny.tokenizer.workdir,
        tokenizer=tiny.tokenizer.bundle,
        generator=tiny.generator.bundle,
    )


@pytest.mark.parametrize(
    ("arguments", "message"), [pytest.param(*case[1:], id=case[0]) for case in bad_inputs()]
)
def test_a_mistake_is_one_line_and_status_2(arguments, message, places, capsys):
    before = everything(places)
    status = main([argument.format_map(places) for argument in arguments])
    out, err = capsys.readouterr()
    assert status == 2
    assert err.startswith("magvit: error: ") and err.count("\n") == 1 and err.endswith("\n"), err
    assert message.format_map(places) in err
    assert "Traceback" not in out + err
    assert everything(places) == before
    assert not (places["new"] / "checkpoints").exists() and not list(places["new"].glob("*.mp4"))


def everything(places):
    """Every file but those of a run that got as far as its own new workdir."""
    return {
        path: path.stat().st_mtime_ns
        for name in places
        if name != "new"
        for path in places[name].rglob("*")
        if path.is_file() and path.name != ".lock"
    }


def test_a_word_that_is_no_command_is_said_by_argparse(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["reconstrct"])
    assert stopped.value.code == 2
    assert "reconstrct" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "what"),
    [
        ("train", "goes on from the last checkpoint"),
        ("quickstart", "goes on from the last checkpoint"),
        ("shards", "goes on after the last finished shard"),
        ("tokenize", "goes on after the last finished shard"),
        ("reconstruct", "starts over"),
        ("generate", "starts over"),
        ("gallery", "starts over"),
        ("evaluate", "starts over"),
    ],
)
def test_ctrl_c_ends_quietly_and_says_what_the_same_command_does(command, what, monkeypatch, capsys):
    def interrupted(*_):
        raise KeyboardInterrupt

    module = importlib.import_module(f"magvit_jax.cli.{command}")
    monkeypatch.setattr(module, "run", interrupted)
    monkeypatch.setattr(flags, "parse", lambda argv: (argparse.Namespace(command=command), []))
    assert main([command]) == 130
    assert capsys.readouterr().err == f"magvit: interrupted; the same command {what}\n"


def test_configs_by_name_path_and_override(tmp_path):
    shipped = config_files.load_config("quickstart/tokenizer")
    assert shipped == config_files.load_config("quickstart/tokenizer.py:small")
    assert config_files.load_config("quickstart/tokenizer:smoke").training.steps < shipped.training.steps
    assert config_files.load_config("quickstart/tokenizer").is_locked
    mine = tmp_path / "mine.py"
    body = "def get_config():\n    return ConfigDict(dict(a=1, b=(2,)))\n"
    mine.write_text(f"from ml_collections import ConfigDict\n\n{body}")
    config = config_files.load_config(str(mine), ["--config.a=5", "--config.b=(3, 4)"])
    assert config.to_dict() == {"a": 5, "b": (3, 4)}
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / "_size.py").write_text("SIZE = 7\n")
    imports = "from ml_collections import ConfigDict\nfrom .shared._size import SIZE\n"
    mine.write_text(f"{imports}\n{body.replace('1', 'SIZE')}")
    assert config_files.load_config(str(mine)).a == 7
    (tmp_path / "shared" / "_size.py").write_text("SIZE = 'another'\n")  # another length: not the cached one
    assert config_files.load_config(str(mine)).a == "another"
    mine.write_text("x = 1\n")
    with pytest.raises(UserError, match="defines no get_config"):
        config_files.load_config(str(mine))
