"""Meshes, rules, and the shardings that follow from logical names."""

from types import SimpleNamespace

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import AxisType, PartitionSpec

from magvit_jax import partitioning
from magvit_jax.errors import UserError
from magvit_jax.partitioning import MESH_AXES, constrain, logical_context, make_mesh, make_rules, param

P = PartitionSpec


class Layer(nn.Module):
    names: tuple = ("embed", "mlp")

    @nn.compact
    def __call__(self, x_BD):
        kernel = self.param("kernel", param(nn.initializers.ones_init(), *self.names), (8, 4))
        bias = self.param("bias", nn.initializers.zeros_init(), (4,))
        return x_BD @ kernel + bias[None]


def abstract(module, optimizer=None):
    def make():
        params = module.init(jax.random.key(0), jnp.zeros((1, 8)))["params"]
        return (params, optimizer.init(params)) if optimizer else params

    return jax.eval_shape(make)


class TestMesh:
    def test_free_axis_takes_what_is_left(self):
        mesh = make_mesh({"data": -1, "fsdp": 2, "tensor": 2})
        assert mesh.axis_names == MESH_AXES
        assert dict(mesh.shape) == {"data": 2, "fsdp": 2, "tensor": 2, "sequence": 1}
        assert set(mesh.axis_types) == {AxisType.Auto}

    def test_devices_of_choice(self):
        mesh = make_mesh({}, jax.devices()[3:4])
        assert mesh.devices.shape == (1, 1, 1, 1) and mesh.devices.item() == jax.devices()[3]

    @pytest.mark.parametrize(
        "shape, words",
        [
            ({"data": -1, "tensor": 3}, ["tensor=3", "makes 3 devices", "8 are present"]),
            ({"data": 2, "fsdp": 2}, ["data=2, fsdp=2", "makes 4 devices", "8 are present"]),
            ({"data": -1, "fsdp": -1}, ["only one axis may be -1"]),
            ({"data": 0}, ["data=0", "1 or more"]),
            ({"data": -1, "model": 1}, ["'model'", "data, fsdp, tensor, sequence"]),
        ],
    )
    def test_impossible_meshes_are_named(self, shape, words):
        with pytest.raises(UserError) as error:
            make_mesh(shape)
        assert all(word in str(error.value) for word in words), error.value


class TestStateShardings:
    def test_names_become_mesh_axes_and_moments_inherit_them(self):
        mesh = make_mesh({"data": 2, "fsdp": 2, "tensor": 2})
        params, (adam, *_) = partitioning.state_shardings(abstract(Layer(), optax.adam(0.1)), mesh)
        assert params["kernel"].spec == P("fsdp", "tensor") and params["bias"].spec == P()
        assert adam.mu["kernel"].spec == adam.nu["kernel"].spec == P("fsdp", "tensor")
        assert adam.count.spec == P()

    def test_a_dimension_that_does_not_divide_stays_whole(self):
        mesh = make_mesh({"fsdp": 8})
        rules = make_rules([("mlp", "fsdp"), ("embed", None)])
        assert partitioning.state_shardings(abstract(Layer()), mesh, rules)["kernel"].spec == P(None, None)
        assert partitioning.state_shardings(abstract(Layer()), mesh)["kernel"].spec == P("fsdp", "tensor")

    def test_each_mesh_axis_splits_one_dimension_only(self):
        mesh = make_mesh({"tensor": 8})
        shardings = partitioning.state_shardings(abstract(Layer(("mlp", "vocab"))), mesh)
        assert shardings["kernel"].spec in (P("tensor", None), P(None, "tensor"), P(None, None))
        jax.jit(lambda: jnp.ones((8, 4)), out_shardings=shardings["kernel"])()

    def test_misspelt_and_missing_names_say_where(self):
        mesh = make_mesh({"data": -1})
        with pytest.raises(ValueError, match=r"kernel.*no rule for the logical name 'embde'"):
            partitioning.state_shardings(abstract(Layer(("embde", "mlp"))), mesh)
        with pytest.raises(ValueError, match=r"kernel.*\('embed',\).*\(8, 4\)"):
            partitioning.state_shardings(abstract(Layer(("embed",))), mesh)

    def test_unbox_leaves_plain_arrays(self):
        params = partitioning.unbox(Layer().init(jax.random.key(0), jnp.zeros((1, 8))))["params"]
        assert {type(x) for x in params.values()} == {type(jnp.zeros(1))}

    def test_scanned_layers_get_a_name_of_their_own(self):
        stack = nn.scan(
            Scanned, variable_axes={"params": 0}, split_rngs={"params": True}, length=3,
            metadata_params={nn.PARTITION_NAME: "layers"},
        )  # fmt: skip
        boxed = jax.eval_shape(lambda: stack().init(jax.random.key(0), jnp.zeros((1, 4)), None))["params"]
        spec = partitioning.state_shardings(boxed, make_mesh({"fsdp": 2, "tensor": 4}))["kernel"].spec
        assert spec == P(None, "fsdp", "tensor")


