"""The page of a summary: what it shows, in which order, and that names and values of a log are never code."""

import re
from datetime import timedelta
from itertools import pairwise

import pytest
from html_page import Page
from summaries import (
    ATTACK,
    END,
    INF,
    LONG,
    NAN,
    START,
    drift,
    estimate,
    hostile,
    outlier,
    quality,
    rule,
    summary,
    version,
)
from titanic_survival.toolkit.analysis.report import render
from titanic_survival.toolkit.analysis.report.texts import clean, fitting, moment, number, rounded, short
from titanic_survival.toolkit.analysis.summary import Estimate, Summary, Traffic


def page(found: Summary) -> Page:
    return Page(render(found))


def cards(found: Page) -> list[str]:
    return found.texts("figcaption")


def row(found: Page, name: str) -> str:
    [text] = [text for text in found.texts("tr") if text.startswith(name)]
    return text


def test_decision_comes_first_with_the_rules_that_fired() -> None:
    rules = (rule("accuracy", False, direction="below", bound=0.75, estimate=estimate(0.75)), rule())
    found = page(summary(version(), rules=rules, decision="retrain"))
    assert found.texts("h2")[0] == "Decision"
    why = "drift of age is 0.41 (0.4 to 0.42) of 1,000 rows: all of the interval is above 0.25"
    sentence = f"Retrain, because 1 of 2 rules of version 3 fired: {why}."
    assert found.texts("p", "decision") == [sentence]
    fired, other = found.texts("tr")[1:3]
    assert fired == f"drift/age above 0.25fired37 days0.41 (0.4 to 0.42)retrain{why}"
    assert "accuracy below 0.75not fired" in other


@pytest.mark.parametrize(
    ("rules", "decision", "sentence"),
    [
        ((), "nothing", "Nothing to do: no rule is set in model/quality.py."),
        ((rule(fired=False),), "nothing", "Nothing to do: none of 1 rule fired."),
        (
            (rule(fired=False), rule(fired=False, estimate=None, evaluated=False)),
            "nothing",
            "Nothing to do: none of 2 rules fired; 1 rule could not be evaluated.",
        ),
        (
            (rule(action="report"),),
            "report",
            "Report only, because the rule of version 3 fired: drift of age is 0.41 (0.4 to 0.42) of 1,000 rows: "
            "all of the interval is above 0.25.",
        ),
    ],
)
def test_decision_is_one_plain_sentence(rules: tuple, decision: str, sentence: str) -> None:
    assert page(summary(version(), rules=rules, decision=decision)).texts("p", "decision") == [sentence]


def test_rule_with_too_few_rows_is_marked() -> None:
    found = page(summary(version(), rules=(rule("outliers", False, evaluated=False),)))
    assert "outliers above 0.25not evaluated" in found.texts("tr")[1]


def test_page_ends_when_it_was_made() -> None:
    late = summary(version()).model_copy(update={"end": END + timedelta(hours=3), "made": END + timedelta(hours=1)})
    head = page(late).texts("p", "quiet")[0]
    assert f"to {moment(END + timedelta(hours=1))}." in head


def test_age_is_a_rule_without_interval_or_rows() -> None:
    age = Estimate(value=200, low=200, high=200, count=0)
    reason = "the champion was trained 200.0 days ago"
    found = page(summary(version(), rules=(rule("age", bound=180, estimate=age, reason=reason),), decision="retrain"))
    [sentence] = found.texts("p", "decision")
    assert sentence == f"Retrain, because the rule of version 3 fired: {reason} (age above 180)."
    assert found.texts("tr")[1].startswith("age above 180fired3\N{EN DASH}200retrain")


def test_many_rules_that_fired_are_counted() -> None:
    found = page(summary(version(), rules=tuple(rule(f"drift/{i}") for i in range(5)), decision="retrain"))
    [sentence] = found.texts("p", "decision")
    assert sentence.startswith("Retrain, because 5 of 5 rules of version 3 fired: drift of age ")
    assert sentence.endswith("; and 3 more.")


def test_champion_comes_first_and_then_the_newest() -> None:
    others = [version(number, aliases=()) for number in (1, 2, 4, 5, 6, 7, 8, 9, 10)]
    found = page(summary(*others[:4], version(3), *others[4:]))
    headings = [text for text in found.texts("h2") if re.match(r"Version \d", text)]
    assert headings == ["Version 3 champion", *(f"Version {number}" for number in (10, 9, 8, 7, 6, 5, 4, 2, 1))]


