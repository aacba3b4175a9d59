"""Write fraud.csv: invented card payments, one in a hundred of them fraudulent."""

import csv
import math
import random
from datetime import datetime, timedelta
from pathlib import Path

PAYMENTS, SHARE = 6000, 0.01
START, DAYS = datetime(2024, 3, 1), 60
TRADES = {"fuel": 45, "games": 25, "grocery": 30, "jewels": 260, "travel": 190}
COUNTRIES = ("AT", "BE", "CH", "CZ", "DE", "DK", "ES", "FR", "GB", "IT", "NL", "PL", "PT", "SE", "US")


def main() -> None:
    """Write the file beside this one."""
    draw = random.Random(4)
    frauds = set(draw.sample(range(PAYMENTS), round(PAYMENTS * SHARE)))
    rows = sorted(payment(draw, is_fraud=number in frauds) for number in range(PAYMENTS))
    with Path(__file__).with_name("fraud.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["paid", "amount", "trade", "country", "online", "card_days", "last_hour", "fraud"])
        writer.writerows(rows)


def payment(draw: random.Random, *, is_fraud: bool) -> list[object]:
    """Return one row; a quarter of the frauds look like honest payments."""
    odd = is_fraud and draw.random() < 0.75
    hour = (
        draw.choice((0, 1, 2, 3, 4, 23)) if odd and draw.random() < 0.7 else min(23, max(6, round(draw.gauss(14, 4))))
    )
    paid = START + timedelta(days=draw.randrange(DAYS), hours=hour, minutes=draw.randrange(60))
    trade = draw.choices(list(TRADES), (1, 3, 1, 4, 2) if odd else (4, 1, 8, 1, 2))[0]
    amount = TRADES[trade] * math.exp(draw.gauss(0.6 if odd else 0, 0.6))
    country = draw.choice(COUNTRIES) if draw.random() < (0.6 if odd else 0.1) else "DE"
    online = draw.random() < (0.85 if odd else 0.35)
    card_days = round(draw.expovariate(1 / (60 if odd else 700)))
    last_hour = min(30, int(draw.expovariate(1 / (3.5 if odd else 0.4))))
    known = "" if draw.random() < 0.05 else card_days
    return [
        f"{paid:%Y-%m-%dT%H:%M}", f"{amount:.2f}", trade, country, int(online), known, last_hour, int(is_fraud)
    ]  # fmt: skip


if __name__ == "__main__":
    main()
