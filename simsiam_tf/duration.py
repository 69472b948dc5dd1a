"""How long something takes, in words."""


def duration(seconds: float) -> str:
    """Such as 2 h 5 min, or 40 s."""
    minutes = round(seconds / 60)
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"
