"""What energy comes to: CO2, and kilometres of a car (Aczel 2021, sec. 4)."""

CAR = 0.108  # kg of CO2 for a kilometre, as the study reckons


def carbon_kg(kwh, intensity):
    """kg of CO2 of so many kWh, with so many g of CO2 for each of them."""
    return kwh * intensity / 1000


def car_km(kg):
    """How far a car drives for that much CO2."""
    return kg / CAR
