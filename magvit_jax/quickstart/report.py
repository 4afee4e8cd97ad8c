"""The quickstart's table and its report.html."""

import platform
from collections.abc import Mapping
from pathlib import Path

import jax

import magvit_jax
from magvit_jax.media.curves import line_chart
from magvit_jax.media.metric_log import read_metrics, series_from_records
from magvit_jax.media.report import Report
from magvit_jax.media.tables import Result
from magvit_jax.quickstart.measure import P_VALUE, Measurements
from magvit_jax.quickstart.scales import Scale
from magvit_jax.workflows.evaluate import prediction_rows

FPS = 6.0


def result_rows(measured: Measurements, scale: Scale) -> list[Result]:
    """The numbers as rows of a table, each beside its baseline, ceiling and target."""
    reconstruction = measured.reconstruction
    gain = None if scale.gain_target is None else reconstruction.psnr_mean_frame + scale.gain_target
    rows = [
        Result(
            f"reconstruction PSNR, {reconstruction.clips} held-out clips",
            reconstruction.psnr,
            baseline=reconstruction.psnr_mean_frame,
            target=None if gain is None else max(scale.psnr_target, gain),
            unit="dB",
            baseline_name="clip's mean frame",
        ),
        Result("reconstruction SSIM", reconstruction.ssim, digits=3),
        Result(
            "share of the codebook in use",
            reconstruction.codebook_use,
            ceiling=1.0,
            target=scale.use_target,
            digits=3,
        ),
        *prediction_rows(measured.prediction, measured.examples.given, scale.prediction_target),
    ]
    recognition = measured.recognition
    if recognition is not None:
        wanted = scale.recognition_target
        rows.append(
            Result(
                f"class recognised in {recognition.clips} generated clips (p = {recognition.p_value:.1e})",
                recognition.accuracy,
                baseline=recognition.chance,
                ceiling=recognition.ceiling,
                target=None if wanted is None else wanted * recognition.chance,
                digits=3,
                baseline_name="chance",
                ceiling_name="real clips through the tokenizer",
            )
        )
        if wanted is not None:
            rows.append(
                Result(
                    "probability of that by guessing",
                    recognition.p_value,
                    target=P_VALUE,
                    better="lower",
                    digits=3,
                )
            )
    return rows


def write_report(
    path: Path,
    measured: Measurements,
    scale: Scale,
    *,
    class_names: tuple[str, ...],
    logs: Mapping[str, Path],
    facts: Mapping[str, str],
    commands: list[tuple[str, str]],
) -> Path:
    """Writes the self-contained page.

    Args:
      logs: metrics.jsonl of the runs "tokenizer" and "generator".
      facts: settings and times, by name.
      commands: (what it does, the command) to go on with.
    """
    report = Report(
        "From video files to generated video",
        f"A causal lookup-free tokenizer and a masked video transformer, trained from nothing ({scale.variant} scale).",
        footer=f"magvit_jax {magvit_jax.__version__}, jax {jax.__version__}, {platform.machine()}",
    )
    _numbers(report, measured, scale)
    _clips(report, measured, class_names)
    _curves(report, logs)
    report.heading("What ran").key_values(facts)
    report.heading("Go on").commands(commands)
    return report.write(path)


def _numbers(report: Report, measured: Measurements, scale: Scale) -> None:
    tiles = [
        (f"{measured.reconstruction.psnr:.1f} dB", "reconstruction of held-out clips"),
        (f"{measured.reconstruction.codebook_use:.0%}", "of the codebook in use"),
        (
            f"{measured.prediction.psnr - measured.prediction.psnr_repeat_last:+.1f} dB",
            "frame prediction over repeating the last frame",
        ),
    ]
    if measured.recognition is not None:
        tiles.append((f"{measured.recognition.accuracy:.0%}", "of generated clips recognised as their class"))
    report.heading("The numbers").tiles(tiles).results(
        result_rows(measured, scale),
        caption="Baselines know no model. Ceilings are what the tokenizer alone gives.",
    )


def _clips(report: Report, measured: Measurements, class_names: tuple[str, ...]) -> None:
    examples = measured.examples
    report.heading("Real, reconstructed, predicted")
    report.paragraph(
        f"Held-out clips. The prediction saw the first {examples.given} frames (the bar) and sampled the rest once."
    )
    report.clip_rows(
        {
            "real": list(examples.real),
            "reconstructed": list(examples.reconstructed),
            "predicted": list(examples.predicted),
        },
        fps=FPS,
        given={"predicted": examples.given},
    )
    report.heading("Generated from a class name")
    report.clip_gallery(
        list(examples.generated), [class_names[label] for label in examples.generated_labels], fps=FPS
    )


def _curves(report: Report, logs: Mapping[str, Path]) -> None:
    tokenizer, generator = read_metrics(logs["tokenizer"]), read_metrics(logs["generator"])
    report.heading("Training")
    report.charts(
        [
            line_chart(
                [series_from_records(tokenizer, "psnr")],
                "Tokenizer: PSNR of training clips",
                "step",
                "dB",
                smooth=5,
            ),
            line_chart(
                [
                    series_from_records(tokenizer, "mean_entropy", "of the mean token"),
                    series_from_records(tokenizer, "sample_entropy", "of a token, mean"),
                ],
                "Tokenizer: entropies",
                "step",
                "nats",
            ),
            line_chart(
                [
                    series_from_records(generator, "loss_mask", "masked"),
                    series_from_records(generator, "loss", "all"),
                ],
                "Transformer: cross-entropy",
                "step",
                "nats a token",
                smooth=5,
            ),
            line_chart(
                [series_from_records(generator, "accuracy_mask")],
                "Transformer: masked tokens right",
                "step",
                smooth=5,
            ),
        ]
    )
