-- The warehouse that dags/flight_quality.py finds.
CREATE TABLE flights (
    day date,
    dep_time int,
    sched_dep_time int,
    dep_delay int,
    arr_time int,
    sched_arr_time int,
    arr_delay int,
    carrier text,
    flight int,
    tailnum text,
    origin text,
    dest text,
    air_time int,
    distance int,
    hour int,
    minute int,
    time_hour timestamptz
);
CREATE TABLE delays (day date, carrier text, flights int, mean_delay float);
