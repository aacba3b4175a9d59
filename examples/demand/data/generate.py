"""Write demand.csv, and tomorrow.csv with the rows to score for the day after.

The sales of three bakeries are invented: they have weekdays, seasons, holidays, promotions and growth.
"""

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
    """Write the files beside this one."""
    draw = random.Random(3)
    shops = {shop: days(draw, shop) for shop in SHOPS}
    names = ["day", "shop", "holiday", "promotion", "temperature"]
    write("demand.csv", [*names, "sold"], [row for rows in shops.values() for row in rows])
    lags = ["sold_1", "sold_7", "sold_14", "mean_28"]
    write("tomorrow.csv", [*names, *lags], [tomorrow(draw, shop, rows) for shop, rows in shops.items()])


def write(name: str, header: list[str], rows: list[list[object]]) -> None:
    """Write a file beside this one."""
    with Path(__file__).with_name(name).open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def tomorrow(draw: random.Random, shop: str, rows: list[list[object]]) -> list[object]:
    """Return the row of the day after the last one, with its lags as data.py makes them."""
    day = FIRST + timedelta(days=len(rows))
    sold = [int(str(row[-1])) for row in rows]
    lags = [sold[-1], sold[-7], sold[-14], round(sum(sold[-28:]) / 28, 2)]
    return [day.isoformat(), shop, int((day.month, day.day) in HOLIDAYS), 0, f"{draw.gauss(2, 3):.1f}", *lags]


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
