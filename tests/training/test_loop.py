"""The loop in this process: what it writes, when it stops, and that no mesh changes a loss."""

import io
import signal

import jax
import numpy as np
import pytest
from jax.sharding import PartitionSpec
from training_toys import BATCH, Gan, Regression, leaves, toy_batches, toy_config, toy_eval_batches, toy_train

from magvit_jax.errors import UserError
from magvit_jax.partitioning import make_mesh
from magvit_jax.training.checkpoints import checkpoint_steps, latest_step
from magvit_jax.training.loading import load_state
from magvit_jax.training.loop import train
from magvit_jax.training.sharded import global_batches, run_keys, whole_batches
from magvit_jax.training.signals import StopRequest
from magvit_jax.training.workdir import load_config, load_extra


def assert_equal(a, b):
    assert a.keys() == b.keys()
    for key in a:
        np.testing.assert_array_equal(a[key], b[key], err_msg=key)


def assert_same_records(found, expected):
    assert [(r["step"], r["kind"], r.keys()) for r in found] == [
        (r["step"], r["kind"], r.keys()) for r in expected
    ]
    for a, b in zip(found, expected, strict=True):
        for key in a.keys() - {"kind"}:
            np.testing.assert_allclose(a[key], b[key], rtol=2e-5, err_msg=f"{key} at step {a['step']}")


class TestRun:
    def test_records(self, uninterrupted):
        assert [(r["kind"], r["step"]) for r in uninterrupted.records] == [
            *[("train", 2), ("train", 4), ("eval", 4), ("train", 6), ("train", 8), ("eval", 8)]
        ]
        first, evaluation = uninterrupted.records[0], uninterrupted.records[2]
        assert first.keys() == {"step", "kind", "loss", "grad_norm", "skipped"}
        assert evaluation.keys() == {"step", "kind", "held_out/error", "held_out/batches"}
        assert evaluation["held_out/batches"] == 3
        assert uninterrupted.records[-1]["held_out/error"] < evaluation["held_out/error"]

    def test_samples(self, uninterrupted):
        assert list(uninterrupted.samples) == [4, 8]
        video = uninterrupted.samples[4]["shade"]
        assert video.shape == (2, 3, 4, 4, 3) and video.dtype == np.uint8

    def test_workdir(self, uninterrupted):
        assert load_config(uninterrupted.workdir).to_dict() == toy_config().to_dict()
        assert load_extra(uninterrupted.workdir) == {"class_names": ["a", "b"]}
        assert checkpoint_steps(uninterrupted.workdir) == [6, 8]

    def test_the_average_is_of_every_update(self, uninterrupted):
        """Recomputed with the loop left out."""
        assert uninterrupted.state[".step"] == uninterrupted.state[".system.updates"] == 8
        kernel, average = (uninterrupted.state[f".system.{x}['kernel']"] for x in ("params", "ema_params"))
        assert np.abs(kernel - average).max() > 1e-4

    def test_a_finished_run_is_left_alone(self, uninterrupted, records):
        def unused(*_):
            raise AssertionError("no data are needed")

        state = toy_train(uninterrupted.workdir, batches=unused)
        assert_equal(leaves(state), uninterrupted.state)
        assert records(uninterrupted.workdir) == uninterrupted.records

    def test_load_state_on_any_mesh(self, uninterrupted):
        config = load_config(uninterrupted.workdir)
        single = load_state(uninterrupted.workdir, Regression(config))
        assert_equal(leaves(single), uninterrupted.state)
        mesh = make_mesh({"fsdp": 4, "tensor": 2})
        spread = load_state(uninterrupted.workdir, Regression(config), mesh)
        assert_equal(leaves(spread), uninterrupted.state)
        for tree in (spread.system.params, spread.system.ema_params, spread.system.opt_state[1].mu):
            assert tree["kernel"].sharding.spec == PartitionSpec("fsdp", "tensor")
        assert load_state(uninterrupted.workdir, Regression(config), step=6).step == 6
        with pytest.raises(UserError, match=r"no checkpoint of step 5; expected one of \[6, 8\]"):
            load_state(uninterrupted.workdir, Regression(config), step=5)

    def test_another_config_is_refused_and_harms_nothing(self, uninterrupted):
        with pytest.raises(UserError, match="model.width was 16, is 32"):
            toy_train(uninterrupted.workdir, model__width=32)
        assert checkpoint_steps(uninterrupted.workdir) == [6, 8]
        assert load_config(uninterrupted.workdir).model.width == 16


