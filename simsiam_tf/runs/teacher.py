"""The teacher of a run that distils: found where `method.teacher` says, and kept in the run's folder.

So a run can go on, and be exported, when the teacher's own folder has gone.
"""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

from simsiam_tf.atomic import replacing
from simsiam_tf.errors import InputError
from simsiam_tf.settings.methods.distillation import DistillationSettings
from simsiam_tf.settings.paths import teacher_file
from simsiam_tf.settings.schema import Config


def keep_teacher(config: Config, copy: Path, begun: bool = False) -> None:
    """Copy the file of a run's teacher, if its method has one, to `copy` in the run's folder.

    Args:
        begun: The run has been trained with the copy that is there, and it goes on with no other one.

    Raises:
        InputError: there is no teacher, or it is another than the one that the run began with.
    """
    if not isinstance(config.method, DistillationSettings):
        return
    given = config.method.teacher
    if copy.is_file() and (given is None or not Path(given).expanduser().exists()):
        return
    source = teacher_file(given)
    if not begun or not copy.is_file():
        with replacing(copy) as partial:
            shutil.copyfile(source, partial)
    elif _sha256(source) != _sha256(copy):
        raise InputError(
            f"method.teacher: {copy.parent} began with another one than {given}; give another --name, or {copy}"
        )


def load_teacher(config: Config, copy: Path):
    """The Keras model of a run's teacher, from its copy if there is one; None where the method has no teacher.

    Raises:
        InputError: it is not there, or does not load.
    """
    from simsiam_tf.interop.export import load_keras

    if not isinstance(config.method, DistillationSettings):
        return None
    return load_keras(copy if copy.is_file() else teacher_file(config.method.teacher))


def teacher_record(config: Config, copy: Path) -> dict:
    """{"teacher": {"name", "sha256"}} for the records of a run that has one: its folder or file, and what is in it."""
    if not copy.is_file():
        return {}
    return {"teacher": {"name": Path(config.method.teacher or copy).name, "sha256": _sha256(copy)}}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
