import json
from datetime import datetime

import pytest
from airflow.sdk import DAG, BaseOperator

from airflow_agent_provider.exceptions import ConfigurationError
from airflow_agent_provider.quality.checks import (
    CHECKS,
    AcceptedValues,
    Between,
    CustomQuery,
    CustomSql,
    Fresh,
    HasSchema,
    Matches,
    NotNull,
    RowCount,
    Unique,
    parse_checks,
)
from airflow_agent_provider.sources.catalogue import parse_source
from airflow_agent_provider.sources.files import Files
from airflow_agent_provider.sources.sql import Query, Table

WRITTEN = [
    RowCount(10, 20),
    NotNull("tailnum", tolerance=0.02, severity="critical"),
    Unique("time_hour", "carrier", "flight", name="one row a flight"),
    AcceptedValues("carrier", ["AA", "UA"]),
    Between("distance", 0, 6000),
    Between("day", datetime(2013, 1, 1), "2013-12-31"),  # noqa: DTZ001  # columns have no zone either
    Matches("tailnum", "N[0-9A-Z]{1,5}"),
    Fresh("time_hour", 30, reference="2013-02-08T00:00:00+00:00"),
    HasSchema({"flight": "number", "note": None}, extra=False),
    CustomSql("arr_time is null or dep_time is not null"),
    CustomQuery("select count(distinct origin) from batch", minimum=3),
]


def context_of(**values):
    with DAG("specs", schedule=None):
        task = BaseOperator(task_id="task")
    return {"task": task, "dag": task.dag, **values}


@pytest.mark.parametrize("check", WRITTEN, ids=lambda check: type(check).__name__)
def test_every_check_survives_the_way_through_a_form(check):
    """A check read back from the JSON that it serializes to is the same check."""
    written = json.loads(json.dumps(check.serialize()))
    assert parse_checks([written]) == (check,)


def test_every_kind_of_check_is_written_above():
    """The list that these tests go over leaves no check of the catalogue out."""
    assert {type(check) for check in WRITTEN} == set(CHECKS)


def test_defaults_are_left_out_of_the_serialized_form():
    """What the author did not write is not shown."""
    assert NotNull("tailnum").serialize() == {"type": "NotNull", "column": "tailnum"}


def test_serializing_twice_gives_the_same_text():
    """Airflow compares serialized DAGs as text, so the form must not vary, not even for a set of values."""
    one, other = (AcceptedValues("x", {"b", "a", "c"}) for _ in range(2))
    assert json.dumps(one.serialize()) == json.dumps(other.serialize())


@pytest.mark.parametrize("spelling", ["NotNull", "not_null", "not-null", "not null", "NOT_NULL"])
def test_a_type_may_be_spelt_as_class_or_as_words(spelling):
    """JSON authors need not know Python's capitals."""
    assert parse_checks([{"type": spelling, "column": "a"}]) == (NotNull("a"),)


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ([{"type": "notnul", "column": "a"}], ["check 1", "'notnul'", "did you mean not_null"]),
        (
            [NotNull("a"), {"type": "not_null", "colum": "a"}],
            ["check 2", "NotNull", "unknown field 'colum'", "column"],
        ),
        ([{"type": "not_null"}], ["check 1", "missing field 'column'"]),
        ([{"type": "unique"}], ["check 1", "missing field 'columns'"]),
        ([{"type": "not_null", "column": 5}], ["check 1", "column=5", "must name a column"]),
        ([{"type": "not_null", "column": "a", "tolerance": "much"}], ["tolerance='much'", "finite number"]),
        ([{"column": "a"}], ["check 1", '"type"', "not_null"]),
        (["not_null"], ["check 1", "must be an object"]),
        ({"type": "not_null"}, ["must be a list"]),
        ("[{", ["not JSON"]),
        ('"text"', ["must be a list"]),
    ],
)
def test_a_wrong_form_is_told_by_place_and_part(written, said):
    """Whoever filled in the form learns which check, which field and what is known."""
    with pytest.raises(ConfigurationError) as caught:
        parse_checks(written)
    assert [part for part in said if part not in str(caught.value)] == []


def test_no_checks_may_be_given():
    """An empty form field means no checks."""
    assert [parse_checks(written) for written in (None, "", [], "[]")] == [(), (), (), ()]


def test_rendering_leaves_the_shared_object_alone():
    """Task instances share the DAG's objects, so rendering gives copies, at any depth."""
    shared = HasSchema({"{{ ds }}": "{{ params.kind }}"})
    rendered = shared.resolve(context_of(ds="2013-02-08", params={"kind": "number"}))
    assert (rendered.columns, shared.columns) == ({"{{ ds }}": "number"}, {"{{ ds }}": "{{ params.kind }}"})


def test_a_rendered_number_is_a_number_again():
    """Templates give text; the rendered check equals the one written with numbers."""
    shared = Between("distance", "{{ params.least }}", "{{ params.most }}", tolerance="{{ params.share }}")
    rendered = shared.resolve(context_of(params={"least": 0, "most": 60.5, "share": 0.1}))
    assert rendered == Between("distance", 0, 60.5, tolerance=0.1)


def test_a_template_is_judged_when_its_value_is_known():
    """A bound that is impossible only after rendering is refused then, by the same rule."""
    shared = Between("distance", 10, "{{ params.most }}")
    with pytest.raises(ConfigurationError, match=r"Between\(minimum=10\): must be at most maximum=5"):
        shared.resolve(context_of(params={"most": 5}))


def test_columns_of_a_unique_check_are_rendered():
    """A check with an own ``__init__`` renders like the others."""
    rendered = Unique("{{ params.key }}", "flight").resolve(context_of(params={"key": "day"}))
    assert rendered == Unique("day", "flight")


@pytest.mark.parametrize(
    "source",
    [
        Table("warehouse", "public.flights", where="day = '{{ ds }}'", columns=["flight", "tailnum"]),
        Query("warehouse", "select * from flights", name="flights"),
        Files("data/{{ ds }}.csv.gz", columns=["flight"], threads=1),
    ],
    ids=lambda source: type(source).__name__,
)
def test_every_source_survives_the_way_through_a_form(source):
    """A source read back from the JSON that it serializes to is the same source."""
    assert parse_source(json.dumps(source.serialize())) == source


def test_airflow_renders_a_source_in_a_template_field():
    """Airflow's own templater takes a source in a template field and puts the rendered copy in its place."""

    class Reader(BaseOperator):
        template_fields = ("source",)

        def __init__(self, source, **kwargs):
            super().__init__(**kwargs)
            self.source = source

    shared = Table("warehouse", "flights", where="day = '{{ ds }}'")
    with DAG("reader", schedule=None):
        task = Reader(task_id="read", source=shared)
    task.render_template_fields({"task": task, "dag": task.dag, "ds": "2013-02-08"})
    assert (task.source.where, shared.where) == ("day = '2013-02-08'", "day = '{{ ds }}'")


def test_a_form_for_a_source_is_told_what_is_wrong():
    """The same care for sources: type, field and what is known."""
    with pytest.raises(
        ConfigurationError, match=r"source: unknown type 'tabel'; known: table, query, files; did you mean"
    ):
        parse_source({"type": "tabel"})
