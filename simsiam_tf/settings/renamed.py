"""Settings that had another name in files of earlier versions; their values are read under the new one."""

from __future__ import annotations

from simsiam_tf.errors import InputError

RENAMED = {
    "method.ema_momentum": "method.weight_average",
    "method.projector_output_norm": "method.head_norm",
    "optimizer.predictor_ratio": "method.predictor_ratio",
    "optimizer.predictor_schedule": "method.predictor_schedule",
}
VALUES = {"method.projector_output_norm": {True: "default", False: "hidden"}}


def upgraded(content: dict) -> dict:
    """A configuration's content {section: {key: value}} with today's names.

    Raises:
        InputError: it has a setting under both names.
    """
    content = {key: dict(part) if isinstance(part, dict) else part for key, part in content.items()}
    for old, new in RENAMED.items():
        (section, key), (new_section, new_key) = old.split("."), new.split(".")
        if not isinstance(content.get(section), dict) or key not in content[section]:
            continue
        target = content.get(new_section) or {}
        if not isinstance(target, dict):
            continue  # which is refused later
        content[new_section] = target
        if new_key in target:
            raise InputError(f"{old}: it is {new} now, which is there, too; give one of them")
        value = content[section].pop(key)
        target[new_key] = VALUES.get(old, {}).get(value, value) if isinstance(value, bool) else value
    return content
