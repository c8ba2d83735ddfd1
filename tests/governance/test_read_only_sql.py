"""The SQL guard: what may be run, and what an attacker tries."""

import pytest

from airflow_agent_provider.exceptions import ToolFailed
from airflow_agent_provider.governance.read_only_sql import read_only

ALLOWED = [
    "select origin, count(*) from batch where dep_time is null group by 1 order by 2 desc limit 5",
    "with late as (select * from batch where dep_delay > 60) select carrier, avg(dep_delay) from late group by 1",
    "select carrier, sum(case when dep_time is null then 1 else 0 end) * 1.0 / count(*) from batch group by carrier",
    "select extract(hour from time_hour), count(distinct tailnum) from batch group by 1 having count(*) > 3",
    "select * from batch where tailnum ~ '^N' union all select * from batch where origin in ('JFK')",
    "select row_number() over (partition by origin order by dep_delay) from batch",
    "select cast(dep_delay as text), coalesce(tailnum, 'none'), upper(origin) from batch",
    "select a.origin from batch a join batch b on a.flight = b.flight and a.origin <> b.origin",
]
REFUSED = [
    ("select 1; drop table flights", "one statement"),
    ("drop table batch", "only SELECT"),
    ("delete from batch", "only SELECT"),
    ("update batch set a = 1", "only SELECT"),
    ("insert into batch values (1)", "only SELECT"),
    ("with x as (delete from batch returning *) select * from x", "DELETE"),
    ("with x as (update batch set a = 1 returning *) select * from x", "UPDATE"),
    ("select * into stolen from batch", "INTO"),
    ("create table t as select * from batch", "only SELECT"),
    ("copy batch to '/x'", "only SELECT"),
    ("explain analyze delete from batch", "only SELECT"),
    ("call refund_all()", "only SELECT"),
    ("set role admin", "only SELECT"),
    ("vacuum", "only SELECT"),
    ("select * from batch for update", "LOCK"),
    ("select pg_sleep(100)", "pg_sleep"),
    ("select pg_read_file('/etc/passwd')", "pg_read_file"),
    ("select lo_import('/etc/passwd')", "lo_import"),
    ("select dblink('host=x', 'select 1')", "dblink"),
    ("select query_to_xml('delete from flights', true, true, '')", "query_to_xml"),
    ("select set_config('statement_timeout', '0', false)", "set_config"),
    ("select current_setting('data_directory')", "current_setting"),
    ("select nextval('seq')", "nextval"),
    ("select pg_terminate_backend(1)", "pg_terminate_backend"),
    ("select getenv('HOME')", "getenv"),
    ("select * from read_csv('/etc/passwd')", "only these relations"),
    ("select * from read_text('/etc/passwd')", "only these relations"),
    ("select * from '/etc/passwd'", "no relation"),
    ("select * from glob('/*')", "only these relations|Glob|not valid"),
    ("select * from generate_series(1, 1000000000)", "only these relations"),
    ("select * from flights", "no relation 'flights'"),
    ("select * from other.batch", "only these relations"),
    ("select * from pg_catalog.pg_authid", "only these relations"),
    ("select * from pg_authid", "no relation"),
    ("select * from information_schema.tables", "only these relations"),
    ("select (select rolpassword from pg_authid limit 1) from batch", "no relation"),
    ("select * from batch where a in (select usename from pg_user)", "no relation"),
    ("with batch as (select 1) select * from batch", "data's own name"),
    ("with recursive r as (select 1 union all select * from r) select * from r", "RECURSIVE"),
    ("select $1", "PARAMETER|PLACEHOLDER"),
    ("select * from batch tablesample system (100)", "TABLESAMPLE"),
    ("select * from batch, lateral (select pg_sleep(1)) x", "LATERAL|pg_sleep"),
    ("select repeat('x', 1000000000) from batch", "REPEAT|repeat|Repeat"),
    ("/* ' */ select 1 /* '; drop table x; -- */; drop table y", "one statement"),
    ("", "only SELECT|one statement"),
    ("x" * 10_000, "longer than"),
    ("select " + "(" * 5000 + "1" + ")" * 5000, "longer than|not valid"),
    ("select " + "(" * 3000 + "1" + ")" * 3000, "not valid"),
]


@pytest.mark.parametrize("dialect", ["postgres", "duckdb"])
@pytest.mark.parametrize("sql", ALLOWED)
def test_questions_about_the_batch_are_allowed(sql, dialect):
    """And what is given back passes the guard again."""
    once = read_only(sql, dialect=dialect, relations={"batch"})
    assert read_only(once, dialect=dialect, relations={"batch"}) == once


@pytest.mark.parametrize("dialect", ["postgres", "duckdb"])
@pytest.mark.parametrize(("sql", "reason"), REFUSED)
def test_everything_else_is_refused_with_a_reason(sql, reason, dialect):
    """Whatever the dialect, before the engine sees it."""
    with pytest.raises(ToolFailed, match=reason):
        read_only(sql, dialect=dialect, relations={"batch"})


def test_comments_do_not_survive():
    """What is run is generated from the checked tree."""
    assert "evil" not in read_only("select 1 /* evil */ -- evil", dialect="postgres", relations={"batch"})