class TestResumeOnAnotherMesh:
    """One device until SIGTERM, then data x fsdp x tensor: as if neither had happened."""

    def test_losses_are_the_same(self, tmp_path, uninterrupted, records):
        before = signal.getsignal(signal.SIGTERM)
        seen = []

        def terminate(step):
            seen.append(step)
            if step == 5:
                signal.raise_signal(signal.SIGTERM)

        with pytest.raises(SystemExit) as stopped:
            toy_train(tmp_path, devices=jax.devices()[:1], batches=toy_batches(at_step=terminate))
        assert stopped.value.code == 0 and signal.getsignal(signal.SIGTERM) is before
        assert latest_step(tmp_path) == 5 and max(seen) == 5
        assert records(tmp_path)[-1]["step"] == 4

        state = toy_train(tmp_path, mesh__fsdp=2, mesh__tensor=2)
        assert state.system.params["kernel"].sharding.spec == PartitionSpec("fsdp", "tensor")
        assert_same_records(records(tmp_path), uninterrupted.records)
        for key, value in leaves(state).items():
            np.testing.assert_allclose(value, uninterrupted.state[key], rtol=1e-4, atol=1e-6, err_msg=key)


class TestNotFinite:
    def test_skipped_updates_are_reported_with_their_step(self, tmp_path, records):
        batches = toy_batches(poison=(2, 5, 6))
        state = toy_train(tmp_path, batches=batches, devices=jax.devices()[:1], training__eval_every=0)
        events = [(r["step"], r["message"]) for r in records(tmp_path) if r["kind"] == "event"]
        assert [step for step, _ in events] == [2, 5, 6] and "not finite" in events[0][1]
        assert (state.step, state.skipped, state.last_skipped) == (8, 3, 6)
        assert state.system.updates == 5
        means = {r["step"]: r for r in records(tmp_path) if r["kind"] == "train"}
        assert means[2]["skipped"] == 1 and np.isfinite(means[2]["loss"])
        for step in checkpoint_steps(tmp_path):
            saved = leaves(load_state(tmp_path, Regression(toy_config()), step=step))
            assert all(np.isfinite(x).all() for x in saved.values())

    def test_too_many_in_a_row_end_the_run(self, tmp_path):
        batches = toy_batches(poison=range(4, 100))
        with pytest.raises(UserError, match="3 updates in a row were not finite, the last at step 6"):
            toy_train(tmp_path, batches=batches, devices=jax.devices()[:1], training__steps=50)
        assert checkpoint_steps(tmp_path) == [3]


class TestBadInput:
    @pytest.mark.parametrize(
        "overrides, words",
        [
            (dict(training__log_every=0), "training.log_every: 0; expected 1 or more"),
            (dict(training__checkpoint_every=-1), "training.checkpoint_every: -1"),
            (dict(training__rng_impl="philox"), "training.rng_impl: 'philox'"),
            (dict(mesh__tensor=3), "tensor=3"),
            (dict(training__microbatches=3), f"batch size {BATCH}: does not divide by data=8 x fsdp=1 x"),
        ],
    )
    def test_config(self, tmp_path, overrides, words):
        with pytest.raises(UserError) as error:
            toy_train(tmp_path, **overrides)
        assert words in str(error.value)

    def test_missing_key(self):
        mesh = make_mesh({"data": -1})
        with pytest.raises(UserError, match="no 'z' among unused, x, y"):
            next(global_batches(toy_batches()(0, 0, 1), ("x", "z"), mesh, 1))

    def test_data_that_end(self, tmp_path):
        def three(*shard):
            stream = toy_batches()(*shard)
            return (next(stream) for _ in range(3))

        with pytest.raises(UserError, match="ended before step 4"):
            toy_train(tmp_path, batches=three, devices=jax.devices()[:1])
        assert checkpoint_steps(tmp_path) == [3]

    def test_evaluation_without_data(self, tmp_path):
        config = toy_config()
        with pytest.raises(UserError, match="training.eval_every"):
            train(Regression(config), config, tmp_path, toy_batches())