def test_features_are_sorted_by_drift_with_both_histograms() -> None:
    found = page(summary(version()))
    assert [text.split()[0] for text in cards(found) if "PSI" in text] == ["age", "fare", "port", "probability"]
    assert row(found, "age 0.410") == "age 0.4100.400 to 0.420drift100"
    assert row(found, "fare") == "fare 0.1200.110 to 0.130some drift100"
    assert row(found, "port 0.010") == "port 0.0100.000 to 0.020no drift100"
    titles = [text for text in found.texts("title") if "at training" in text]
    assert titles[:4] == ["<1: 20.0 % now, 25.0 % at training"] * 2 + ["1 to 5: 70.0 % now, 50.0 % at training"] * 2
    described = [one.attributes.get("aria-label", "") for one in found.all("svg")]
    assert any(text.startswith("age: rows by bin, now and at training: <1 20.0") for text in described)
    now, training = (
        [float(bar.attributes["width"]) for bar in found.all("rect", kind)] for kind in ("now", "training")
    )
    # The largest share of the chart, 70 %, takes all of the width.
    assert now[7:9] == [pytest.approx(112 * 20 / 70, abs=0.1), 112]
    assert training[7:9] == [pytest.approx(112 * 25 / 70, abs=0.1), pytest.approx(112 * 50 / 70, abs=0.1)]
    assert "20 % (was 25 %)" in [text.text.strip() for text in found.all("text", "label")]


def test_reading_of_drift_rests_on_the_interval() -> None:
    fields = (
        drift("likely", estimate(0.3, 0.04)),
        drift("perhaps", estimate(0.3, 0.1)),
        drift("chance", estimate(0.2, 0.15)),
        drift("little", estimate(0.08, 0.05)),
        drift("few", None),
    )
    found = page(summary(version(drift=fields)))
    assert [re.sub(r" PSI \S+", ":", text) for text in cards(found)[1:6]] == [
        "likely: drift",
        "perhaps: some drift",
        "chance: may be chance",
        "little: little drift",
        "few too few rows",
    ]


def test_of_200_features_the_most_drifted_have_histograms_and_all_are_in_the_table() -> None:
    fields = tuple(drift(f"feature_{i:03}", i / 1000) for i in range(200))
    found = page(summary(version(drift=fields)))
    assert [text.split()[0] for text in cards(found) if "PSI" in text] == [
        f"feature_{i:03}" for i in range(199, 175, -1)
    ]
    assert len([text for text in found.texts("tr") if text.startswith("feature_")]) == 200
    assert "The 176 features with the smallest drift are in the table alone." in found.texts("p")
    assert "open" not in found.all("details")[0].attributes


def test_rarest_of_50_categories_are_added_up() -> None:
    names, rows = tuple(f"c{i}" for i in range(50)), tuple(range(50))
    field = drift("category", 0.1, bins=names, rows=rows, reference=(0.02,) * 50)
    found = page(summary(version(drift=(field,))))
    labels = [text.text.strip() for text in found.all("text", "label") if re.match(r"\n?c\d|37 others", text.text)]
    assert len(labels) == 14
    assert "37 others" in str(found.texts("title"))


def test_quality_has_intervals_groups_and_the_hold_out_rows() -> None:
    found = page(summary(version()))
    assert (
        row(found, "accuracyall rows")
        == "accuracyall rows0.7600 (0.7500 to 0.7700)0.8046-0.0446 (-0.0696 to -0.0196)lower1,000"
    )
    assert (
        row(found, "accuracysex = female") == "accuracysex = female0.8000 (0.7900 to 0.8100)0.78\N{EN DASH}unknown1,000"
    )
    assert cards(found)[-3:] == ["accuracy", "sex = female", "Predicted and observed"]
    assert "accuracy by group" in found.texts("h4")
    assert "02 Mar 09:00: 0.8 (0.79 to 0.81), 1,000 rows" in found.texts("title")
    charts = [
        one for one in found.all("svg") if one.attributes.get("aria-label", "").startswith("accuracy: 02 Mar 0.8")
    ]
    assert len(charts) == 1
    # Two charts of quality and one of calibration have a line to compare with.
    assert len(found.all("line", "reference")) == 3


def test_metric_of_many_groups_shows_those_with_the_most_labels() -> None:
    points = tuple(
        quality("accuracy", 0.8, f"zip/{i}", 0).model_copy(update={"estimate": estimate(0.8, count=i)})
        for i in range(30)
    )
    found = page(summary(version(quality_over_time=points)))
    shown = [text for text in cards(found) if text.startswith("zip")]
    assert shown == [f"zip = {i}" for i in range(29, 17, -1)]
    assert "18 groups with fewer labels: no chart." in found.texts("p")


