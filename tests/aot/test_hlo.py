"""The reader of optimised programs against programs written out by hand, whose numbers can be worked out."""

from collections import Counter

import pytest

from magvit_jax.aot import hlo, hlo_text, values
from magvit_jax.aot.chips import CHIPS
from magvit_jax.aot.hlo_collectives import group_size
from magvit_jax.aot.hlo_shapes import parse_shape
from magvit_jax.aot.report import bounds

#: A loop of five iterations around a fused product of [8, 16] and [16, 32], and an all-reduce of its result; the
#: second operand is one of the five layers of a stacked weight.
LOOP = """
HloModule jit_step, is_scheduled=true

%sum (a: f32[], b: f32[]) -> f32[] {
  %a = f32[] parameter(0)
  %b = f32[] parameter(1)
  ROOT %add = f32[] add(%a, %b)
}

%fused (p0: f32[8,16], p1: f32[5,16,32], p2: s32[]) -> f32[8,32] {
  %p0 = f32[8,16]{1,0} parameter(0)
  %p1 = f32[5,16,32]{2,1,0} parameter(1)
  %p2 = s32[] parameter(2)
  %zero = s32[] constant(0)
  %layer = f32[1,16,32]{2,1,0} dynamic-slice(%p1, %p2, %zero, %zero), dynamic_slice_sizes={1,16,32}
  %weight = f32[16,32]{1,0} bitcast(%layer)
  ROOT %dot = f32[8,32]{1,0} dot(%p0, %weight), lhs_contracting_dims={1}, rhs_contracting_dims={0}
}

%body (state: (s32[], f32[8,16], f32[5,16,32], f32[8,32])) -> (s32[], f32[8,16], f32[5,16,32], f32[8,32]) {
  %state = (s32[], f32[8,16]{1,0}, f32[5,16,32]{2,1,0}, /*index=3*/f32[8,32]{1,0}) parameter(0)
  %i = s32[] get-tuple-element(%state), index=0
  %x = f32[8,16]{1,0} get-tuple-element(%state), index=1
  %w = f32[5,16,32]{2,1,0} get-tuple-element(%state), index=2
  %y = f32[8,32]{1,0} fusion(%x, %w, %i), kind=kOutput, calls=%fused
  %z = f32[8,32]{1,0} all-reduce(%y), replica_groups=[2,4]<=[8], to_apply=%sum, metadata={op_name="jit(f)/loss (x)"}
  %one = s32[] constant(1)
  %next = s32[] add(%i, %one)
  ROOT %out = (s32[], f32[8,16]{1,0}, f32[5,16,32]{2,1,0}, f32[8,32]{1,0}) tuple(%next, %x, %w, %z)
}

%condition (state.1: (s32[], f32[8,16], f32[5,16,32], f32[8,32])) -> pred[] {
  %state.1 = (s32[], f32[8,16]{1,0}, f32[5,16,32]{2,1,0}, f32[8,32]{1,0}) parameter(0)
  %i.1 = s32[] get-tuple-element(%state.1), index=0
  %end = s32[] constant(5)
  ROOT %lt = pred[] compare(%i.1, %end), direction=LT
}

ENTRY %main (x.0: f32[8,16], w.0: f32[5,16,32], y.0: f32[8,32]) -> f32[8,32] {
  %x.0 = f32[8,16]{1,0} parameter(0)
  %w.0 = f32[5,16,32]{2,1,0} parameter(1)
  %y.0 = f32[8,32]{1,0} parameter(2)
  %start = s32[] constant(0)
  %init = (s32[], f32[8,16]{1,0}, f32[5,16,32]{2,1,0}, f32[8,32]{1,0}) tuple(%start, %x.0, %w.0, %y.0)
  %loop = (s32[], f32[8,16]{1,0}, f32[5,16,32]{2,1,0}, f32[8,32]{1,0}) while(%init), condition=%condition, body=%body
  ROOT %result = f32[8,32]{1,0} get-tuple-element(%loop), index=3
}
"""
FLOPS, FUSED_BYTES, REDUCED = 2 * 8 * 16 * 32, 4 * (8 * 16 + 16 * 32 + 8 * 32 + 1), 4 * 8 * 32


