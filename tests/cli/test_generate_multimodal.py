"""`magvit generate` of a model of text, video and sound: which flags go where, and which are refused."""

import sys
from pathlib import Path

import pytest

import magvit_jax
from magvit_jax.cli.main import main
from magvit_jax.workflows import Files

sys.path.insert(0, str(Path(__file__).parents[1]))

import tiny_multimodal as tiny  # noqa: E402

GENERATE = ["generate", "--model=model", "--output=out"]


@pytest.fixture
def called(monkeypatch):
    """The calls of the workflows; nothing is made."""
    calls = []

    def load(path, mesh=None):
        calls.append(mesh) if mesh is not None else None
        return tiny.scripted()

    monkeypatch.setitem(vars(magvit_jax), "load_generator", load)
    for name in ("generate_multimodal", "generate_multimodal_long"):
        monkeypatch.setattr(
            f"magvit_jax.workflows.{name}", lambda *a, name=name, **k: calls.append((name, a[1:], k))
        )
    return calls


def test_flags_reach_the_workflows(called):
    flags = ["--task=stylization", "--prompt=a digit", "--flow=f.mp4", "--depth=d.mp4", "--num=3", "--seed=4"]
    flags += ["--temperature=0.5", "--top_k=9", "--top-p=0.8", "--guidance_scale=2"]
    assert main([*GENERATE, *flags]) == 0
    name, arguments, values = called[0]
    assert (name, arguments) == ("generate_multimodal", ("stylization", Path("out")))
    assert values == dict(
        files=Files(flow=Path("f.mp4"), depth=Path("d.mp4")),
        prompt="a digit",
        given=None,
        seed=4,
        num=3,
        temperature=0.5,
        top_k=9,
        top_p=0.8,
        guidance_scale=2.0,
        then=(),
        then_prompt=None,
    )
    flags = ["--then=stylization", "--then=video_to_audio", "--then-prompt=up"]
    assert main([*GENERATE, "--task=image_to_video", "--input=a.mp4", *flags]) == 0
    assert (called[1][2]["then"], called[1][2]["then_prompt"]) == (["stylization", "video_to_audio"], "up")
    assert main([*GENERATE, "--task=unconditional", "--source=film"]) == 0
    assert called.pop()[2]["source"] == "film"
    assert main([*GENERATE, "--task=frame_prediction", "--given-frames=5", "--seconds=4", "--input=a.mp4"]) == 0
    assert called[2][:2] == ("generate_multimodal_long", ("frame_prediction", Path("out"), 32))
    assert called[2][2] == dict(files=Files(Path("a.mp4")), prompt=None, given=5, seed=0)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--task=unconditional", "--label=3"], "--label does not go with a model of text, video and sound"),
        (["--task=unconditional", "--steps=3"], "--steps does not go with a model of text"),
        (["--task=unconditional", "--mesh=data"], "--mesh=data: expected axes with whole numbers, such as data=2"),
        (["--task=unconditional", "--mesh=data=2,data=4"], "an axis is named twice"),
        (["--task=unconditional", "--mesh=heads=8"], "mesh: unknown axis 'heads'"),
        (["--task=unconditional", "--mesh=data=3"], "data=3, fsdp=1, tensor=1, sequence=1 makes 3 devices, but 8 are"),
        (["--task=unconditional", "--states"], "--states does not go with"),
        (["--box=0,0,1,0.5"], "magvit generate needs --task=NAME; this model knows: unconditional, text_to_image"),
        (["--task=unconditional", "--frames=20", "--seconds=3"], "--frames=20 and --seconds=3: expected one of them"),
        (["--task=unconditional", "--frames=20", "--then=stylization"], "--then does not go with --frames"),
    ],
)
def test_flags_that_do_not_go_together(called, capsys, flags, message):
    assert main([*GENERATE, *flags]) == 2
    assert message in capsys.readouterr().err and not called


def test_the_model_is_laid_out_over_the_devices_that_are_named(called):
    assert main([*GENERATE, "--task=unconditional", "--mesh=data=2,tensor=-1"]) == 0
    assert dict(called[0].shape) == dict(data=2, fsdp=1, tensor=4, sequence=1)


def test_the_gallery_of_models_of_video_says_so(called, capsys):
    assert main(["gallery", "--model=model", "--output=out"]) == 2
    assert "model: a model of text, video and sound; expected one of video alone" in capsys.readouterr().err


def test_a_model_of_video_alone_refuses_sound(monkeypatch, capsys):
    monkeypatch.setitem(vars(magvit_jax), "load_generator", lambda path, mesh: object())
    assert main([*GENERATE, "--task=frame_prediction", "--audio=a.wav"]) == 2
    assert "--audio does not go with a model of video alone" in capsys.readouterr().err