class Scanned(nn.Module):
    @nn.compact
    def __call__(self, x_BD, _):
        kernel = self.param("kernel", param(nn.initializers.ones_init(), "embed", "mlp"), (4, 4))
        return x_BD @ kernel, None


class TestRules:
    def test_an_override_replaces_the_default(self):
        rules = dict(make_rules([("embed", ["data", "fsdp"]), ("mine", "tensor")]))
        assert rules["embed"] == ("data", "fsdp") and rules["mine"] == "tensor" and rules["mlp"] == "tensor"
        assert len(rules) == len(partitioning.DEFAULT_RULES) + 1

    def test_unknown_mesh_axis(self):
        with pytest.raises(UserError, match="'embed'.*'model'"):
            make_rules([("embed", "model")])


class TestConstrain:
    names = ("activation_batch", "activation_length", "activation_mlp")

    def test_lays_out_inside_the_context(self):
        mesh = make_mesh({"data": 2, "tensor": 2, "sequence": 2})
        with logical_context(mesh):
            x = jax.jit(lambda: constrain(jnp.zeros((4, 6, 8)), *self.names))()
        # Of an axis of size 1 (fsdp) nothing remains to be seen.
        assert x.sharding.shard_shape(x.shape) == (2, 3, 4)

    def test_a_batch_of_one_stays_whole(self):
        with logical_context(make_mesh({"data": -1})):
            x = jax.jit(lambda: constrain(jnp.zeros((1, 6, 8)), *self.names))()
        assert x.sharding.is_fully_replicated

    def test_does_nothing_outside_the_context(self):
        x = jnp.zeros((4, 6, 8))
        assert constrain(x, *self.names) is x

    def test_does_nothing_inside_shard_map(self):
        mesh = make_mesh({"data": -1})
        with logical_context(mesh):
            double = jax.shard_map(
                lambda x: constrain(2 * x, "activation_batch"), in_specs=P("data"), out_specs=P("data")
            )
            np.testing.assert_array_equal(jax.jit(double)(jnp.arange(8)), 2 * np.arange(8))

    def test_wrong_names_are_errors(self):
        with pytest.raises(ValueError, match="shape"):
            constrain(jnp.zeros((4, 6)), *self.names)
        with logical_context(make_mesh({"data": -1})), pytest.raises(ValueError, match="activation_bach"):
            constrain(jnp.zeros(4), "activation_bach")


class TestProcessShard:
    """Two processes of four devices, without starting any."""

    def shards(self, **sizes):
        shape = {axis: sizes.get(axis, 1) for axis in MESH_AXES}
        devices = [SimpleNamespace(process_index=i // 4) for i in range(8)]
        mesh = SimpleNamespace(shape=shape, devices=np.array(devices).reshape(tuple(shape.values())))
        return [partitioning.process_shard(mesh, process) for process in range(2)]

    def test_each_process_reads_its_part(self):
        assert self.shards(data=8) == [(0, 2), (1, 2)]
        assert self.shards(data=2, fsdp=2, tensor=2) == [(0, 2), (1, 2)]

    def test_processes_that_share_examples_read_the_same(self):
        assert self.shards(tensor=8) == [(0, 1), (0, 1)]
        assert self.shards(data=1, fsdp=1, tensor=4, sequence=2) == [(0, 1), (0, 1)]

    def test_this_process(self):
        assert partitioning.process_shard(make_mesh({"data": 4, "tensor": 2})) == (0, 1)
