"""The journal on the task state store, over a dict that stands in for the store."""

import pytest

from airflow_agent_provider.core.journal import Entry
from airflow_agent_provider.journals.task_state import TaskStateJournal

LIMIT_BYTES = 65_535


class DictStore(dict):
    """A fake store: keeps what Airflow's would, and refuses what it would warn of."""

    def set(self, key, value):
        assert "/" not in key
        assert len(__import__("json").dumps(value)) <= LIMIT_BYTES
        self[key] = value


@pytest.mark.parametrize("text", ["short", "x" * 200_000, '"\\\n' * 50_000, "é😀" * 50_000])
def test_entries_of_any_size_come_back_whole(text):
    """No value that is set passes the store's limit."""
    store = DictStore()
    entry = Entry("f" * 32, "CallTool", {"content": text, "failed": False})
    TaskStateJournal(store, max_tries=1).write("0.1/2", entry)
    assert TaskStateJournal(store, max_tries=1).read("0.1/2") == entry


def test_a_retry_reads_what_the_first_try_wrote():
    """max_tries stays the same on a plain retry."""
    store = DictStore()
    TaskStateJournal(store, max_tries=2, item="day").write("0", Entry("a", "CallModel", {}))
    assert TaskStateJournal(store, max_tries=2, item="day").read("0") is not None


@pytest.mark.parametrize("header", [{"max_tries": 3, "item": "day"}, {"max_tries": 2, "item": "next day"}])
def test_clear_and_another_item_start_afresh(header):
    """Clear raises max_tries; a mapped task may inherit another item's state."""
    store = DictStore()
    TaskStateJournal(store, max_tries=2, item="day").write("0", Entry("a", "CallModel", {}))
    assert TaskStateJournal(store, **header).read("0") is None


def test_an_entry_cut_off_by_a_crash_is_absent():
    """Parts are written first: without the entry's own key there is no entry."""
    store = DictStore()
    journal = TaskStateJournal(store, max_tries=1)
    journal.write("0", Entry("a", "CallTool", {"content": "x" * 100_000}))
    del store["journal.1.0"]
    assert journal.read("0") is None


def test_journals_of_one_task_are_kept_apart():
    """By their names."""
    store = DictStore()
    TaskStateJournal(store, max_tries=1, name="one").write("0", Entry("a", "CallModel", {}))
    assert TaskStateJournal(store, max_tries=1, name="two").read("0") is None
