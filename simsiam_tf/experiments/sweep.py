"""Running the cells of a study: each once, in a process of its own, whoever else works on them, and after any kill."""

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from simsiam_tf.cores import usable_cores
from simsiam_tf.duration import duration
from simsiam_tf.errors import InputError
from simsiam_tf.experiments.results import Results, file_name
from simsiam_tf.experiments.study import Cell
from simsiam_tf.runs.interrupt import Interrupt
from simsiam_tf.settings import files

POLL, WAIT = 0.2, 1.0  # seconds between two looks at the own cells, and at those of other sweeps
FAILED = 3  # exit code of train


def train_command(cell: Cell) -> list[str]:
    """The command that trains and evaluates a cell, or goes on with it."""
    return [sys.executable, "-m", "simsiam_tf", "train", "--config", str(cell.config.folder / "config.yaml")]


@dataclass
class Job:
    """A cell that this process has claimed, and the process that trains it."""

    cell: Cell
    claim: object
    process: subprocess.Popen
    device: str | None
    start: float = field(default_factory=time.monotonic)


class Sweep:
    """Runs cells that have no result yet.

    A cell is claimed by a lock that its training process holds, too: it is free again when both have ended, in
    whatever way. Other sweeps with the same results, on this host or on one that shares their folder, leave it alone
    meanwhile.

    Args:
        cells: All cells of the study.
        results: Where finished cells are looked for and kept.
        jobs: Cells side by side.
        devices: Numbers of the GPUs that jobs are dealt out to, as CUDA_VISIBLE_DEVICES has them; () leaves that alone.
        say: Called with each line about the progress.
        command: What trains a cell.
    """

    def __init__(
        self,
        cells: list[Cell],
        results: Results,
        jobs: int = 1,
        devices: tuple[str, ...] = (),
        say: Callable[[str], None] = print,
        command: Callable[[Cell], list[str]] = train_command,
    ):
        by_name = {file_name(cell.config): cell for cell in reversed(cells)}  # rows may share a cell
        self.pending = {name: by_name[name] for name in dict.fromkeys(file_name(cell.config) for cell in cells)}
        self.total = len(self.pending)
        self.results, self.claims, self.jobs, self.devices = results, results.path / "claims", jobs, devices
        self.say, self.command = say, command
        self.running: list[Job] = []
        self.failures: dict[str, str] = {}
        self.seconds: list[float] = []

    def run(self) -> dict[str, str]:
        """Do what is to be done; returns {row and seed: last line of its log} of the cells that failed.

        A failed cell has no result: the next sweep tries it again.

        Raises:
            Interrupted: a signal came; what was running has saved and ended.
        """
        self.claims.mkdir(parents=True, exist_ok=True)
        waiting = False
        with Interrupt() as interrupt, interrupt.deferred():
            try:
                while self.pending or self.running:
                    interrupt.check()
                    self._collect()
                    started = self._start()
                    alone = bool(self.pending) and not self.running and not started
                    if alone and not waiting:
                        self.say(f"waiting for {len(self.pending)} cells that another sweep is doing")
                    waiting = alone
                    time.sleep(WAIT if alone else POLL)
            finally:
                self._end()
        return self.failures

    def _start(self) -> bool:
        """Begin the next cells that nobody has claimed, as many as there is room for."""
        started = False
        for name, cell in list(self.pending.items()):
            if len(self.running) == self.jobs:
                break
            try:
                started |= self._try_to_start(name, cell)
            except InputError as error:
                self.pending.pop(name, None)
                self._fail(cell, error)
        return started

    def _try_to_start(self, name, cell) -> bool:
        """Begin a cell, unless it has its result or is another sweep's."""
        claim = None
        if self.results.find(cell.config) is None:
            claim = self._claim(name)
            if claim is None:
                return False
        del self.pending[name]
        if claim is None or self.results.find(cell.config) is not None:  # another sweep may just have finished it
            if claim:
                claim.close()
            self._say(cell, "has its result")
            return False
        try:
            self.running.append(self._launch(cell, claim))
        except InputError:
            claim.close()
            raise
        self._say(cell, f"started, see {cell.config.folder / 'log.txt'}")
        return True

    def _claim(self, name):
        claim = (self.claims / name).with_suffix(".lock").open("w")
        try:
            fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            claim.close()
            return None
        return claim

    def _launch(self, cell, claim) -> Job:
        folder = cell.config.folder
        folder.mkdir(parents=True, exist_ok=True)
        if (folder / "config.yaml").is_file():
            here = files.read(folder / "config.yaml")
            for key in files.fixed_differences(here, cell.config):
                raise InputError(f"name: {folder} holds a run with another setting, {key}; delete the folder")
        files.write(cell.config, folder / "config.yaml")  # where its data lie may have changed
        used = [job.device for job in self.running]
        device = min(self.devices, key=used.count) if self.devices else None
        environment = dict(os.environ)
        if device is not None:
            environment["CUDA_VISIBLE_DEVICES"] = device
        if self.jobs > 1:
            threads = str(max(1, usable_cores() // self.jobs))
            environment |= {"TF_NUM_INTRAOP_THREADS": threads, "OMP_NUM_THREADS": threads}
        with (folder / "log.txt").open("a") as log:
            process = subprocess.Popen(
                self.command(cell),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                start_new_session=True,  # a Ctrl-C reaches it through this process only, once
                pass_fds=[claim.fileno()],
            )
        return Job(cell, claim, process, device)

    def _collect(self) -> None:
        """Keep the results of what has ended."""
        for job in [job for job in self.running if job.process.poll() is not None]:
            self.running.remove(job)
            seconds = time.monotonic() - job.start
            try:
                if job.process.returncode not in (0, FAILED):
                    raise InputError(_last_line(job.cell.config.folder / "log.txt") or f"exit {job.process.returncode}")
                result = self.results.keep(job.cell.config, job.cell.config.folder)
            except InputError as error:
                self._fail(job.cell, error)
            else:
                self.seconds.append(seconds)
                self._say(job.cell, f"{result['outcome']} in {duration(seconds)}")
            job.claim.close()

    def _fail(self, cell, error) -> None:
        self.failures[f"{cell.row}, seed {cell.seed}"] = str(error)
        self._say(cell, f"failed: {error}")

    def _say(self, cell, text) -> None:
        left = len(self.pending) + len(self.running)
        time_left = ""
        if self.seconds and left:
            rest = sum(self.seconds) / len(self.seconds) * left / self.jobs
            time_left = f"; about {duration(rest)} left"
        self.say(f"[{self.total - left}/{self.total}] {cell.row}, seed {cell.seed}: {text}{time_left}")

    def _end(self) -> None:
        """Ask what still runs to save and end, and wait for it."""
        for job in self.running:
            with contextlib.suppress(ProcessLookupError):
                job.process.terminate()
        for job in self.running:
            job.process.wait()
            job.claim.close()


def _last_line(path: Path) -> str:
    lines = path.read_text(errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "")
