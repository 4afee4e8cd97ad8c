"""Class labels as users give them, by name or by number."""

from collections.abc import Sequence

import numpy as np

from magvit_jax.errors import UserError

Label = int | str | Sequence[int | str] | None


def label_ids(label: Label, class_names: Sequence[str]) -> np.ndarray | None:
    """Numbers of labels given by name or number, int32 [n]; None stays None. UserError for an unknown one."""
    if label is None:
        return None
    wanted = [label] if isinstance(label, (int, str, np.integer)) else list(label)
    if not wanted:
        raise UserError("label is an empty list; expected one label or more, or None")
    return np.asarray([_label_id(one, class_names) for one in wanted], np.int32)


def _label_id(label: int | str, class_names: Sequence[str]) -> int:
    if isinstance(label, str) and label in class_names:
        return list(class_names).index(label)
    if not isinstance(label, str) and 0 <= label < len(class_names):
        return int(label)
    raise UserError(
        f"label {label!r} is unknown; expected one of {', '.join(class_names) or 'none: no classes'}"
    )
