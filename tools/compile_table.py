"""The table of what fits where: every shipped large model on TPU slices from 4 to 256 chips, compiled ahead of time.

    python tools/compile_table.py --folder=FOLDER [--only=REGEX] [--list]

Runs `magvit compile --no-code` for each row whose JSON is not yet in the folder, one after another, and prints the
tables as markdown from what is there. Needs libtpu (`pip install -e '.[aot]'`) and no TPU. `--only` takes the rows
whose name the expression finds; `--list` prints their commands and runs nothing.

Three tables: whether the published batch fits; what a chip sends at 64 and at 256 chips with the same batch a chip;
and whether any value carries the global batch, with a batch that no other dimension equals.
"""

import argparse
import json
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

GIB = 2**30
TOPOLOGIES = {
    "v5e": {4: "v5e:2x2", 16: "v5e:4x4", 64: "v5e:8x8", 256: "v5e:16x16"},
    "v5p": {4: "v5p:2x2x1", 16: "v5p:2x2x4", 64: "v5p:4x4x4", 256: "v5p:4x8x8"},
}
ON_TOKENS = ("tokenizer=magvit2/video_tokenizer", "data.source=token_shards")


@dataclass(frozen=True)
class Model:
    """A config, its published batch (or what stands for it), and clips a chip computes at once, by chip."""

    config: str
    overrides: tuple[str, ...]
    batch: int
    rows: dict[str, int]
    layout: dict[str, str]


MODELS = {
    "tokenizer": Model(
        "magvit2/video_tokenizer", ("perceptual.weight=0",), 256, dict(v5e=1, v5p=4), dict(v5e="fsdp", v5p="data")
    ),
    "masked_l": Model("magvit2/masked_video:l", ON_TOKENS, 256, dict(v5e=4, v5p=16), dict(v5e="data", v5p="data")),
    "masked_h": Model("magvit2/masked_video:h", ON_TOKENS, 256, dict(v5e=2, v5p=8), dict(v5e="fsdp", v5p="data")),
    "lm_300m": Model("videopoet/prefix_lm:300m", ON_TOKENS, 1024, dict(v5e=4, v5p=16), dict(v5e="fsdp", v5p="fsdp")),
    "lm_1b": Model("videopoet/prefix_lm:1b", ON_TOKENS, 1024, dict(v5e=4, v5p=16), dict(v5e="fsdp", v5p="fsdp")),
    "lm_8b": Model("videopoet/prefix_lm:8b", ON_TOKENS, 1024, dict(v5e=4, v5p=4), dict(v5e="tensor4", v5p="fsdp")),
}


