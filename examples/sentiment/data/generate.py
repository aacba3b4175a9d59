"""Write sentiment.csv: invented reviews of hotels, put together from a vocabulary in which "not" turns the meaning."""

import csv
import random
from pathlib import Path

REVIEWS = 1200
GOOD = ("good", "friendly", "clean", "comfortable", "quiet", "lovely", "helpful", "spacious", "great", "pleasant")
BAD = ("bad", "rude", "dirty", "uncomfortable", "noisy", "awful", "slow", "tiny", "terrible", "smelly")
NOT = ("was not", "wasn't")
THINGS = ("room", "staff", "bed", "breakfast", "bathroom", "pool", "service", "lift", "garden", "bar")
DEGREES = ("", "", "", "really", "quite", "rather", "truly")
GOOD_ENDS = ("We will be back.", "Worth every cent!", "Highly recommended.", "A treat after a long drive.")
BAD_ENDS = ("Never again.", "We left a day early.", "Not worth the money!", "I want my money back.")
NEUTRAL = ("We stayed two nights.", "It was a business trip.", "We came by train.", "The hotel is near the station.")


def main() -> None:
    """Write the file beside this one."""
    draw = random.Random(2)
    reviews: dict[str, str] = {}
    while len(reviews) < REVIEWS:
        is_good = draw.random() < 0.55
        text = review(draw, is_good=is_good)
        # One guest in 25 rates by mistake.
        reviews.setdefault(text, "positive" if is_good is (draw.random() > 0.04) else "negative")
    with Path(__file__).with_name("sentiment.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["review", "sentiment"])
        writer.writerows(reviews.items())


def review(draw: random.Random, *, is_good: bool) -> str:
    """Return a review with up to three opinions; one of three may be the opposite of the others."""
    things = draw.sample(THINGS, draw.choice((1, 2, 3)))
    odd = draw.randrange(6) if len(things) == 3 else -1
    sentences = [opinion(draw, thing, is_good=is_good is (i != odd)) for i, thing in enumerate(things)]
    if draw.random() < 0.4:
        sentences.append(draw.choice(GOOD_ENDS if is_good else BAD_ENDS))
    if draw.random() < 0.5:
        sentences.insert(0, draw.choice(NEUTRAL))
    return " ".join(sentences)


def opinion(draw: random.Random, thing: str, *, is_good: bool) -> str:
    """Return a sentence about a thing; a negation turns the meaning of its word."""
    is_negated = draw.random() < 0.3
    word = draw.choice(GOOD if is_good is not is_negated else BAD)
    if is_negated:
        return f"The {thing} {draw.choice(NOT)} {word}{draw.choice(('', ' at all'))}."
    described = f"{draw.choice(DEGREES)} {word}".strip()
    return draw.choice((f"The {thing} was {described}.", f"{described.capitalize()} {thing}."))


if __name__ == "__main__":
    main()
