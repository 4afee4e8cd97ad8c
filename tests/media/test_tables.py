"""Tables for the terminal and the judgement of results."""

import pytest

from magvit_jax.media.tables import Result, display_width, number, results_text, text_table


@pytest.mark.parametrize(
    ("ours", "target", "better", "met"),
    [
        (22.0, 22.0, "higher", True),
        (21.9, 22.0, "higher", False),
        (0.01, 0.01, "lower", True),
        (0.02, 0.01, "lower", False),
        (float("nan"), 1.0, "lower", False),
        (float("nan"), 1.0, "higher", False),
        (5.0, None, "higher", None),
    ],
)
def test_met(ours, target, better, met):
    assert Result("m", ours, target=target, better=better).met is met


def test_better_has_two_values():
    with pytest.raises(ValueError, match="'up'"):
        Result("m", 1.0, better="up")


def test_numbers_for_people():
    assert number(3.14159) == "3.14"
    assert number(1234567.0, 0) == "1,234,567"
    assert number(3.2e-14) == "3.2e-14"
    assert number(0.0) == "0.00"
    assert number(0.004) == "4.0e-03" and number(0.006) == "0.01"
    assert number(-7, 1, "dB") == "-7.0 dB"
    assert number(float("nan"), 1, "dB") == "nan dB"
    assert number(None, 1, "dB") == ""


def test_results_in_columns():
    lines = results_text(
        [
            Result("PSNR", 24.31, baseline=17.2, target=22, unit="dB", baseline_name="mean frame"),
            Result("p-value", 3e-5, target=0.01, better="lower"),
            Result("memory", 8.6, target=8, better="lower", unit="GB", digits=1),
        ]
    ).splitlines()
    assert lines[0].split() == [
        "measure",
        "ours",
        "baseline",
        "target",
        "met?",
    ]  # no ceiling anywhere: no column
    assert lines[2].split("  ")[0] == "PSNR" and lines[2].endswith("≥ 22.00 dB  yes")
    assert "3.0e-05" in lines[3] and lines[3].endswith("≤ 0.01  yes")
    assert lines[4].endswith("≤ 8.0 GB  no")
    assert lines[2].index("24.31 dB") + 8 == lines[4].index("8.6 GB") + 6  # flush right


def test_columns_line_up_in_terminal_cells():
    rows = [["数字", 1], ["e\u0301tude", 22], ["plain\ntext", None]]
    lines = text_table(rows, header=["name", "n"]).splitlines()
    assert lines == [
        "name         n",
        "──────────  ──",
        "数字         1",
        "e\u0301tude       22",
        "plain text",
    ]
    assert display_width("数字") == 4 and display_width("e\u0301") == 1


def test_ragged_rows_and_empty_tables():
    assert text_table([["a"], ["b", "c"]]) == "a\nb  c"
    assert text_table([]) == ""
    assert text_table([], header=["a", "b"]) == "a  b\n─  ─"
    assert text_table(iter([[1, "x"], [22, "y"]]), align="r") == " 1  x\n22  y"