def test_a_loop_is_counted_as_often_as_it_runs():
    counts = hlo.count(LOOP, 8)
    assert counts.flops == 5 * FLOPS
    # Of the stacked weight a fusion reads its own layer; the all-reduce reads and writes; the counter takes 12 bytes
    # and its comparison 9.
    assert counts.hbm_bytes == 5 * (FUSED_BYTES + 2 * REDUCED + 3 * 4 + 9)
    assert counts.of_kind("all-reduce") == (5, 5 * REDUCED, pytest.approx(5 * REDUCED * 2 * 3 / 4))
    assert not counts.unknown_loops


@pytest.mark.parametrize(
    ("old", "new", "trips"),
    [
        ("constant(5)", "constant(7)", 7),
        ("direction=LT", "direction=LE", 6),
        ("%one = s32[] constant(1)", "%one = s32[] constant(2)", 3),
        ("%start = s32[] constant(0)", "%start = s32[] constant(3)", 2),
        (", body=%body", ', body=%body, backend_config={"known_trip_count":{"n":"9"}}', 9),
    ],
)
def test_trip_counts(old, new, trips):
    assert hlo.count(LOOP.replace(old, new), 8).flops == trips * FLOPS


def test_a_loop_of_unknown_length_is_said_to_be_one():
    unknown = '%start = s32[] custom-call(), custom_call_target="x"'
    counts = hlo.count(LOOP.replace("%start = s32[] constant(0)", unknown))
    assert counts.flops == FLOPS
    assert counts.unknown_loops == ["loop"]


def in_entry(lines):
    return "ENTRY %main (p: f32[]) -> f32[] {\n" + "\n".join(f"  {line}" for line in lines) + "\n}\n"


@pytest.mark.parametrize(
    ("shapes", "attributes", "multiplications"),
    [
        # 3 x 3 over 8 x 8 with zeros around: a border of taps falls outside, (3 * 8 - 2) pairs along each axis.
        (("[2,8,8,4]", "[3,3,4,16]", "[2,8,8,16]"),
         "window={size=3x3 pad=1_1x1_1}, dim_labels=b01f_01io->b01f", 2 * 4 * 16 * 22**2),
        # Strided: output o reads 2 o - 1 .. 2 o + 1, of which only the first is outside.
        (("[2,8,8,4]", "[3,3,4,16]", "[2,4,4,16]"),
         "window={size=3x3 stride=2x2 pad=1_0x1_0}, dim_labels=b01f_01io->b01f", 2 * 4 * 16 * 11**2),
        # How TPUs write a batched product: the batch as a dilated axis, each example meeting its own.
        (("[4,10,6]", "[4,7,6]", "[4,10,7]"),
         "window={size=4 stride=3 lhs_dilate=4}, dim_labels=0bf_0oi->0bf", 4 * 10 * 7 * 6),
        # A contraction over an axis besides the features.
        (("[4,10,6]", "[4,10,7]", "[6,7,1]"), "window={size=4}, dim_labels=0fb_0io->bf0", 4 * 10 * 6 * 7),
        # Two groups of features.
        (("[2,8,4]", "[1,2,16]", "[2,8,16]"),
         "window={size=1}, dim_labels=b0f_0io->b0f, feature_group_count=2", 2 * 8 * 2 * 16),
    ],
)  # fmt: skip
def test_flops_of_convolutions(shapes, attributes, multiplications):
    x, w, y = shapes
    text = in_entry(
        [
            f"%x = bf16{x} parameter(0)",
            f"%w = bf16{w} parameter(1)",
            f"ROOT %y = bf16{y} convolution(%x, %w), {attributes}",
        ]
    )
    assert hlo.count(text).flops == 2 * multiplications


