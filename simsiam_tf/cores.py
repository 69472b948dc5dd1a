"""How many cores this process may use."""

import functools


@functools.cache
def usable_cores() -> int:
    """Of the machine, of the process's affinity, or as many as a container's limit allows."""
    from joblib import cpu_count  # scikit-learn brings it; not every command needs it

    return cpu_count()
