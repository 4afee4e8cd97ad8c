"""Verdicts over paired seeds, the pages made of them, and that nothing of the thesis's gets into our column."""

import re
from pathlib import Path

import pytest

from magvit_jax.errors import UserError
from magvit_jax.experiments import claims, claims_page, records, report, tables
from magvit_jax.experiments.records import READY, Record

ROOT = Path(__file__).parents[2]
MEASURE = "frame_prediction fd_small"
LINES = {"commit": "bair_fp_commit", "latent": "bair_fp_latent", "prefix": "bair_fp_prefix"}


def run(model, seed, **values):
    return dict(model=model, seed=seed, config="c", steps=9, fingerprint="f", parameters=5, values=values) | dict(
        train_seconds=60.0, measure_seconds=30.0
    )


def record(**by_row):
    """FP fd_small by row and seed, such as commit={0: 1.0}."""
    runs = [
        run(LINES[row], seed, **{MEASURE: value, "tokens": 128.0})
        for row, values in by_row.items()
        for seed, value in values.items()
    ]
    skipped = {model: READY for model in tables.load("6.8").models if model not in {one["model"] for one in runs}}
    return Record("6.8", "mini", "toy clips", {"jax": "0"}, runs, skipped)


def verdicts(made):
    return {one.claim.id: one for one in claims.check(tables.load("6.8"), made)}


SEEDS = range(5)


def test_a_claim_is_reproduced_where_all_five_pairs_say_so():
    made = record(
        commit={s: 1.0 + s for s in SEEDS}, latent={s: 1.5 + 1.01 * s for s in SEEDS},
        prefix={s: 0.5 + 0.99 * s for s in SEEDS},
    )  # fmt: skip
    found = verdicts(made)
    better = found["commit_latent_fp"]
    assert (better.state, better.p_value, better.seeds) == ("reproduced", 1 / 16, (0, 1, 2, 3, 4))
    assert better.means == pytest.approx((3.0, 3.52)) and better.difference.estimate == pytest.approx(-0.52)
    assert better.difference.high < 0 and better.measure == MEASURE
    assert found["commit_prefix_fp"].state == "not reproduced"


def test_a_claim_is_undecided_where_one_pair_disagrees_or_seeds_are_too_few():
    latent = {s: 1.5 + s for s in SEEDS} | {3: 3.9}
    found = verdicts(record(commit={s: 1.0 + s for s in SEEDS}, latent=latent))
    assert found["commit_latent_fp"].state == "undecided" and not found["commit_latent_fp"].why
    few = verdicts(record(commit={0: 1.0, 1: 1.1, 7: 9.0}, latent={0: 2.0, 1: 2.2, 8: 0.0}))["commit_latent_fp"]
    assert (few.state, few.seeds, few.why) == ("undecided", (0, 1), "2 seeds; 5 are needed to decide")


def test_a_claim_that_was_not_run_says_why():
    found = verdicts(record(commit={0: 1.0}, latent={1: 1.0}))
    assert (found["commit_latent_fp"].state, found["commit_latent_fp"].why) == ("not run", "0 seed in common")
    assert found["recons_fp"].why == READY
    # A side that can never run weighs more than one that only waits.
    tats = {one.claim.id: one for one in claims.check(tables.load("3.2"), records.empty(tables.load("3.2"), "mini"))}
    assert tats["3d_tats"].why == "TATS [63] 3D-VQ: another paper's system" and tats["3d_2d"].why == READY


def test_the_table_shows_ours_beside_the_thesis(tmp_path):
    made = record(commit={s: 1.0 + s for s in SEEDS}, latent={0: 2.0})
    table = tables.load("6.8")
    text = report.as_markdown(table, made)
    line = next(line for line in text.splitlines() if "L_refine" in line and line.startswith("| COMMIT"))
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    assert cells[1:] == ["1024", "128", "48", "3 ± 1.6 (5)", "33", "not run (1)"]
    assert "- not run (1): ready to run" in text and "toy clips" in text
    assert "reproduced" not in text and "undecided" not in text  # one pair decides nothing
    assert "magvit train --config=ablations/masking:commit " in text
    page = report.as_html(table, made)
    assert "<script" not in page and "http" not in re.sub(r'href="data:,"', "", page)
    assert "3 ± 1.6 (5)" in page and "COMMIT beats latent masking in frame prediction" in page


@pytest.mark.parametrize("key", list(tables.tables()))
def test_our_column_holds_no_number_that_was_not_measured(key):
    """Of a table that never ran: every cell of ours is empty or says "not run", and every reason is given."""
    table = tables.tables()[key]
    for scale in ("mini", "paper"):
        page = report.Page(table, records.empty(table, scale))
        header, rows = page.header(), page.rows()
        ours = [cell for row in rows for name, cell in zip(header, row, strict=True) if name.startswith("ours")]
        asked = sum(column.measured for column in table.columns) * len(table.rows)
        assert len(ours) == asked
        assert all(cell == "" or re.fullmatch(r"not run \(\d+\)", cell) for cell in ours)
        numbers = {int(found) for cell in ours for found in re.findall(r"\d+", cell)}
        assert numbers == set(range(1, len(page.reasons) + 1))
        assert all(reason for reason in page.reasons)


def test_records_survive_being_stored(tmp_path):
    made = record(commit={0: 1.0, 4: 2.0})
    path = records.write(made, tmp_path)
    assert path.name == "6.8_mini.json"
    back = records.stored(tmp_path)["6.8", "mini"]
    row, column = tables.load("6.8").row("commit"), tables.load("6.8").column("fp_fvd")
    assert back.cell(row, column) == {0: 1.0, 4: 2.0} and back.made_with == {"jax": "0"}
    (tmp_path / "bad.json").write_text("[]")
    with pytest.raises(UserError, match=r"bad\.json: no results of a table"):
        records.stored(tmp_path)


def test_numbers_as_people_read_them():
    assert records.text_of({0: 1.23456, 1: 1.5}) == "1.367 ± 0.19 (2)"
    assert records.text_of({0: 128.0, 1: 128.0}) == "128" and records.text_of({0: 0.5}) == "0.5 (1)"
    assert records.text_of({0: 1234567.0}) == "1,234,567"


def test_the_page_of_claims_shows_what_was_stored(tmp_path):
    records.write(record(commit={s: 1.0 + s for s in SEEDS}, latent={s: 2.0 + s for s in SEEDS}), tmp_path)
    text = claims_page.page(tmp_path)
    total = sum(len(table.claims) for table in tables.tables().values())
    assert f"{total} claims: 1 reproduced, 0 not reproduced, 0 undecided, {total - 1} not run." in text
    assert "| COMMIT beats latent masking in frame prediction | 48 against 74 | 3 against 4 |" in text
    assert "10 runs, 1.5 minutes each" in text and "| ready to run |" in text


def test_the_shipped_page_is_what_the_stored_results_say():
    """`python tools/make_claims.py` writes it."""
    shipped = (ROOT / "docs" / "claims.md").read_text(encoding="utf-8")
    assert shipped == claims_page.page(ROOT / "experiments" / "results")
