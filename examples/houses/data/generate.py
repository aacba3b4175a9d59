"""Write houses.csv: invented sales, whose prices depend on place, size, age, date and words of the description."""

import csv
import math
import random
from datetime import date, timedelta
from pathlib import Path

SALES, FIRST, DAYS = 1000, date(2021, 1, 1), 4 * 365
#: The districts: the first digits of their zip codes, how many there are, and the price of a square metre.
DISTRICTS = {"010": (9, 5200), "012": (14, 3900), "013": (11, 3100), "027": (16, 2300), "085": (20, 1700)}
KINDS = {"apartment": (1.0, 70), "terraced": (0.95, 115), "detached": (1.12, 150), "bungalow": (1.05, 95)}
ENERGY = dict(zip("ABCDEFG", (1.06, 1.04, 1.02, 1.0, 0.97, 0.94, 0.90), strict=True))
#: Phrases, and what they do to the price.
PHRASES = {
    "view of the river": 1.14,
    "recently renovated": 1.09,
    "new kitchen": 1.04,
    "sunny balcony": 1.04,
    "garage": 1.03,
    "quiet street": 1.03,
    "fireplace": 1.02,
    "close to school": 1.0,
    "cellar": 1.0,
    "two bathrooms": 1.03,
    "on a busy road": 0.93,
    "damp cellar": 0.91,
    "let until further notice": 0.92,
    "needs renovation": 0.85,
}
OPENINGS = (
    "For sale:",
    "Now free:",
    'A real "find":',
    "Seen by few so far:",
    "Bright and friendly,",
    "Café next door,",
)
CLOSINGS = ("Viewing on request.", "No agents, please.", "Free from next month.", "Call us!", "")


def main() -> None:
    """Write the file beside this one."""
    draw = random.Random(1)
    places = [
        (f"{digits}{n:02d}", level * draw.uniform(0.85, 1.2))
        for digits, (count, level) in DISTRICTS.items()
        for n in range(count)
    ]
    weights = [1 / rank for rank in range(1, len(places) + 1)]
    draw.shuffle(weights)
    rows = sorted(sale(draw, *draw.choices(places, weights)[0]) for _ in range(SALES))
    with Path(__file__).with_name("houses.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["sold", "zip_code", "kind", "area", "rooms", "built", "energy", "description", "price"])
        writer.writerows(rows)


def sale(draw: random.Random, zip_code: str, level: float) -> list[object]:
    """Return one row."""
    day = draw.randrange(DAYS)
    sold = FIRST + timedelta(days=day)
    kind = draw.choice(list(KINDS))
    factor, usual = KINDS[kind]
    area = round(usual * math.exp(draw.gauss(0, 0.3)))
    built = min(sold.year, round(2024 - draw.expovariate(1 / 45)))
    energy = "ABCDEFG"[max(0, min(6, round((2024 - built) / 18 + draw.gauss(0.5, 1))))]
    phrases = draw.sample(list(PHRASES), draw.choice((1, 2, 2, 3, 4)))
    price = level * area**0.92 * 1.4 * factor * ENERGY[energy] * math.exp(-0.002 * min(80, 2024 - built))
    price *= math.prod(PHRASES[phrase] for phrase in phrases)
    price *= 1.05 ** (day / 365) * (1 + 0.03 * math.sin(2 * math.pi * (sold.month - 2) / 12))
    price *= math.exp(draw.gauss(0, 0.06))
    return [
        sold.isoformat(),
        zip_code,
        kind,
        area,
        "" if draw.random() < 0.08 else max(1, round(area / 27 + draw.gauss(0, 0.5))),
        "" if draw.random() < 0.12 else built,
        "" if draw.random() < 0.3 else energy,
        "" if draw.random() < 0.04 else describe(draw, phrases),
        round(price, -2),
    ]


def describe(draw: random.Random, phrases: list[str]) -> str:
    """Return a text with the phrases in it."""
    listed = ", ".join(phrases)
    return f"{draw.choice(OPENINGS)} {listed}. {draw.choice(CLOSINGS)}".strip()


if __name__ == "__main__":
    main()
