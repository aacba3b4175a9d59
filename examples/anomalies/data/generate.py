"""Write anomalies.csv: invented readings of a pump every hour, some of them taken while something was wrong."""

import csv
import math
import random
from datetime import datetime, timedelta
from pathlib import Path

READINGS, START = 2000, datetime(2024, 1, 8)
FAULTS = ("bearing", "leak", "sensor")


def main() -> None:
    """Write the file beside this one."""
    draw = random.Random(5)
    with Path(__file__).with_name("anomalies.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["taken", "load", "temperature", "pressure", "vibration", "current", "fault"])
        writer.writerows(reading(draw, START + timedelta(hours=number)) for number in range(READINGS))


def reading(draw: random.Random, taken: datetime) -> list[object]:
    """Return one row; the fault, where there was one, was found out later and is no input of the model."""
    load = 50 + 30 * math.sin(2 * math.pi * taken.hour / 24) + draw.gauss(0, 5)
    temperature = 40 + 0.3 * load + draw.gauss(0, 1.5)
    pressure = 6 + 0.02 * load + draw.gauss(0, 0.15)
    vibration = 1 + 0.01 * load + draw.gauss(0, 0.1)
    current = 4 + 0.08 * load + draw.gauss(0, 0.3)
    fault = draw.choice(FAULTS) if draw.random() < 0.02 else ""
    if fault == "bearing":
        vibration, temperature = vibration + draw.uniform(0.8, 2), temperature + draw.uniform(4, 12)
    elif fault == "leak":
        pressure, current = pressure - draw.uniform(1, 3), current + draw.uniform(1, 3)
    elif fault == "sensor":
        temperature = draw.choice((0.0, 120.0))
    numbers = [f"{number:.2f}" for number in (load, temperature, pressure, vibration, current)]
    return [f"{taken:%Y-%m-%dT%H:%M}", *numbers, fault]


if __name__ == "__main__":
    main()