def test_traffic_of_a_shadow_is_apart() -> None:
    found = page(summary(version()))
    assert "02 Mar 09:00: 2,000 rows answered, 600 as a shadow" in found.texts("title")
    assert row(found, "3champion") == "3champion2026-01-12 14:0318,4324,2004,210age (0.410)3.1 %"


def test_long_traffic_is_added_up_to_bars_that_can_be_seen() -> None:
    step = timedelta(minutes=30)
    parts = tuple(Traffic(start=START + i * step, end=START + (i + 1) * step, rows=1) for i in range(336))
    found = page(summary(version(traffic=parts)))
    bars = found.all("rect", "now")[:56]
    assert {bar.attributes["width"] for bar in bars} <= {"3.7", "3.8", "3.9"}
    assert "02 Mar 09:00: 6 rows answered, 0 as a shadow" in found.texts("title")


def test_outliers_have_their_rows() -> None:
    found = page(summary(version()))
    assert any(text.startswith("3.1 % (2.8 % to 3.4 %) of the rows are rarer") for text in found.texts("p"))
    assert row(found, "Score") == "ScoreTime (UTC)agesexportsurvivedId"
    assert row(found, "14.25") == "14.252026-03-09 09:0091male\N{EN DASH}truerow-1"


def test_outliers_with_many_fields_have_them_in_one_cell() -> None:
    found = page(summary(version(outlier_rows=(outlier({f"f{i}": i for i in range(100)}),))))
    assert row(found, "Score") == "ScoreTime (UTC)inputsoutputsId"
    assert "f0 0; f1 1;" in row(found, "14.25")
    assert "f29 29; and 70 more" in row(found, "14.25")


def test_missing_values_are_sorted_by_their_change() -> None:
    found = page(summary(version()))
    rows = [text for text in found.texts("tr") if "points" in text]
    assert rows == [
        "age10.0 %9.0 % to 11.0 %25.0 %-15.0 points",
        "port4.0 %3.0 % to 5.0 %0.2 %+3.8 points",
    ]


def test_what_is_missing_says_why() -> None:
    note = "There are no labels yet."
    bare = version(rows=3, labels=0, drift=(), quality=(), quality_over_time=(), calibration=(), notes=(note,))
    found = page(
        summary(bare.model_copy(update={"outliers": None, "outlier_rows": ()}), notes=("2 lines are damaged.",))
    )
    assert {note, "2 lines are damaged."} <= set(found.texts("li"))
    profile = "Nothing to show: this needs rows, and the reference profile of this version."
    labels = "Nothing to show: this needs labels of enough rows."
    probabilities = "Nothing to show: this needs labels, and probabilities of a class."
    shown = [text for text in found.texts("p", "quiet") if text.startswith("Nothing")]
    assert shown == [profile, profile, labels, probabilities, profile, profile]


def test_page_without_versions_says_so() -> None:
    found = page(summary(notes=("log/ has no predictions.",)))
    assert "No version has answered in this time." in found.texts("p")
    assert found.all("svg") == []


def test_page_of_one_row() -> None:
    traffic = (Traffic(start=END, end=END, rows=1),)
    one = version(
        rows=1,
        labels=1,
        traffic=traffic,
        drift=(drift("sex", None, bins=("a", "b"), rows=(1, 0), reference=(1 / 3, 2 / 3)),),
    )
    found = page(summary(one))
    assert "1 row, 1 label, trained 2026-01-12 14:03 UTC." in found.texts("p", "quiet")
    assert "a: 100.0 % now, 33.3 % at training" in found.texts("title")


def test_names_and_values_of_the_log_are_never_code() -> None:
    text = render(hostile(versions=1, features=40))
    found = Page(text)
    assert {element.tag for element in found.elements} & {"script", "img", "iframe", "object", "b", "i"} <= {"i"}
    assert [name for element in found.elements for name in element.attributes if name.startswith("on")] == []
    assert len(found.all("style")) == 1
    assert '"><script>alert(1)</script><img src=x onerror=alert(1)>' in found.texts("h1")[0]
    assert "{{ 7*7 }} {% raw %} &amp;" in found.texts("h1")[0]
    assert "\x00" not in text and "\u202e" not in text
    text.encode("utf-8")


def test_hostile_page_stays_small() -> None:
    text = render(hostile(versions=10))
    assert len(text) < 12_000_000
    assert LONG not in text
    assert not re.search(r'="[^"]*\b(nan|inf)\b', text)


