"""Write demand.csv: invented daily sales of three bakeries, with weekdays, seasons, holidays, promotions and growth."""

import csv
import math
import random
from datetime import date, timedelta
from pathlib import Path

FIRST, DAYS = date(2022, 1, 3), 2 * 364
SHOPS = {"harbour": 140, "market": 220, "station": 320}
#: Monday to Sunday, for each shop.
WEEKDAYS = {
    "harbour": (0.8, 0.8, 0.85, 0.9, 1.1, 1.5, 1.4),
    "market": (0.9, 0.9, 1.1, 0.95, 1.1, 1.6, 0.5),
    "station": (1.1, 1.1, 1.1, 1.1, 1.2, 0.7, 0.6),
}
HOLIDAYS = {(1, 1), (5, 1), (10, 3), (12, 25), (12, 26)}


def main() -> None:
    """Write the file beside this one."""
    draw = random.Random(3)
    with Path(__file__).with_name("demand.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["day", "shop", "holiday", "promotion", "temperature", "sold"])
        for shop in SHOPS:
            writer.writerows(days(draw, shop))


def days(draw: random.Random, shop: str) -> list[list[object]]:
    """Return the rows of a shop."""
    rows: list[list[object]] = []
    level = 0.0
    for number in range(DAYS):
        day = FIRST + timedelta(days=number)
        holiday, promotion = (day.month, day.day) in HOLIDAYS, draw.random() < 0.08
        season = math.sin(2 * math.pi * (day.timetuple().tm_yday - 100) / 365)
        temperature = 10 + 10 * season + draw.gauss(0, 4)
        # What is not explained by the day goes on for a while: yesterday's sales say something of today's.
        level = 0.9 * level + draw.gauss(0, 0.04)
        sold = SHOPS[shop] * WEEKDAYS[shop][day.weekday()] * (1 + 0.08 * number / 364) * math.exp(level)
        sold *= 1 - 0.1 * season + (0.25 if promotion else 0) - (0.6 if holiday else 0)
        sold *= math.exp(draw.gauss(0, 0.06))
        known = "" if draw.random() < 0.03 else f"{temperature:.1f}"
        rows.append([day.isoformat(), shop, int(holiday), int(promotion), known, round(sold)])
    return rows


if __name__ == "__main__":
    main()
