"""The folder of a run: where everything lies, and whether a run may start or go on there."""

from __future__ import annotations

import fcntl
import json
import logging
import math
import os
import shlex
from pathlib import Path

from simsiam_tf.atomic import PARTIAL, replacing
from simsiam_tf.errors import InputError, unwritable
from simsiam_tf.interop import torch_state, weights
from simsiam_tf.runs.checkpoint import CheckpointFolder
from simsiam_tf.runs.environment import environment
from simsiam_tf.runs.labelled import learns_labels
from simsiam_tf.runs.teacher import keep_teacher, teacher_record
from simsiam_tf.settings import files
from simsiam_tf.settings.data import PERMUTATION
from simsiam_tf.settings.paths import BEGAN_WITH, TEACHER
from simsiam_tf.settings.schema import Config

log = logging.getLogger("simsiam_tf")


class RunFolder:
    """Paths of one run. `open` makes or re-enters the folder for training, until `close`; `existing` reads one."""

    def __init__(self, path: Path):
        self.path = Path(path)
        self.config = self.path / "config.yaml"
        self.environment = self.path / "environment.json"
        self.metrics = self.path / "metrics.csv"
        self.looks = self.path / "collapse.csv"
        self.spectra = self.path / "spectra.npz"
        self.result = self.path / "result.json"
        self.tensorboard = self.path / "tensorboard"
        self.checkpoints = self.path / "checkpoints"
        self.backbone = self.path / "backbone.keras"
        self.classifier = self.path / "classifier.keras"
        self.imported = self.path / "imported.pth.tar"
        self.began_with = self.path / BEGAN_WITH
        self.permutation = self.path / PERMUTATION
        self.teacher = self.path / TEACHER
        self.lock = self.path / "lock"

    @classmethod
    def open(cls, config: Config) -> RunFolder:
        """The folder of `config`, new or holding the same run.

        Raises:
            InputError: another run is there, another process trains there, or the folder cannot be written to.
        """
        folder = cls(config.folder)
        begun = bool(folder.checkpoint_folder(1).files()) or "steps" in (folder.read_result() or {})
        if begun:
            folder._same_run(config)
        elif folder.imported.is_file():
            folder._same_run(config, ("backbone.", "method."))
        elif folder.result.is_file():
            folder._same_run(config)
        elif (
            not folder.config.is_file()
            and folder.path.is_dir()
            and any(f != folder.lock and not f.match(f"{PARTIAL}*") for f in folder.path.iterdir())
        ):
            raise InputError(f"name: {folder.path} exists and is no run folder; give another --name or --output")
        try:
            folder.path.mkdir(parents=True, exist_ok=True)
            folder._locked = folder.lock.open("w")
            fcntl.flock(folder._locked, fcntl.LOCK_EX | fcntl.LOCK_NB)
            keep_teacher(config, folder.teacher, begun)
            files.write(config, folder.config)
        except BlockingIOError as error:
            folder.close()
            raise InputError(
                f"name: another process is training in {folder.path}; wait for it, or give another --name"
            ) from error
        except InputError:
            folder.close()
            raise
        except OSError as error:
            raise unwritable(folder.config, error) from error
        return folder

    def close(self) -> None:
        """Let another process train here; the system does it, too, when this one ends in any way."""
        self._locked.close()

    @classmethod
    def existing(cls, path: Path) -> RunFolder:
        """A run folder that must be there.

        Raises:
            InputError: it is not.
        """
        return cls(files.stored(path).parent)

    def _same_run(self, config: Config, prefixes: tuple[str, ...] = ("",)) -> None:
        """Refuse a change of anything that decides the weights or the figures, among the keys with these prefixes."""
        here = files.read(files.stored(self.path))
        for key in files.fixed_differences(here, config):
            if key.startswith(prefixes):
                before, now = files.flat(here).get(key), files.flat(config).get(key)
                raise InputError(
                    f"name: {self.path} holds a run with another setting, {key}: {before} (now {now}); "
                    f"give another --name, or {self._way_on(key, now)}"
                )

    def _way_on(self, key, value):
        """What a user may have meant who sets `key` anew, if the run is finished."""
        finished, option = self.backbone.is_file() and self.result.is_file(), f"--{key} {shlex.quote(str(value))}"
        if finished and key.startswith("evaluation."):
            return f"for other figures of this run: simsiam-tf evaluate {self.path} {option}"
        if finished and key.startswith("optimizer."):
            return f"for a new schedule from its weights: simsiam-tf import-weights {self.path} --name NEW {option}"
        return "delete the folder"

    def load_backbone(self):
        """The trained encoder.

        Raises:
            InputError: training is not complete, or the file does not load, or it wants to run code of its own.
        """
        return self._load(self.backbone)

    def load_classifier(self):
        """The trained classifier: pixels -> probabilities; raises as `load_backbone`, and for a run of another kind."""
        if not learns_labels(files.read(self.config)):
            raise InputError(f"RUN: {self.path} is no classifier; make one of it: simsiam-tf finetune {self.path}")
        return self._load(self.classifier)

    def class_names(self) -> list[str]:
        """Of the classifier, in the order of its outputs.

        Raises:
            InputError: its training is not complete.
        """
        found = (self.read_result() or {}).get("classifier", {})
        if "class_names" not in found:
            raise InputError(f"RUN: {self.path} has no classes in its result.json; finish its training, or repeat it")
        return found["class_names"]

    def _load(self, path):
        from simsiam_tf.interop.export import load_keras

        if not path.is_file():
            raise InputError(f"RUN: {self.path} has no {path.name} yet; finish its training with the same command")
        return load_keras(path)

    def load_imported(self, model) -> torch_state.State | None:
        """Give a method the weights that `import-weights` has put here, if it has.

        Raises:
            InputError: the file does not load or is of another network.
        """
        if not self.imported.is_file():
            return None
        state = torch_state.read(self.imported)
        weights.assign(state, model.backbone, model.heads)
        model.restart_targets()
        return state

    def save_backbone(self, backbone) -> None:
        """Write the encoder in float32, atomically; it loads with Keras alone."""
        self._save(backbone, self.backbone)

    def save_classifier(self, network) -> None:
        """Write a whole classifier likewise."""
        self._save(network, self.classifier)

    def _save(self, network, path):
        from simsiam_tf.interop.export import portable, save_keras

        with replacing(path) as partial:
            save_keras(portable(network), partial)

    def checkpoint_folder(self, keep: int) -> CheckpointFolder:
        return CheckpointFolder(self.checkpoints, keep)

    def write_unreadable(self, *image_sets) -> None:
        """Name every image that these sets have left out."""
        from simsiam_tf.data.files import write_unreadable

        write_unreadable(self.path / "unreadable.txt", *image_sets)

    def log_last_checkpoint(self) -> None:
        """Say where a run that cannot go on can be taken up."""
        good = next(iter(self.checkpoint_folder(1).files()), None)
        log.error("last checkpoint before that: %s", good or "none, it diverged before the first")

    def write_environment(self, config: Config, precision: str, devices: list[str], replicas: int) -> None:
        """Versions, devices, git revision and seed of the process that runs this, and the replicas of all workers."""
        teacher = teacher_record(config, self.teacher)
        self.write_json(self.environment, environment(config, precision, devices, replicas) | teacher)

    def write_result(self, result: dict) -> None:
        """Keep the final figures."""
        self.write_json(self.result, result)

    def write_json(self, path: Path, content: dict) -> None:
        """Write atomically; figures that are not finite are left out."""
        finite = {key: v for key, v in content.items() if not isinstance(v, float) or math.isfinite(v)}
        with replacing(path) as partial:
            partial.write_text(json.dumps(finite, indent=2, allow_nan=False) + "\n")

    def read_result(self) -> dict | None:
        """The final figures, or None while there are none.

        Raises:
            InputError: the file is damaged.
        """
        if not self.result.is_file():
            return None
        try:
            return dict(json.loads(self.result.read_bytes()))
        except (ValueError, TypeError) as error:
            raise InputError(f"name: {self.result} is damaged ({error}); delete that file, the rest is kept") from error


class SilentFolder:
    """The folder of a worker that is not the first: nothing is there, and nothing is written."""

    teacher = Path(os.devnull)

    def close(self) -> None:
        """There is nothing to let go."""

    def read_result(self) -> None:
        """There are no figures."""

    def checkpoint_folder(self, keep: int) -> CheckpointFolder:
        return CheckpointFolder(os.devnull, keep)

    def load_imported(self, model) -> None:
        """The first worker's weights come later, with its checkpoint's."""

    def write_environment(self, *facts) -> None:
        """The first worker writes its own."""

    write_unreadable = write_result = write_environment

    def log_last_checkpoint(self) -> None:
        """The first worker says it."""