def test_page_needs_nothing_but_itself() -> None:
    text = render(summary(version(), version(4), rules=(rule(),), decision="retrain"))
    found = Page(text)
    assert [element.tag for element in found.elements if "src" in element.attributes] == []
    assert {element.attributes["href"] for element in found.elements if "href" in element.attributes} == {
        "data:,",
        "#version-3",
        "#version-4",
    }
    assert not re.search(r"url\(|@import|https?:", text)
    [policy] = [one.attributes["content"] for one in found.all("meta", **{"http-equiv": "Content-Security-Policy"})]
    assert policy == "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def test_page_has_an_outline_captions_and_texts_for_its_charts() -> None:
    found = page(summary(version(), version(4, aliases=()), rules=(rule(),), decision="retrain"))
    levels = [int(element.tag[1]) for element in found.elements if re.fullmatch(r"h[1-6]", element.tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert len(found.all("caption")) == len(found.all("table")) > 5
    assert all(text for text in found.texts("th"))
    drawings = found.all("svg")
    assert all(one.attributes.get("aria-label") or one.attributes.get("aria-hidden") for one in drawings)
    ids = [element.attributes["id"] for element in found.elements if "id" in element.attributes]
    assert len(ids) == len(set(ids))
    named = {
        element.attributes["aria-labelledby"] for element in found.elements if "aria-labelledby" in element.attributes
    }
    assert named <= set(ids)


def luminance(colour: str) -> float:
    digits = colour.lstrip("#")
    digits = "".join(2 * digit for digit in digits) if len(digits) == 3 else digits
    parts = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def test_colours_have_contrast_in_light_dark_and_print() -> None:
    style = page(summary()).all("style")[0].text
    schemes = [
        dict(re.findall(r"--([\w-]+): (#\w+);", block)) for block in re.findall(r":root \{(.*?)\}", style, re.DOTALL)
    ]
    assert len(schemes) == 3
    texts = [("ink", "page"), ("ink", "card"), ("quiet", "page"), ("quiet", "card")]
    texts += [(name, f"{name}-back") for name in ("alarm", "some", "good")] + [
        ("ink", "alarm-back"),
        ("ink", "some-back"),
    ]
    graphics = [("now", "card"), ("training", "card"), ("now", "page")]
    for scheme in schemes:
        for pairs, least in ((texts, 4.5), (graphics, 3)):
            for front, back in pairs:
                low, high = sorted((luminance(scheme[front]), luminance(scheme[back])))
                assert (high + 0.05) / (low + 0.05) >= least, (front, back)


@pytest.mark.parametrize(
    ("item", "text"),
    [
        (None, "\N{EN DASH}"),
        (0, "0"),
        (1234567, "1,234,567"),
        (0.80461, "0.8046"),
        (25000.5, "25,000"),
        (1000.0, "1,000"),
        (1e20, "1e+20"),
        (NAN, "not a number"),
        (-INF, "-infinite"),
    ],
)
def test_numbers_are_plain(item: float | None, text: str) -> None:
    assert number(item) == text


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (estimate(-0.063712, 0.059), "-0.064 (-0.123 to -0.005)"),
        (estimate(31_234.4, 250), "+31,234 (+30,984 to +31,484)"),
        (estimate(0.5, 0), "0.5 (0.5 to 0.5)"),
        (estimate(1e-200, 1e-201), "1e-200 (9e-201 to 1.1e-200)"),
        (estimate(NAN, 1), "not a number (not a number to not a number)"),
        (None, "\N{EN DASH}"),
    ],
)
def test_estimate_has_the_digits_that_its_interval_leaves(found: Estimate | None, text: str) -> None:
    assert rounded(found, "+") == text


def test_labels_of_axes_are_short() -> None:
    assert [short(item) for item in (0, 0.25, 2000, 20000, 1.5e6, 3e12, 1e15)] == [
        "0",
        "0.25",
        "2000",
        "20k",
        "1.5M",
        "3e+12",
        "1e+15",
    ]
    assert fitting("Southampton", 11) == "Southampton"
    assert fitting("Southampton", 8) == "Southam…"
    assert fitting("南安普敦港口城市", 8) == "南安普…"


def test_text_is_cut_and_has_no_characters_that_are_none() -> None:
    assert clean("a\x1b[0m\udc00b") == "a\N{REPLACEMENT CHARACTER}[0m\N{REPLACEMENT CHARACTER}b"
    assert clean("abcdef", 4) == "abc…"
    assert ATTACK not in clean(ATTACK)
