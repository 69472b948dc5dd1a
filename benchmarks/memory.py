"""Memory of a run over its epochs, seen from outside."""

import os
import time
from pathlib import Path

import killing
import numpy as np


def samples(folder, log, epochs, every=0.2):
    """Run the small command for so many epochs in a process of its own.

    Returns:
        Rows (epochs done, resident bytes), one per `every` seconds while it trains.
    """
    operations = killing.servers.Value("i", 0)
    command = killing.train(folder, optimizer__epochs=epochs)
    process = killing.servers.Process(target=killing.live, args=(folder, log, (None, None), operations, command))
    process.start()
    rows = []
    while process.is_alive() and not (folder / "backbone.keras").exists():
        rows.append((_epochs(folder / "metrics.csv"), _resident(process.pid)))
        time.sleep(every)
    process.join()
    assert process.exitcode == 0, log.read_text()
    assert _epochs(folder / "metrics.csv") == epochs
    return np.array([row for row in rows if row[1]])


def growth(rows, after):
    """Bytes per epoch after so many epochs: the slope of the straight line through the samples."""
    epochs, resident = rows[rows[:, 0] >= after].T
    return float(np.polyfit(epochs, resident, 1)[0])


def summary(rows):
    """Resident megabytes along the way, and the growth after a fifth of the epochs, when all is compiled and warm."""
    last = int(rows[-1, 0])
    at = {
        str(epoch): round(float(rows[rows[:, 0] >= epoch][0, 1]) / 1e6, 1)
        for epoch in range(0, last + 1, max(1, last // 10))
    }
    return {"epochs": last, "resident_mb": at, "kb_per_epoch": round(growth(rows, last / 5) / 1e3, 1)}


def _epochs(metrics):
    return metrics.read_bytes().count(b"\n") - 1 if metrics.exists() else 0


def _resident(pid):
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError):  # it has just ended
        return 0