@dataclass(frozen=True)
class Row:
    """One compilation; `table` is "fits", "flat" or "batch". Layout "fsdp16" is 16 chips, all others over
    `data`; "tensor4" is 4, all others over `fsdp`."""

    table: str
    model: str
    chip: str
    chips: int
    layout: str
    batch: int
    microbatches: int

    @property
    def name(self) -> str:
        return f"{self.table}-{self.model}-{self.chip}-{self.chips}-{self.layout}"

    def command(self, folder: Path) -> list[str]:
        model = MODELS[self.model]
        mesh = dict(
            data=dict(data=self.chips, fsdp=1),
            fsdp=dict(data=1, fsdp=self.chips),
            fsdp16=dict(data=self.chips // 16, fsdp=16),
            tensor4=dict(data=1, fsdp=self.chips // 4, tensor=4),
        )[self.layout]
        values = [*model.overrides, f"data.batch_size={self.batch}", f"training.microbatches={self.microbatches}"]
        values += [f"mesh.{axis}={size}" for axis, size in mesh.items()]
        return [
            sys.executable, "-m", "magvit_jax", "compile", "--no-code", f"--config={model.config}",
            f"--topology={TOPOLOGIES[self.chip][self.chips]}", *(f"--config.{value}" for value in values),
            f"--json={folder / self.name}.json",
        ]  # fmt: skip


def rows() -> list[Row]:
    found = []
    for name, model in MODELS.items():
        for chip, sizes in TOPOLOGIES.items():
            at_once, layout = model.rows[chip], model.layout[chip]
            for chips in sizes:
                parts = chips // 4 if layout == "tensor4" else chips  # that hold other examples
                micro = max(1, model.batch // (parts * at_once))
                found.append(Row("fits", name, chip, chips, layout, model.batch, micro))
            for kind in ("data", "fsdp", "fsdp16"):
                found += [Row("flat", name, chip, chips, kind, chips * at_once, 1) for chips in (64, 256)]
        found.append(Row("batch", name, "v5p", 4, "fsdp", 28, 1))
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, required=True, help="where the rows' JSON files are kept")
    parser.add_argument("--only", default="", help="regular expression: rows whose name it finds")
    parser.add_argument("--list", action="store_true", help="print the commands, run nothing")
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    chosen = [row for row in rows() if re.search(args.only, row.name)]
    for row in chosen:
        command = row.command(args.folder)
        if args.list:
            print(shlex.join(["magvit", *command[3:]]))
        elif not (args.folder / f"{row.name}.json").exists():
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode not in (0, 1) or not (args.folder / f"{row.name}.json").exists():
                print(f"{row.name}: {done.stderr.strip().splitlines()[-1]}", file=sys.stderr)
    if not args.list:
        print(tables(args.folder))
    return 0


def tables(folder: Path) -> str:
    """All three tables from the files of a folder."""
    found = {}
    for row in rows():
        path = folder / f"{row.name}.json"
        if path.exists():
            found[row] = json.loads(path.read_text())
    parts = [
        ("Does it fit?", _FITS, [_fits(row, x) for row, x in found.items() if row.table == "fits"]),
        ("Sent by a chip in a step, the same batch a chip", _FLAT, _flat(found)),
        (
            "Values with the global batch in front",
            _BATCH,
            [_batch(row, x) for row, x in found.items() if row.table == "batch"],
        ),
    ]
    return "\n\n".join(f"### {title}\n\n{_markdown(header, lines)}" for title, header, lines in parts if lines)


_FITS = "model|slice|layout|batch x parts|fits|GiB a chip|state|temporaries|TFLOP a chip|MB sent|bound|MFU bound"
_FLAT = "model|chip|layout|batch a chip|MB sent, 64 chips|256 chips|ratio|what differs"
_BATCH = "model|slice|batch|fits|values"


def _fits(row: Row, x: dict) -> list[str]:
    what = f"{x['batch'] // x['microbatches']} x {x['microbatches']}"
    start = [row.model, x["topology"], row.layout, what, "yes" if x["fits"] else "**no**", f"{x['needed_gib']:.2f}"]
    if x["program"] is None:
        return [*start, *["-"] * 6]
    memory, program, bounds = x["memory"], x["program"], x["bounds"]
    return [
        *start,
        f"{memory['arguments'] / GIB:.2f}",
        f"{memory['temporaries'] / GIB:.2f}",
        f"{program['flops'] / 1e12:.1f}",
        f"{program['wire_bytes'] / 1e6:,.0f}",
        f"{bounds['limit']} {bounds['roofline']:.2f} s",
        f"{100 * bounds['mfu']:.0f}%",
    ]


def _flat(found: dict[Row, dict]) -> list[list[str]]:
    pairs: dict[tuple[str, str, str], dict[int, dict]] = {}
    for row, x in found.items():
        if row.table == "flat" and x["program"] is not None:
            pairs.setdefault((row.model, row.chip, row.layout), {})[row.chips] = x
    lines = []
    for (model, chip, layout), by_chips in pairs.items():
        if set(by_chips) != {64, 256}:
            continue
        small, large = (by_chips[n]["program"] for n in (64, 256))
        ratio = large["wire_bytes"] / small["wire_bytes"]
        lines.append([
            model, chip, layout, str(by_chips[64]["batch"] // 64), f"{small['wire_bytes'] / 1e6:,.1f}",
            f"{large['wire_bytes'] / 1e6:,.1f}", f"{ratio:.3f}", _difference(small, large),
        ])  # fmt: skip
    return lines


def _difference(small: dict, large: dict) -> str:
    """By kind, MB at 64 and at 256 chips."""
    kinds = {x["kind"]: x["wire"] for x in small["collectives"]}
    more = {x["kind"]: x["wire"] for x in large["collectives"]}
    names = sorted({*kinds, *more}, key=lambda name: -more.get(name, 0))
    return ", ".join(f"{n} {kinds.get(n, 0) / 1e6:,.1f} -> {more.get(n, 0) / 1e6:,.1f}" for n in names)


def _batch(row: Row, x: dict) -> list[str]:
    values = "-" if x["program"] is None else ", ".join(v["shape"] for v in x["program"]["global_batch"]) or "none"
    return [row.model, x["topology"], str(x["batch"]), "yes" if x["fits"] else "**no**", values]


def _markdown(header: str, lines: list[list[str]]) -> str:
    names = header.split("|")
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (names, ["---"] * len(names), *lines))


if __name__ == "__main__":
    sys.exit(main())