def test_what_stays_on_the_chip_is_no_traffic_and_tiles_are_padded():
    (array,) = parse_shape("bf16[4,100,3]{2,1,0:T(8,128)(2,1)}")
    assert (array.size, array.stored, array.hbm) == (2400, 2 * 4 * 104 * 128, 2 * 4 * 104 * 128)
    (kept,) = parse_shape("bf16[4,100,3]{2,1,0:T(8,128)(2,1)S(1)}")
    assert (kept.stored, kept.hbm) == (array.stored, 0)
    text = in_entry(
        [
            "%x = f32[1024]{0} parameter(0)",
            "%s = (f32[1024]{0:S(1)}, f32[1024]{0}, u32[]{:S(2)}) copy-start(%x)",
            "%d = f32[1024]{0:S(1)} copy-done(%s)",
            "ROOT %y = f32[1024]{0:S(1)} negate(%d)",
        ]
    )
    assert hlo.count(text).hbm_bytes == 4096  # read once; written to VMEM and used there


def test_an_update_in_place_writes_the_update():
    text = """
%fused (p0: f32[100,64], p1: f32[1,64], p2: s32[]) -> f32[100,64] {
  %p0 = f32[100,64]{1,0} parameter(0)
  %p1 = f32[1,64]{1,0} parameter(1)
  %p2 = s32[] parameter(2)
  ROOT %u = f32[100,64]{1,0} dynamic-update-slice(%p0, %p1, %p2, %p2)
}

ENTRY %main (a: f32[100,64], b: f32[1,64], i: s32[]) -> f32[100,64] {
  %a = f32[100,64]{1,0} parameter(0)
  %b = f32[1,64]{1,0} parameter(1)
  %i = s32[] parameter(2)
  ROOT %f = f32[100,64]{1,0} fusion(%a, %b, %i), kind=kLoop, calls=%fused
}
"""
    assert hlo.count(text).hbm_bytes == 256 + 256 + 4


@pytest.mark.parametrize(
    ("groups", "size"),
    [
        ("replica_groups={{0,1},{2,3},{4,5},{6,7}}", 2),
        ("replica_groups=[2,4]<=[8]", 4),
        ("replica_groups=[4,2]<=[2,2,2]T(1,0,2)", 2),
        ("replica_groups=mesh['axis_0'=4,'axis_1'=2] {'axis_0'}", 4),
        ("replica_groups=mesh['axis_0'=4,'axis_1'=2] {'axis_0','axis_1'}", 8),
        ("replica_groups={}", 8),
    ],
)
def test_group_sizes(groups, size):
    text = in_entry(["%x = f32[8]{0} parameter(0)", f"ROOT %y = f32[8]{{0}} all-reduce(%x), {groups}, to_apply=%sum"])
    assert group_size(hlo_text.parse(text).entry.root, 8) == size


@pytest.mark.parametrize(
    ("line", "kind", "payload", "wire"),
    [
        ("f32[64]{0} all-gather(%x), replica_groups=[1,8]<=[8], dimensions={0}", "all-gather", 256, 224),
        ("(f32[8]{0}, f32[64]{0}) all-gather-start(%x), replica_groups=[1,8]<=[8]", "all-gather", 256, 224),
        ("f32[8]{0} all-reduce-start(%x), replica_groups=[1,8]<=[8], to_apply=%sum", "all-reduce", 32, 56),
        ("f32[1]{0} reduce-scatter(%x), replica_groups=[1,8]<=[8], to_apply=%sum", "reduce-scatter", 32, 28),
        ("f32[8]{0} all-to-all(%x), replica_groups=[1,8]<=[8]", "all-to-all", 32, 28),
        ("(f32[8]{0}, f32[8]{0}, u32[]) collective-permute-start(%x), source_target_pairs={{0,1}}",
         "collective-permute", 32, 32),
    ],
)  # fmt: skip
def test_what_collectives_send(line, kind, payload, wire):
    counts = hlo.count(in_entry(["%x = f32[8]{0} parameter(0)", f"ROOT %y = {line}"]), 8)
    assert counts.of_kind(kind) == (1, payload, wire)
    assert counts.wire_bytes == wire


