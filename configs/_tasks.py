"""The group `tasks`: the ten tasks with the settings of thesis 6.4.2.

Heights and widths are shares of the clip's.
"""

CENTRE = dict(height=0.5, width=0.5)
#: The latents of the same window in the latent grid are the condition, as in the authors' code.
WINDOW = dict(window="analytic")

SETTINGS = dict(
    frame_prediction=dict(frames=1, padding="last"),
    frame_interpolation=dict(frames=1, frames_end=1, padding="linear"),
    central_outpainting=dict(**CENTRE, padding="edge", **WINDOW),
    vertical_outpainting=dict(width=0.5, padding="edge", **WINDOW),
    horizontal_outpainting=dict(height=0.5, padding="edge", **WINDOW),
    dynamic_outpainting=dict(width=0.5, direction="left_to_right", padding="zero", **WINDOW),
    central_inpainting=dict(**CENTRE, padding="zero", **WINDOW),
    dynamic_inpainting=dict(**CENTRE, direction="left_to_right", padding="zero", **WINDOW),
    class_conditional=dict(),
    class_conditional_frame_prediction=dict(frames=1, padding="last"),
)

#: Weights of the suites of Tab. 6.5 to 6.7: all but the two with a class, and all.
EIGHT = {name: 1.0 for name in SETTINGS if not name.startswith("class")}
TEN = dict.fromkeys(SETTINGS, 1.0)


def mixture(weights: dict[str, float], *, decoding: dict, frames: int = 1) -> dict:
    """All ten tasks. Those that `weights` does not name have 0: they are left out, unless overridden.

    Args:
      decoding: of every task.
      frames: how many are given in frame prediction, with and without a class.
    """
    tasks = {}
    for name, settings in SETTINGS.items():
        own = dict(settings, frames=frames) if name.endswith("frame_prediction") else dict(settings)
        tasks[name] = dict(weight=weights.get(name, 0.0), settings=own, decoding=dict(decoding))
    return tasks
