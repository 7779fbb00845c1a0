"""`python -m vllm.entrypoints.openai.api_server …`, faked.

FAKE_VLLM_DELAY: seconds until it listens. FAKE_VLLM_BROKEN: devices with which it ends before. The prompt `crash` ends it,
`hang` is never answered, `slow` streams until its client has gone; `hung` stops its health, too. FAKE_VLLM_SLEEP: what becomes
of a `sleep` (`fails`, `never`: it is not answered, `wakes badly`, `is not done`).
"""

import argparse
import json
import os
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

LOG = [
    "(APIServer pid=1) INFO 11-26 00:33:36 [model.py:733] Resolved architecture: Qwen2ForCausalLM",
    "(EngineCore pid=2) INFO 11-26 00:33:54 [core.py:133] Initializing a V1 LLM engine (v0.32.0) with config: …",
    "(Worker pid=3) INFO 11-26 00:34:21 [cpu_model_runner.py:68] Starting to load model /models/x...",
    "Loading safetensors checkpoint shards:   0% Completed | 0/2 [00:00<?, ?it/s]\r",
    "Loading safetensors checkpoint shards:  50% Completed | 1/2 [00:01<00:01, 1.00s/it]\r",
]
END_OF_LOG = "(APIServer pid=1) INFO 11-26 00:34:31 [entry.py:140] Starting vLLM server on http://127.0.0.1:1"
TOKENS = 3
hung = threading.Event()
asleep = threading.Event()
SLEEPS = os.environ.get("VLLM_SERVER_DEV_MODE") == "1" and "--enable-sleep-mode" in sys.argv
SLEEP = os.environ.get("FAKE_VLLM_SLEEP", "")


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path == "/health":
            if hung.is_set():
                time.sleep(1000)
            self.answer(b"")
        elif self.path == "/is_sleeping" and SLEEPS:
            self.answer({"is_sleeping": asleep.is_set()})
        elif self.path == "/v1/models":
            self.answer({"object": "list", "data": [{"id": options.served_model_name or options.model}]})
        else:
            self.answer({"argv": sys.argv[1:], "environment": dict(os.environ), "path": self.path})

    def do_POST(self) -> None:
        if SLEEPS and self.path in {"/sleep?level=1", "/wake_up"}:
            self.change_sleep()
            return
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        prompt = body.get("prompt")
        if prompt == "crash":
            os._exit(9)
        if prompt == "hang":
            time.sleep(1000)
        if prompt == "hung":
            hung.set()
        if body.get("stream") or prompt == "slow":
            self.stream(endless=prompt == "slow")
        else:
            self.answer({"port": options.port, "choices": [{"text": "word"}], "usage": {"completion_tokens": 1}})

    def change_sleep(self) -> None:
        if self.path == "/wake_up":
            asleep.clear()
            self.answer({"status": "awake"}, 500 if SLEEP == "wakes badly" else 200)
            return
        if SLEEP == "never":
            time.sleep(1000)
        if SLEEP != "is not done":
            asleep.set()
        self.answer({"status": "sleeping"}, 500 if SLEEP == "fails" else 200)

    def answer(self, body: object, status: int = 200) -> None:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def stream(self, *, endless: bool) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        n = 0
        while endless or n < TOKENS:
            self.chunk(b'data: {"n": %d}\n\n' % n)
            n += 1
            time.sleep(0.01)
        self.chunk(b"data: [DONE]\n\n")
        self.chunk(b"")

    def chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))
        self.wfile.flush()

    def log_message(self, *_: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        pass


parser = argparse.ArgumentParser()
for name in ("--model", "--revision", "--served-model-name", "--dtype", "--host", "--tensor-parallel-size"):
    parser.add_argument(name)
parser.add_argument("--port", type=int)
options, _ = parser.parse_known_args()

for line in LOG:
    sys.stdout.write(line + "\n")
sys.stdout.flush()
if os.environ.get("CUDA_VISIBLE_DEVICES", "none") in os.environ.get("FAKE_VLLM_BROKEN", "").split("|"):
    sys.exit("ValueError: no memory on this device")
time.sleep(float(os.environ.get("FAKE_VLLM_DELAY", "0")))
sys.stdout.write(END_OF_LOG + "\n")
sys.stdout.flush()
Server((options.host, options.port), Handler).serve_forever()