def test_an_all_reduce_of_which_only_a_part_is_kept_is_a_reduce_scatter():
    text = in_entry(
        [
            "%x = f32[64]{0} parameter(0)",
            "%i = s32[] parameter(1)",
            "%r = f32[64]{0} all-reduce(%x), replica_groups=[1,8]<=[8], to_apply=%sum",
            "ROOT %y = f32[8]{0} dynamic-slice(%r, %i), dynamic_slice_sizes={8}",
        ]
    )
    assert hlo.count(text, 8).of_kind("reduce-scatter") == (1, 256, 224)


def test_kernels_count_what_they_say_and_are_listed_where_they_say_nothing():
    call = 'custom-call(%x), custom_call_target="tpu_custom_call", metadata={op_name="jit(f)/NAME/pallas_call"}'
    estimate = '"cost_estimate":{"flops":"1000","bytes_accessed":"500"}'
    known = f', backend_config={{"custom_call_config":{{{estimate},"body":"x"}}}}'
    text = in_entry(
        [
            "%x = f32[8]{0} parameter(0)",
            f"%a = f32[8]{{0}} {call.replace('NAME', 'flash')}{known}",
            f"ROOT %b = f32[8]{{0}} {call.replace('NAME', 'silent')}",
        ]
    )
    counts = hlo.count(text)
    assert counts.flops == 1000
    assert counts.hbm_bytes == 500 + 2 * 32
    assert (dict(counts.kernels), dict(counts.uncounted)) == ({"flash": 1}, {"silent": 1})


def test_values_with_a_leading_dimension_are_found_in_loops_too():
    module = hlo_text.parse(LOOP)
    assert {str(array) for array, _ in values.leading(module, 8)} == {"f32[8,16]", "f32[8,32]"}
    assert values.leading(module, 7) == []
    assert [str(array) for array, _ in values.largest_values(module, 1)] == ["f32[8,32]"]


def test_what_an_asynchronous_computation_does_is_counted_once():
    text = """
%wrapped (p: f32[64]) -> f32[8] {
  %p = f32[64]{0} parameter(0)
  ROOT %r = f32[8]{0} reduce-scatter(%p), replica_groups=[1,8]<=[8], dimensions={0}, to_apply=%sum
}

ENTRY %main (x: f32[64]) -> f32[8] {
  %x = f32[64]{0} parameter(0)
  %s = ((f32[64]{0}), f32[8]{0}, u32[]) async-start(%x), calls=%wrapped
  ROOT %d = f32[8]{0} async-done(%s)
}
"""
    counts = hlo.count(text, 8)
    assert counts.of_kind("reduce-scatter") == (1, 256, 224)
    assert counts.hbm_bytes == 256 + 32


def test_a_bound_never_promises_more_than_the_chip_has():
    """Kernels that do not say what they do still have to do what the model needs."""
    chip, needed = CHIPS["v5e"], 4 * 197e12
    assert bounds(hlo.Counts(flops=2e12, hbm_bytes=1.0), needed, 4, chip).mfu > 1  # a program that does less than that
    silent = hlo.Counts(flops=2e12, hbm_bytes=1.0, uncounted=Counter({"attention": 3}))
    assert bounds(silent, needed, 4, chip).mfu == pytest.approx(1.0)
    assert bounds(silent, needed, 4, chip).compute == pytest.approx(1.0)
    slow = hlo.Counts(flops=197e12, hbm_bytes=2 * 819e9)
    assert (bounds(slow, needed, 4, chip).limit, bounds(slow, needed, 4, chip).mfu) == ("hbm", pytest.approx(0.5))
