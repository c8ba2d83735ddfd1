"""
LiteLLM's proxy in front of another server: ``litellm_proxy.py PORT UPSTREAM_PORT``.

Run by an interpreter that has ``litellm[proxy]``. It has one model, ``small-1``, which is
asked at the upstream by chat completions; its key is ``sk-secret-123``. It ends when its
standard input does.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

PATIENCE_S = 120
port, upstream = sys.argv[1:]
# A llamafile server is asked by chat completions, whatever LiteLLM is asked by itself.
asked = {"model": "llamafile/small-1", "api_base": f"http://127.0.0.1:{upstream}/v1", "api_key": "upstream"}
config = {
    "model_list": [{"model_name": "small-1", "litellm_params": asked}],
    "general_settings": {"master_key": "sk-secret-123"},
    "litellm_settings": {"telemetry": False, "num_retries": 0},
    "router_settings": {"num_retries": 0, "disable_cooldowns": True},
}


def answers():
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health/liveliness", timeout=1):
            return True
    except (urllib.error.URLError, OSError):
        return False


with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "config.yaml"
    path.write_text(json.dumps(config))  # JSON is YAML
    command = [
        Path(sys.executable).parent / "litellm",
        "--config",
        path,
        "--host",
        "127.0.0.1",
        "--port",
        port,
    ]
    # Nothing is fetched: prices come with the package.
    environment = {**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_TELEMETRY": "False"}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL
    ) as proxy:
        deadline = time.monotonic() + PATIENCE_S
        while not answers() and proxy.poll() is None and time.monotonic() < deadline:
            time.sleep(0.2)
        if proxy.poll() is None:
            sys.stdout.write("ready\n")
            sys.stdout.flush()
            sys.stdin.read()
        proxy.terminate()
