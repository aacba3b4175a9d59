"""Write churn.csv: what 450 invented customers did with an app, in twelve counters over 25 weeks, and who left."""

import csv
import math
import random
from pathlib import Path

CUSTOMERS, WEEKS = 450, 25
#: How often an active customer does these things in a week.
COUNTERS = {
    "logins": 4.0,
    "searches": 3.0,
    "orders": 0.8,
    "returns": 0.2,
    "messages": 0.6,
    "reviews": 0.3,
    "vouchers": 0.3,
    "invites": 0.1,
    "complaints": 0.1,
    "payments": 0.8,
    "saves": 1.2,
    "shares": 0.5,
}


def main() -> None:
    """Write the file beside this one."""
    draw = random.Random(6)
    with Path(__file__).with_name("churn.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([f"{name}_{week}" for name in COUNTERS for week in range(1, WEEKS + 1)] + ["left"])
        writer.writerows(customer(draw) for _ in range(CUSTOMERS))


def customer(draw: random.Random) -> list[object]:
    """Return one row: week 1 is the last one. Most of those who leave do less and complain more before they do."""
    left = draw.random() < 0.35
    activity, fades = math.exp(draw.gauss(0, 0.5)), left and draw.random() < 0.9
    counts: list[object] = []
    for name, usual in COUNTERS.items():
        for week in range(1, WEEKS + 1):
            change = 1.0 if not fades or week > 12 else 4.0 if name == "complaints" else 0.25 + week / 16
            count = min(9, round(draw.gauss(0, 0.4) + draw.expovariate(1 / (usual * activity * change))))
            counts.append("" if draw.random() < 0.01 else max(0, count))
    return [*counts, int(left)]


if __name__ == "__main__":
    main()
