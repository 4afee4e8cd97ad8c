"""`magvit experiment` as people type it."""

import pytest

from magvit_jax.cli import experiment
from magvit_jax.cli.main import main
from magvit_jax.errors import UserError
from magvit_jax.experiments import runs
from magvit_jax.experiments.mini import Scale


@pytest.mark.parametrize(("text", "expected"), [("5", (0, 1, 2, 3, 4)), ("0,3", (0, 3)), ("3,", (3,))])
def test_seeds_are_how_many_or_which(text, expected):
    assert experiment.seeds(text) == expected


@pytest.mark.parametrize("text", ["0", "-1", "a", ",", "1.5"])
def test_other_seeds_are_refused(text):
    with pytest.raises(UserError, match=f"--seeds={text}: expected how many"):
        experiment.seeds(text)


def test_tables_and_commands_can_be_listed(capsys):
    assert main(["experiment", "--list"]) == 0
    listed = capsys.readouterr().out.splitlines()
    assert len(listed) == 37 and any(line.startswith("6.8 ") and "9 models" in line for line in listed)
    assert main(["experiment", "--table=5.7d", "--commands"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[2] for line in lines] == [
        "--config=ablations/entropy:without", "--config=ablations/entropy:with",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--table=9.9"], "--table=9.9: no such table; expected one of"),
        (["--table=6.8"], "--workdir is missing"),
        (["--table=6.3", "--scale=paper", "--workdir=w"], "data set ImageNet (ILSVRC2012) is missing"),
        (["--table=8.2", "--workdir=w"], "table 8.2 at mini scale: no row of it is ours"),
    ],
)
def test_mistakes_are_one_line(arguments, said, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["experiment", *arguments]) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_results_are_copied_where_they_are_asked_for(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(runs, "train", lambda config, workdir: None)
    monkeypatch.setattr(runs, "_parameters", lambda folder: 7)
    monkeypatch.setattr(Scale, "measure", lambda *given: dict(values=dict(l1=0.5, l2=0.25)))
    folders = [f"--workdir={tmp_path / 'w'}", f"--results={tmp_path / 'r'}"]
    assert main(["experiment", "--table=5.7d", "--seeds=3,", "--rows=with", *folders]) == 0
    out = capsys.readouterr().out
    assert "| with the entropy penalty | 0.147 | 0.5 (1) | 0.039 | 0.25 (1) | 1.000 |" in out
    assert (tmp_path / "r" / "5.7d_mini.json").read_text() == (tmp_path / "w" / "5.7d_mini.json").read_text()