def test_a_gan_trains_in_the_same_loop(tmp_path):
    config = toy_config(training__eval_every=0, training__sample_every=0, training__steps=4)
    state = train(Gan(config), config, tmp_path, toy_batches(), stream=io.StringIO())
    again = load_state(tmp_path, Gan(config))
    assert_equal(leaves(state), leaves(again))
    assert all(again.system[player].updates == 4 for player in ("generator", "discriminator"))


def test_what_the_watch_says_is_an_event(tmp_path, records):
    config = toy_config(training__eval_every=0, training__sample_every=0, training__steps=4)
    seen = {}

    def watch(step, values):
        seen[step] = values
        return ["the loss is odd"] if step == 2 else []

    train(Regression(config), config, tmp_path, toy_batches(), watch=watch, stream=io.StringIO())
    found = records(tmp_path)
    assert [(r["step"], r.get("message")) for r in found] == [(2, None), (2, "the loss is odd"), (4, None)]
    assert list(seen) == [2, 4] and seen[4]["loss"] == found[2]["loss"]


def test_only_what_the_system_needs_goes_to_the_devices():
    batch = next(global_batches(toy_batches()(0, 0, 1), ("x",), make_mesh({"data": 4, "tensor": 2}), 2))
    assert batch.keys() == {"x"} and batch["x"].sharding.shard_shape(batch["x"].shape)[0] == BATCH // 4


def test_batches_of_images_have_their_own_keys_and_length():
    videos = {"video": np.zeros((8, 2)), "audio": np.zeros((8, 3)), "index": np.arange(8)}
    images = {"image": np.zeros((24, 2)), "label": np.zeros(24), "index": np.arange(24)}
    keys, image_keys = ("video", "audio", "index"), ("image", "index")
    mesh = make_mesh({"data": 4, "tensor": 2})
    taken = list(global_batches(iter([videos, images, videos]), keys, mesh, 2, image_keys))
    assert [set(batch) for batch in taken] == [set(keys), set(image_keys), set(keys)]
    assert [len(batch["index"]) for batch in taken] == [8, 24, 8]
    with pytest.raises(UserError, match="no 'video' among image, index, label"):
        next(global_batches(iter([images]), keys, mesh, 2))


def test_the_last_evaluation_batch_may_be_smaller():
    batches = list(whole_batches(toy_eval_batches(), make_mesh({"data": -1})))
    assert [len(batch["x"]) for batch in batches] == [16, 16, 7]
    assert not batches[0]["x"].sharding.is_fully_replicated and batches[2]["x"].sharding.is_fully_replicated


def test_keys_of_initialisation_and_steps_are_unrelated():
    init_key, step_key = run_keys(0, "threefry2x32")
    of_the_model = {tuple(jax.random.key_data(key).tolist()) for key in jax.random.split(init_key, 8)}
    of_the_steps = {
        tuple(jax.random.key_data(jax.random.fold_in(step_key, step)).tolist()) for step in range(8)
    }
    assert not of_the_model & of_the_steps


def test_stop_requests_outside_the_main_thread_leave_signals_alone():
    import threading

    before, seen = signal.getsignal(signal.SIGTERM), []

    def body():
        with StopRequest(make_mesh({"data": -1})) as stop:
            seen.append((stop.poll(), signal.getsignal(signal.SIGTERM)))

    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    assert seen == [(False, before)]
