"""The recording of Google's own client, held against the client."""

import json
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent
RECORDED = HERE.parent / "wire" / "recorded" / "google_genai.json"


@pytest.mark.slow
def test_the_recording_is_what_the_client_does(peer):
    """With the release that was recorded, for the same bodies and answers."""
    command = [peer("google-genai==3.4.0"), HERE / "google_client.py"]
    given = RECORDED.read_text()
    done = subprocess.run(command, input=given, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == json.loads(given)
