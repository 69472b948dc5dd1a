"""Energy of a run: measured by epoch, summed, and put into kilometres."""

from types import SimpleNamespace

import pytest

from simsiam_tf.callbacks.energy import EnergyMeter
from simsiam_tf.cli.table import print_result
from simsiam_tf.evaluation.energy import car_km, carbon_kg, used
from simsiam_tf.runs.result import energy


def test_the_studys_own_figures():
    """Aczel 2021, section 4: 130 runs of 10 hours at 205 W, 150 g of CO2 for a kWh, a car of 108 g for a km."""
    kwh = 130 * 10 * 0.205
    assert kwh == pytest.approx(266.5)
    assert carbon_kg(kwh, 150) == pytest.approx(39.975)
    assert round(car_km(carbon_kg(kwh, 150)), -1) == 370


def test_each_epoch_has_its_energy(small_model, images):
    history = small_model().fit(images, batch_size=16, epochs=2, verbose=0, callbacks=[EnergyMeter()]).history
    assert len(history["energy_kwh"]) == 2
    assert all(0 < kwh < 1e-3 for kwh in history["energy_kwh"])  # a second or two of a processor
    assert "gpu_energy_kwh" not in history


class Tracker:
    """codecarbon's, of a machine with a GPU; of one epoch it has nothing."""

    def __init__(self, used):
        self.used = iter(used)

    def start_task(self, name):
        pass

    def stop_task(self):
        return next(self.used)


def test_what_gpus_use_is_told_by_itself(small_model, images, monkeypatch):
    meter = EnergyMeter()
    used = [SimpleNamespace(energy_consumed=2e-3, gpu_energy=1.5e-3), None]
    monkeypatch.setattr(meter, "_tracker", Tracker(used))
    history = small_model().fit(images, batch_size=16, epochs=2, verbose=0, callbacks=[meter]).history
    assert (history["energy_kwh"], history["gpu_energy_kwh"]) == ([2e-3], [1.5e-3])


def test_totals_are_of_the_epochs_that_were_measured():
    rows = [{"loss": 1.0}, {"energy_kwh": 0.5, "gpu_energy_kwh": 0.25}, {"energy_kwh": 1.5, "gpu_energy_kwh": 1.0}]
    assert energy(rows, None) == {"energy_kwh": 2.0, "gpu_energy_kwh": 1.25}
    assert energy(rows, 150.0) == {"energy_kwh": 2.0, "gpu_energy_kwh": 1.25, "carbon_kg": 0.3}
    assert energy(rows[:1], 150.0) == {}


@pytest.mark.parametrize(
    ("result", "text"),
    [
        ({"energy_kwh": 0.0123}, "energy: 0.0123 kWh, an estimate"),
        (
            {"energy_kwh": 4.0, "gpu_energy_kwh": 3.0, "carbon_kg": 0.54},
            "energy: 4 kWh, 3 of it measured on the GPU, the rest an estimate, 0.54 kg of CO2, as a car's 5 km",
        ),
    ],
)
def test_it_stands_below_the_table(result, text, capsys):
    print_result(result)
    assert capsys.readouterr().out.split() == text.split()  # in lines of a terminal's width


def test_runs_are_told_together():
    runs = [{"energy_kwh": 1.5, "carbon_kg": 0.3}, {"energy_kwh": 0.5, "gpu_energy_kwh": 0.25}, {"loss": 1.0}]
    measured = "2 kWh in the training of 2 of 3 runs, 0.25 of it measured on the GPU, the rest an estimate, "
    assert used(runs) == f"{measured}0.3 kg of CO2 of 1 of them, as a car's 2.78 km"
    assert used(runs, 150) == f"{measured}0.3 kg of CO2 at 150 g for a kWh, as a car's 2.78 km"
    assert used(runs[1:2]) == "0.5 kWh, 0.25 of it measured on the GPU, the rest an estimate"
    assert used([{"energy_kwh": 266.5}], 150).endswith(", 40 kg of CO2 at 150 g for a kWh, as a car's 370 km")
    assert used(runs[2:]) is None
