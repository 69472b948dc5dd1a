"""What energy comes to: CO2, and kilometres of a car (Aczel 2021, sec. 4)."""

from __future__ import annotations

from collections.abc import Sequence

CAR = 0.108  # kg of CO2 for a kilometre, as the study reckons


def carbon_kg(kwh, intensity):
    """kg of CO2 of so many kWh, with so many g of CO2 for each of them."""
    return kwh * intensity / 1000


def car_km(kg):
    """How far a car drives for that much CO2."""
    return kg / CAR


def used(runs: Sequence[dict], intensity: float | None = None) -> str | None:
    """What trainings have used together, as far as it was measured; None where none was.

    Args:
        runs: The figures of each.
        intensity: g of CO2 for a kWh; None: each run's own figure of CO2 counts, where it has one.
    """
    measured = [figures for figures in runs if "energy_kwh" in figures]
    if not measured:
        return None
    kwh, gpu = (sum(figures.get(key, 0) for figures in measured) for key in ("energy_kwh", "gpu_energy_kwh"))
    counted = f" in the training of {len(measured)} of {len(runs)} runs" if len(runs) > 1 else ""
    source = f"{gpu:.3g} of it measured on the GPU, the rest an estimate" if gpu else "an estimate"
    parts = [f"{kwh:.3g} kWh{counted}", source]
    known = [figures["carbon_kg"] for figures in measured if "carbon_kg" in figures]
    if intensity is not None or known:
        kg = sum(known) if intensity is None else carbon_kg(kwh, intensity)
        whose = f" of {len(known)} of them" if intensity is None and len(known) < len(measured) else ""
        at = "" if intensity is None else f" at {intensity:g} g for a kWh"
        parts.append(f"{kg:.3g} kg of CO2{whose}{at}, as a car's {car_km(kg):.3g} km")
    return ", ".join(parts)
