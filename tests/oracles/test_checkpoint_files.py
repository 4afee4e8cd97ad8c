"""Files that PyTorch writes: read without running anything in them; those that are not whole refused in one line."""

import os
import pickle

import numpy as np
import pytest

from magvit_jax.converters.checkpoint import read_tensors
from magvit_jax.errors import UserError

torch = pytest.importorskip("torch", reason="needs torch and the extra `oracles`")
pytestmark = pytest.mark.oracle


class RunsCode:
    """An object whose pickle makes a file when it is loaded."""

    def __init__(self, victim):
        self.victim = victim

    def __reduce__(self):
        return os.mkdir, (str(self.victim),)


def weights():
    rng = np.random.default_rng(0)
    return {
        name: torch.from_numpy(rng.normal(size=(3, 5)).astype(np.float32))
        for name in ("a.weight", "b.weight")
    }


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("suffix", [".ckpt", ".pt", ".pth"])
def test_a_training_checkpoint_or_a_dict_of_tensors(tmp_path, zipped, suffix):
    state = weights() | {
        "half": torch.ones(2, dtype=torch.bfloat16),
        "count": torch.tensor(7),
        "note": "no tensor",
    }
    training = {"state_dict": state, "global_step": 3, "optimizer_states": [{"state": {0: torch.zeros(2)}}]}
    for content in (state, training):
        path = tmp_path / f"file{suffix}"
        torch.save(content, path, _use_new_zipfile_serialization=zipped)
        found = read_tensors(path)
        assert list(found) == list(state) and found["note"] == "no tensor" and found["count"] == 7
        np.testing.assert_array_equal(found["b.weight"], state["b.weight"].numpy())
        assert found["half"].dtype == np.float32 and found["half"].tolist() == [1, 1]


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("where", ["state_dict", "callbacks"])
def test_a_pickle_that_would_run_code_is_refused_and_does_not_run(tmp_path, zipped, where):
    victim, path = tmp_path / "made_by_the_pickle", tmp_path / "evil.ckpt"
    content = {"state_dict": weights(), "callbacks": {}}
    content[where]["x"] = RunsCode(victim)
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(
        UserError, match=r"evil.ckpt: refused: its pickle asks for \w+.mkdir, which could run code"
    ) as refused:
        read_tensors(path)
    assert "\n" not in str(refused.value) and not victim.exists()
    plain = tmp_path / "plain.pt"
    plain.write_bytes(pickle.dumps(RunsCode(victim), protocol=2))
    with pytest.raises(UserError, match="plain.pt: refused: its pickle asks for"):
        read_tensors(plain)
    assert not victim.exists()


def damaged(path):
    """(what was done, the bytes)."""
    whole = path.read_bytes()
    yield "half", whole[: len(whole) // 2]
    yield "end missing", whole[:-30]
    yield "nothing", b""
    yield "text", b"hello world\n"
    yield "noise", np.random.default_rng(0).bytes(1000)
    yield "other pickle", pickle.dumps([1, 2, 3], protocol=4)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_damaged_file_is_one_line(tmp_path, zipped):
    path = tmp_path / "file.ckpt"
    torch.save({"state_dict": weights()}, path, _use_new_zipfile_serialization=zipped)
    for what, content in damaged(path):
        broken = tmp_path / "broken.ckpt"
        broken.write_bytes(content)
        with pytest.raises(UserError) as refused:
            read_tensors(broken)
        text = str(refused.value)
        assert text.startswith(f"{broken}: ") and "\n" not in text and len(text) < 500, what


def test_what_is_no_dict_of_tensors(tmp_path):
    for content, message in (
        ([torch.zeros(2)], "holds a list; expected a dict of tensors"),
        ({"state_dict": torch.zeros(2)}, "its key state_dict is a Tensor; expected a dict of tensors"),
    ):
        torch.save(content, tmp_path / "file.pt")
        with pytest.raises(UserError, match=message):
            read_tensors(tmp_path / "file.pt")
