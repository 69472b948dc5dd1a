"""Energy of each epoch, where the extra `simsiam-tf[energy]` is installed."""

import logging
from importlib.util import find_spec

import keras


class EnergyMeter(keras.callbacks.Callback):
    """Adds "energy_kwh" to the logs and, of it, "gpu_energy_kwh" where there is a GPU.

    GPUs by NVML's counters. The processor by its counters where the system gives them away, else, with the memory,
    estimated by codecarbon from its rated power and the load of this process. Nothing is sent anywhere.
    Put it after the monitors, whose work counts then, and before what records the logs.
    """

    def __init__(self):
        super().__init__()
        # Here, as it takes a while and few have it.
        from codecarbon import OfflineEmissionsTracker

        logging.getLogger("codecarbon").disabled = True  # it speaks before it reads its level
        # The country only decides codecarbon's own figure for CO2, which is not used.
        self._tracker = OfflineEmissionsTracker(
            country_iso_code="FRA", tracking_mode="process", output_methods=[], log_level="critical"
        )

    @staticmethod
    def available():
        return find_spec("codecarbon") is not None

    def on_epoch_begin(self, epoch, logs=None):
        self._tracker.start_task(f"epoch {epoch}")

    def on_epoch_end(self, epoch, logs=None):
        used = self._tracker.stop_task()
        if used is None:  # it could not be measured, which ends no training
            return
        logs["energy_kwh"] = used.energy_consumed
        if used.gpu_energy:
            logs["gpu_energy_kwh"] = used.gpu_energy
