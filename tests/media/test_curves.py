"""Charts: points land where the axes say, spikes and gaps survive, and text cannot break out."""

import math
import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from magvit_jax.errors import UserError
from magvit_jax.media.axes import linear_axis, log_axis
from magvit_jax.media.curves import Series, line_chart
from magvit_jax.media.metric_log import read_metrics, series_from_records

SVG = "{http://www.w3.org/2000/svg}"


def paths(svg):
    """Every curve as a list of (x, y) in pixels."""
    found = [path.get("d") for path in ET.fromstring(svg).iter(f"{SVG}path")]
    return [[tuple(map(float, pair.split())) for pair in re.split("[ML]", d) if pair] for d in found]


def labels(svg):
    """Text -> (x, y) in pixels of every text in the chart."""
    texts = ET.fromstring(svg).iter(f"{SVG}text")
    return {text.text: (float(text.get("x")), float(text.get("y"))) for text in texts}


@pytest.mark.parametrize(("log_y", "values"), [(False, [0, 10, 6]), (True, [1, 100, 10])])
def test_points_stand_at_their_ticks(log_y, values):
    steps = [200, 300, 400]  # no label of the x axis is one of the y axis
    svg = line_chart([Series("a", steps, values)], log_y=log_y)
    (curve,) = paths(svg)
    where = labels(svg)
    for (x, y), step, value in zip(curve, steps, values, strict=True):
        assert math.isclose(where[str(step)][0], x, abs_tol=0.2)
        assert math.isclose(where[str(value)][1] - 4, y, abs_tol=0.2)  # text stands 4 below its tick
    assert curve[1][1] < curve[2][1] < curve[0][1]  # larger is higher on the page


def test_points_that_are_not_finite_leave_a_gap():
    svg = line_chart([Series("a", range(6), [1, 2, float("nan"), 3, float("inf"), 4])])
    assert [len(curve) for curve in paths(svg)] == [2, 1, 1]
    assert [len(c) for c in paths(line_chart([Series("a", range(4), [1, 2, -1, 3])], log_y=True))] == [2, 1]


@pytest.mark.parametrize("series", [[], [Series("a", [], [])], [Series("a", [1], [float("nan")])]])
def test_a_chart_without_points_says_so(series):
    assert "no finite points" in labels(line_chart(series, title="empty"))


def test_one_point_and_a_flat_line_are_drawn_inside():
    for values in ([3.0], [0.0, 0.0]):
        (curve,) = paths(line_chart([Series("a", range(len(values)), values)], height=300))
        assert all(0 < y < 300 for _, y in curve)


def test_spikes_survive_thinning():
    values = np.zeros(20_000)
    values[12_345], values[777] = 9.0, -9.0
    (curve,) = paths(line_chart([Series("a", np.arange(20_000), values)]))
    heights = [y for _, y in curve]
    assert len(curve) <= 600
    assert heights.count(min(heights)) == heights.count(max(heights)) == 1
    assert max(heights) - min(heights) > 150


def test_smoothing_is_a_centred_mean_over_a_faint_raw_line():
    raw, mean = paths(line_chart([Series("a", range(5), [0, 3, 0, 3, 0])], smooth=3))
    assert len(raw) == len(mean) == 5
    assert mean[0] == raw[0] and mean[4] == raw[4]
    third = (raw[1][1] - raw[0][1]) / 3  # of the way from 0 to 3: the means are 1, 2, 1
    for index, steps in ((1, 1), (2, 2), (3, 1)):
        assert math.isclose(mean[index][1], raw[0][1] + steps * third, abs_tol=0.2)


def test_names_are_escaped_and_levels_drawn():
    svg = line_chart([Series("<b>&", [0, 1], [0, 1])], "a < b", "x & y", '"', levels={"<target>": 0.5})
    where = labels(svg)
    assert {"<b>&", "a < b", "x & y", '"', "<target>"} <= set(where)
    assert "<b>" not in svg and "<target>" not in svg


def test_levels_widen_the_axis_unless_they_have_no_place():
    line = Series("a", [0, 1], [1.0, 2.0])
    assert {"10", "far"} <= set(labels(line_chart([line], levels={"far": 10.0})))
    for value in (float("nan"), float("inf")):
        assert labels(line_chart([line], levels={"none": value})) == labels(line_chart([line]))
    assert "none" not in labels(line_chart([line], log_y=True, levels={"none": 0.0}))


def test_series_of_unequal_lengths_are_refused():
    with pytest.raises(ValueError, match="'a' has 2 x values but 1 y"):
        Series("a", [1, 2], [1])


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0, 10], ["0", "2", "4", "6", "8", "10"]),
        ([0.012, 0.049], ["0.01", "0.02", "0.03", "0.04", "0.05"]),
        ([-1, 1], ["-1.0", "-0.5", "0", "0.5", "1.0"]),
        ([0, 40_000], ["0", "10k", "20k", "30k", "40k"]),
        ([0, 20_000], ["0", "5k", "10k", "15k", "20k"]),
        ([0, 3e6], ["0", "1M", "2M", "3M"]),
        ([0, 2e-6], ["0", "5e-07", "1e-06", "1.5e-06", "2e-06"]),
    ],
)
def test_linear_ticks(values, expected):
    axis = linear_axis(values)
    assert [label for _, label in axis.ticks] == expected
    assert axis.low <= min(values) and axis.high >= max(values)


def test_log_ticks():
    assert [label for _, label in log_axis([0.02, 0.4]).ticks] == ["0.02", "0.05", "0.1", "0.2", "0.5"]
    assert [label for _, label in log_axis([1, 1000]).ticks] == ["1", "10", "100", "1,000"]
    wide = log_axis([1e-12, 1e6])
    assert len(wide.ticks) <= 8 and wide.low <= 1e-12 and wide.high >= 1e6
    assert math.isclose(log_axis([1, 100]).fraction(10), 0.5)
    narrow = log_axis([3.1, 3.2])
    assert narrow.low < 3.1 and narrow.high > 3.2
    same = log_axis([2.0])
    assert 0 < same.fraction(2.0) < 1


def test_metrics_file_to_series(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text(
        '{"step": 1, "loss": 2.0}\n\n{"step": 2, "psnr": 20}\n{"step": 3, "loss": NaN}\n{"step": 4, "lo'
    )
    records = read_metrics(path)
    assert [record["step"] for record in records] == [1, 2, 3]
    loss = series_from_records(records, "loss", "training")
    assert (loss.name, loss.x) == ("training", [1, 3]) and loss.y[0] == 2.0 and math.isnan(loss.y[1])
    path.write_text('{"step": 1\n{"step": 2}\n')
    with pytest.raises(UserError, match=r"metrics\.jsonl: line 1 is not JSON"):
        read_metrics(path)
    path.write_text("[1]\n{}\n")
    with pytest.raises(UserError, match="line 1 is not a JSON object"):
        read_metrics(path)
    with pytest.raises(UserError, match=r"none\.jsonl: no such file"):
        read_metrics(tmp_path / "none.jsonl")
