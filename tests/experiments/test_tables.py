"""The thesis's tables as data: whole, consistent with themselves, and strict about mistakes."""

import pytest

from magvit_jax.cli.config_files import load_config
from magvit_jax.errors import UserError
from magvit_jax.evaluation.protocols import PROTOCOLS
from magvit_jax.experiments import tables
from magvit_jax.experiments.models import datasets, models
from magvit_jax.experiments.records import measure_of

ALL = tables.tables()
#: What a protocol measures under another name, or in more than one number.
CODEBOOK = ("l1", "l2", "codebook_use", "entropy_bits")


def test_every_quantitative_table_and_figure_of_the_chapters_is_there():
    found = {key for key, table in ALL.items() if table.kind == "table"}
    expected = {"3.1", "3.2", "3.3", "4.1", "4.2", "4.3", *(f"5.{i}" for i in range(1, 7))}
    expected |= {f"5.7{part}" for part in "abcd"} | {f"6.{i}" for i in range(1, 11)} | {"8.1", "8.2"}
    assert found == expected
    figures = {"fig3.1", "fig4.4", "fig5.1", "fig5.8", "fig5.9", "fig6.1", "fig6.8", "fig8.3", "fig8.5"}
    assert set(ALL) - found == figures
    keys = [key.removeprefix("fig") for key in ALL]
    assert keys.index("6.9") < keys.index("6.10") and keys[0].startswith("3") and keys[-1].startswith("8")


@pytest.mark.parametrize("table", ALL.values(), ids=lambda table: table.key)
def test_the_thesis_itself_supports_every_claim(table):
    """Catches a misread figure, and a claim that is the wrong way round."""
    for claim in table.claims:
        column = table.column(claim.better[1])
        assert column.better == table.column(claim.worse[1]).better != "", claim.id
        assert column.metric == table.column(claim.worse[1]).metric, claim.id
        a, b = (tables.figure(table.value(*side)) for side in (claim.better, claim.worse))
        if a is None or b is None:
            assert table.unreadable and tables.UNREADABLE in (table.value(*claim.better), table.value(*claim.worse))
        else:
            assert (a > b) if column.better == "higher" else (a < b), claim.id


@pytest.mark.parametrize("table", ALL.values(), ids=lambda table: table.key)
def test_what_a_table_names_is_there(table):
    for column in table.columns:
        assert not column.dataset or column.dataset in datasets()
        if column.protocol:
            metrics = PROTOCOLS[column.protocol].metrics
            assert column.metric in metrics or ("codebook" in metrics and column.metric in CODEBOOK), column.id
    assert set(table.models) <= set(models())
    says_unreadable = any(tables.UNREADABLE in row.values for row in table.rows)
    assert bool(table.unreadable) or not says_unreadable
    for row in table.rows:
        assert row.why_not
        for column, value in zip(table.columns, row.values, strict=True):
            # A figure is a number, or one of the marks that say why there is none.
            if column.measured and tables.figure(value) is None:
                assert value in ("", "-", "n/a", tables.UNREADABLE), (row.id, column.id, value)


@pytest.mark.parametrize("scale", ["mini", "paper"])
def test_no_two_cells_of_a_row_are_the_same_measurement(scale):
    for table in ALL.values():
        for row in table.rows:
            cells = [(row.model_of(column), measure_of(column, scale)) for column in table.columns]
            made = [cell for cell in cells if all(cell)]
            assert len(made) == len(set(made)), (table.key, row.id)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("76 ± 0.1", 76.0), ("94*", 94.0), ("1,085", 1085.0), ("0.1292", 0.1292), ("59.4 (layer 3)", 59.4), ("94%", 94.0),
     ("39M", 39.0), ("-", None), ("", None), ("not readable", None), ("n/a", None), ("✓", None)],
)  # fmt: skip
def test_the_number_that_a_cell_says(text, expected):
    assert tables.figure(text) == expected


def test_epochs_are_those_of_the_configs():
    """Tab. 3.1 and 6.10 against what the configs train for: steps of one batch size, the same videos."""
    for key, kind in (("3.1", ""), ("6.10", "_transformer")):
        for row in ALL[key].rows:
            for size, epochs in zip("bl", row.values, strict=True):
                model = load_config(f"magvit/{row.id}{kind}:{size}")
                videos = model.training.steps * model.data.batch_size / float(epochs)
                assert videos == pytest.approx(VIDEOS[row.id.removesuffix("_mt")], rel=1e-3), (key, row.id, size)


#: Thesis 6.5.6, where it counts them; UCF-101 and BAIR as the data sets do.
VIDEOS = dict(
    ucf101=9_537, bair=43_264, kinetics600=384_000, ssv2=169_000, nuscenes=5_400, objectron=14_400, web12m=12_000_000
)


def content(**changes):
    made = dict(
        number="9.9",
        kind="table",
        section="9",
        title="T",
        columns=[dict(id="fvd", name="FVD", metric="fvd", better="lower")],
        rows=[dict(id="a", system="A", values=["1"]), dict(id="b", system="B", values=["2"])],
        claims=[dict(id="c", says="a beats b", better=["a", "fvd"], worse=["b", "fvd"])],
    )
    return made | changes


def test_reasons_are_the_tables_where_a_row_has_none():
    rows = [dict(id="a", system="A", values=["1"]), dict(id="b", system="B", values=["2"], why_not="gone")]
    parsed = tables.parse(content(rows=rows, why_not="not here yet"), "x.toml")
    assert [row.why_not for row in parsed.rows] == ["not here yet", "gone"]
    assert [row.why_not for row in tables.parse(content(), "x.toml").rows] == [tables.OTHERS] * 2


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (dict(colour="red"), r"x\.toml: unknown key colour"),
        (dict(rows=[dict(id="a", system="A")]), r"x\.toml: row 1: missing key values"),
        (dict(rows=[dict(id="a", system="A", values=["1", "2"])]), "row 'a' has 2 values; expected 1"),
        (dict(rows=[dict(id="a", system="A", values=["1"])] * 2, claims=[]), "two rows are called 'a'"),
        (dict(columns=[dict(id="fvd", name="FVD", metric="fdv")]), "column 'fvd' has metric 'fdv'"),
        (dict(columns=[dict(id="fvd", name="F", metric="fvd", better="more")]), "better 'more'"),
        (dict(claims=[dict(id="c", says="", better=["a", "fid"], worse=["b", "fvd"])]), r"\(a, fid\), which is no"),
        (dict(rows=[dict(id="a", system="A", values=["1"], models=dict(fid="m"))], claims=[]), "models of"),
    ],
)
def test_mistakes_in_a_file_are_one_line(changes, said):
    with pytest.raises(UserError, match=said):
        tables.parse(content(**changes), "x.toml")


def test_tables_by_what_people_type():
    assert tables.load("6.8") is ALL["6.8"] and tables.load("Tab. 5.7d") is ALL["5.7d"]
    assert tables.load("fig6.8") is ALL["fig6.8"] and tables.load("Fig. 5.1") is ALL["fig5.1"]
    with pytest.raises(UserError, match=r"--table=7\.1: no such table; expected one of .*6\.10"):
        tables.load("7.1")
