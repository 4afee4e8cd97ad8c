"""What an ahead-of-time compilation says about a program, as numbers, as text and as JSON."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from magvit_jax.aot.chips import Chip
from magvit_jax.aot.hlo import Counts
from magvit_jax.aot.memory import GIB, Exhausted, Memory


@dataclass(frozen=True)
class Traffic:
    """The collectives of one kind that a chip takes part in during one call.

    Attributes:
      operations: how many.
      payload: bytes that go in or come out, whichever are more.
      wire: bytes that the chip sends, by the ring algorithm.
    """

    kind: str
    operations: float
    payload: float
    wire: float


@dataclass(frozen=True)
class LargestCollective:
    """Collectives of one kind, size and group, and where in the program they come from."""

    kind: str
    shape: str
    group: int
    operations: float
    wire: float
    op_name: str


@dataclass(frozen=True)
class Activation:
    """A value that a program keeps in HBM."""

    shape: str
    bytes: int
    op_name: str


@dataclass(frozen=True)
class Program:
    """What one call does on one chip, counted from the optimised program, loops as often as they run.

    Attributes:
      flops: of matrix products and convolutions, with recomputation and padding.
      hbm_bytes: read and written.
      collectives: by kind.
      largest: the collectives that send most.
      activations: the largest values.
      global_batch: values whose leading dimension is a multiple of the global batch; there should be none.
      compiler_seconds: the compiler's estimate of its fusions, one after another, without collectives; None where it
        makes none.
      kernels: runs of Pallas kernels that say what they cost, by name; counted above.
      uncounted: runs of those that don't; counted nowhere.
      unknown_loops: loops of unknown length, counted as one iteration.
    """

    flops: float
    hbm_bytes: float
    collectives: tuple[Traffic, ...]
    largest: tuple[LargestCollective, ...]
    activations: tuple[Activation, ...]
    global_batch: tuple[Activation, ...]
    compiler_seconds: float | None
    kernels: Mapping[str, float]
    uncounted: Mapping[str, float]
    unknown_loops: tuple[str, ...]

    @property
    def wire_bytes(self) -> float:
        return sum(traffic.wire for traffic in self.collectives)


@dataclass(frozen=True)
class Bounds:
    """The least time of one call, seconds, by what limits it; and the best use of the chip that this allows.

    Attributes:
      compute: `Program.flops` at the chip's bfloat16 peak; where kernels are not counted, at least the model's.
      hbm: `Program.hbm_bytes` at its memory's bandwidth.
      ici: bytes on the wire at the bandwidth of all of its links.
      mfu: model flops / (peak x roofline): 1 for a step that does nothing but what the model needs.
    """

    compute: float
    hbm: float
    ici: float
    mfu: float

    @property
    def roofline(self) -> float:
        """If all three run at the same time without waiting for each other."""
        return max(self.compute, self.hbm, self.ici)

    @property
    def limit(self) -> str:
        return max(("compute", self.compute), ("hbm", self.hbm), ("ici", self.ici), key=lambda x: x[1])[0]


@dataclass(frozen=True)
class Report:
    """Of one program on one topology; all numbers are of one chip and one call, where nothing else is said.

    Attributes:
      config, overrides, what: what was compiled: a training step or a sampling call.
      mesh: size of each axis.
      batch: examples of a call over all chips; `microbatches` parts of it are computed one after another.
      parameters: in training, or of the network that samples.
      model_flops: that the model needs for the whole batch, on all chips together, without recomputation.
      memory, program, bounds: None where the program does not fit.
      exhausted: what the compiler says then.
      compile_seconds: on this machine.
    """

    config: str
    overrides: tuple[str, ...]
    what: str
    topology: str
    chips: int
    chip: Chip
    mesh: Mapping[str, int]
    batch: int
    microbatches: int
    parameters: int
    model_flops: float
    memory: Memory | None
    exhausted: Exhausted | None
    program: Program | None
    bounds: Bounds | None
    compile_seconds: float

    @property
    def fits(self) -> bool:
        return self.exhausted is None and self.memory.total <= self.chip.hbm_gib * GIB

    @property
    def needed_gib(self) -> float:
        """HBM that the program needs on a chip."""
        return (self.exhausted.needed if self.exhausted else self.memory.total) / GIB

    def to_json(self) -> dict[str, Any]:
        """Plain values: bytes, seconds, operations."""
        plain = dataclasses.asdict(self)
        plain |= dict(fits=self.fits, needed_gib=self.needed_gib, advice=advice(self))
        if self.bounds is not None:
            plain["bounds"] |= dict(roofline=self.bounds.roofline, limit=self.bounds.limit)
            plain["program"] |= dict(wire_bytes=self.program.wire_bytes)
            plain["memory"] |= dict(total=self.memory.total)
        return plain


def bounds(counts: Counts, model_flops: float, chips: int, chip: Chip) -> Bounds:
    """The roofline of one call.

    Args:
      model_flops: of all chips together.
    """
    flops = max(counts.flops, model_flops / chips) if counts.uncounted else counts.flops
    compute = flops / (chip.peak_tflops * 1e12)
    hbm = counts.hbm_bytes / (chip.hbm_gbps * 1e9)
    ici = counts.wire_bytes / (chip.ici_gbps * 1e9)
    least = max(compute, hbm, ici, 1e-12)
    return Bounds(compute, hbm, ici, model_flops / chips / (chip.peak_tflops * 1e12 * least))


def advice(report: Report) -> str:
    """What to change in a config that does not fit; "" of one that does."""
    if report.fits:
        return ""
    parts = []
    shards = report.mesh["data"] * report.mesh["fsdp"]
    rows = report.batch // shards // report.microbatches
    if report.what.startswith("train") and rows > 1:
        more = next(n for n in range(2, rows + 1) if rows % n == 0)
        flag = f"--config.training.microbatches={report.microbatches * more}"
        parts.append(f"{flag} ({rows} examples a chip at once now)")
    if report.mesh["data"] > 1:
        parts.append(f"--config.mesh.data=1 --config.mesh.fsdp={shards} (state over all chips)")
    parts.append("a larger slice" if rows > 1 or report.mesh["data"] > 1 else "a larger slice, or a tensor axis")
    return "try " + ", or ".join(parts)


def to_text(report: Report) -> str:
    """A page to read."""
    return "\n".join(_lines(report))


def _lines(report: Report) -> list[str]:
    mesh = " ".join(f"{axis}={size}" for axis, size in report.mesh.items() if size > 1) or "one chip"
    chip, rows = report.chip, report.batch // report.microbatches
    lines = [
        f"{report.config} ({report.what}) on {report.topology}: {report.chips} chips, mesh {mesh}",
        f"  batch {report.batch} in {report.microbatches} part(s) of {rows}",
        f"  {report.parameters / 1e6:,.1f}M parameters",
        *(f"  {override}" for override in report.overrides),
        "",
    ]
    if report.exhausted:
        found = report.exhausted
        return [
            *lines,
            f"DOES NOT FIT: needs {found.needed / GIB:.2f} GiB{' for temporaries alone' * found.temporaries_only} "
            f"of {found.available / GIB:.2f} GiB a chip",
            f"  {advice(report)}",
        ]
    memory, program, limits = report.memory, report.program, report.bounds
    verdict = "fits" if report.fits else "DOES NOT FIT"
    lines += [
        f"{verdict}: {memory.total / GIB:.2f} GiB of {chip.hbm_gib:g} GiB HBM a chip",
        *_table(
            [
                ("arguments (state, batch)", _gib(memory.arguments)),
                ("outputs", _gib(memory.outputs)),
                ("  of them in place of arguments", _gib(memory.aliased)),
                ("temporaries", _gib(memory.temporaries)),
                ("program", "not made" if memory.code is None else _gib(memory.code)),
            ]
        ),
        "",
        "One call on one chip, loops counted as often as they run:",
        *_table(
            [
                ("matrix operations", f"{program.flops / 1e12:,.3f} TFLOP"),
                ("  the model needs", f"{report.model_flops / report.chips / 1e12:,.3f} TFLOP"),
                ("HBM traffic", f"{program.hbm_bytes / 1e9:,.2f} GB"),
                ("sent to other chips", f"{program.wire_bytes / 1e6:,.2f} MB"),
                *((f"  {x.kind}", _traffic(x)) for x in program.collectives),
            ]
        ),
    ]
    if program.largest:
        lines += ["  largest collectives:"]
        lines += [
            f"    {x.wire / 1e6:10,.2f} MB  {x.operations:g} x {x.kind} {x.shape} among {x.group}"
            for x in program.largest
        ]
    lines += [
        "",
        f"Least time ({chip.name}: {chip.peak_tflops:g} TFLOP/s, {chip.hbm_gbps:g} GB/s, {chip.ici_gbps:g} GB/s out):",
        *_table(
            [
                ("compute", _ms(limits.compute)),
                ("HBM", _ms(limits.hbm)),
                ("interconnect", _ms(limits.ici)),
                ("roofline bound", f"{_ms(limits.roofline)} ({limits.limit})"),
                ("analytic MFU bound", f"{100 * limits.mfu:.1f}%"),
                ("compiler's estimate", _estimate(program.compiler_seconds)),
            ]
        ),
        "",
        f"Values with the global batch in front: {_listed(program.global_batch)}",
        "Largest values:",
        *(f"  {x.bytes / 2**20:10,.1f} MiB  {x.shape}  {x.op_name}" for x in program.activations),
    ]
    kernels = {"Pallas kernels": program.kernels, "Not counted (no cost estimate)": program.uncounted}
    for title, found in kernels.items():
        if found:
            lines += [f"{title}: " + ", ".join(f"{times:g} x {name}" for name, times in found.items())]
    if program.unknown_loops:
        lines += [f"Loops of unknown length, counted once: {', '.join(program.unknown_loops)}"]
    return [*lines, f"Compiled in {report.compile_seconds:.0f} s."]


def _table(rows: Sequence[tuple[str, str]]) -> list[str]:
    width = max(len(name) for name, _ in rows)
    return [f"  {name:{width}}  {value:>16}" for name, value in rows]


def _gib(size: int) -> str:
    return f"{size / GIB:,.3f} GiB"


def _ms(seconds: float) -> str:
    return f"{1e3 * seconds:,.2f} ms"


def _estimate(seconds: float | None) -> str:
    return "none" if seconds is None else f"{_ms(seconds)} (its fusions, without collectives)"


def _traffic(traffic: Traffic) -> str:
    return f"{traffic.wire / 1e6:,.2f} MB in {traffic.operations:g} (payload {traffic.payload / 1e6:,.2f} MB)"


def _listed(found: Sequence[Activation]) -> str:
    return "none" if not found else ", ".join(f"{x.shape} {x.op_name}" for x in found)
