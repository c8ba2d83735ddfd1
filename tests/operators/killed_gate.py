"""Run the gate on a bad batch; the process kills itself in the second model call. Arguments: batch, store."""

import json
import os
import signal
import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parent)]

import conftest  # noqa: F401  sets up Airflow's home
from one_task import Supervisor, run

os.environ["AIRFLOW_CONN_LLM_DEFAULT"] = json.dumps({
    "conn_type": "llm",
    "extra": {"model": "m"},
    "password": "k",
})

from test_quality import SQL, gate

from airflow_agent_provider.core.messages import ToolRequest
from airflow_agent_provider.testing import ScriptedModel

batch, store = map(Path, sys.argv[1:])


class FileSupervisor(Supervisor):
    """Writes through, as the real one does."""

    def send(self, msg):
        answer = super().send(msg)
        store.write_text(json.dumps(self.store))
        return answer


def kill(_call):
    os.kill(os.getpid(), signal.SIGKILL)


with ScriptedModel([ToolRequest("1", "query", {"sql": SQL}), kill]).installed():
    run(gate(batch, llm_conn_id="llm_default"), max_tries=1, supervisor=FileSupervisor())
