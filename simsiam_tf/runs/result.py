"""The figures of a run that need no further computation."""

from __future__ import annotations

import resource

import tensorflow as tf

from simsiam_tf.errors import Diverged
from simsiam_tf.evaluation.energy import carbon_kg
from simsiam_tf.evaluation.verdict import outcome
from simsiam_tf.runs.build import has_gpu
from simsiam_tf.runs.watchers import Watchers
from simsiam_tf.settings.schema import Config

ENERGY = ("energy_kwh", "gpu_energy_kwh")
NEWEST = ("loss", "loss_std", "images_per_second", "feature_std", "correlation_strength", "effective_rank")


def summary(config: Config, model, watchers: Watchers, seconds: float) -> dict:
    """What the record and the monitors know, and what this process has cost, `seconds` of training."""
    record, monitor = watchers.record, watchers.monitor
    result = {
        "method": config.method.name,
        "seed": config.seed,
        "epochs": record.rows[-1]["epoch"] if record.rows else 0,
        "steps": int(model.step.numpy()),
        "seconds": sum(row["epoch_seconds"] for row in record.rows),
    }
    result |= {name: record.last(name) for name in NEWEST if record.last(name) is not None}
    cosine = model.cosine_of(result["loss"]) if "loss" in result else None
    result |= {"cosine": cosine} if cosine is not None else {}
    if monitor is not None and monitor.looks:
        ended = outcome(monitor.looks, record.rows, cosine, monitor.grace_steps)
        result |= {"outcome": ended.verdict, "verdict": ended.sentence}
    if monitor is not None and monitor.stopped:
        result |= {"verdict": monitor.sentence} | result | {"stopped": monitor.stopped, "outcome": monitor.stopped}
    result |= energy(record.rows, config.monitor.carbon_intensity)
    result |= {"seconds_this_process": seconds, "peak_memory_gib": peak_memory()}
    if watchers.rates.first_execution_seconds is not None:
        result["first_execution_seconds"] = watchers.rates.first_execution_seconds
    return result


def energy(rows, intensity) -> dict:
    """Of all epochs that were measured, where any was."""
    totals = {key: sum(row.get(key, 0) for row in rows) for key in ENERGY if any(key in row for row in rows)}
    if totals and intensity is not None:
        totals["carbon_kg"] = carbon_kg(totals["energy_kwh"], intensity)
    return totals


def peak_memory() -> float:
    """GiB of this process so far; on a GPU the device's."""
    if has_gpu():
        return tf.config.experimental.get_memory_info("GPU:0")["peak"] / 2**30
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # KiB on Linux


def of_divergence(config: Config, watchers: Watchers, error: Diverged) -> dict:
    """Of a run whose loss is not finite; its last checkpoint is from before."""
    result = {"stopped": "diverged", "outcome": "diverged", "reason": f"{error}, under another --name"}
    if watchers.record is None:
        return result
    done = {"epochs": len(watchers.record.rows), "steps": error.step}
    return {"method": config.method.name, "seed": config.seed} | done | result
