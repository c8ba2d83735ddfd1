"""The judgement on data that nobody here made: real flights, real crawls."""

from airflow_agent_provider.quality.features import features

BLIZZARD = ("2013-02-08", "2013-02-09")


def area_under_curve(good, bad):
    """The chance that a bad batch is rated above a good one."""
    pairs = [(one > other) + (one == other) / 2 for one in bad for other in good]
    return sum(pairs) / len(pairs)


def test_the_blizzard_stands_out_and_ordinary_days_do_not(flights, detector):
    """Each day of winter 2013 against the days before; at most one ordinary day in 20 is flagged."""
    accepted, p_values = [], {}
    for day, one in sorted(flights.items()):
        found = features(one)
        p_values[day] = detector.compare(found, accepted).p_value
        if day not in BLIZZARD:
            accepted.append(found)
    judged = {day: p for day, p in p_values.items() if p is not None}
    flagged = [day for day, p in judged.items() if p < detector.alpha]
    assert len(judged) == 90 - 8
    assert set(BLIZZARD) <= set(flagged)
    assert max(judged[day] for day in BLIZZARD) == max(sorted(judged.values())[:2])
    assert len(flagged) - len(BLIZZARD) <= 0.05 * len(judged)


def test_the_blizzard_is_explained_by_what_was_missing(flights, detector):
    """Cancelled flights have no departure: that is among the first figures."""
    days = sorted(flights)
    for day in BLIZZARD:
        history = [features(flights[one]) for one in days if one < day and one not in BLIZZARD]
        first = [one.feature for one in detector.compare(features(flights[day]), history).deviations]
        assert {"dep_time.null_share", "tailnum.null_share"} <= set(first)


def test_dirty_crawls_are_told_from_clean_ones(posts, detector):
    """Weeks 15 to 30, each against the 14 clean weeks before; no clean week is flagged."""
    clean, dirty = [], []
    for week in range(15, 31):
        history = [posts["clean", one] for one in range(week - 14, week)]
        clean.append(detector.compare(posts["clean", week], history).p_value)
        dirty.append(detector.compare(posts["dirty", week], history).p_value)
    assert area_under_curve([-p for p in clean], [-p for p in dirty]) >= 0.87
    assert sum(p < detector.alpha for p in clean) == 0
    assert sum(p < detector.alpha for p in dirty) >= 8
