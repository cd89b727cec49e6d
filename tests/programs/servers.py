#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A Node.js and a Python server under load, which keep 256 KiB of each request for ever: SIGTERM at level critical lets
them finish what they have begun.

    servers.py [--build DIR]

Each request is answered with "begun" at once and with "done" 200 ms later. A request that had begun and did not come to
its end is lost. Exit status: 0 if none is lost and both ended in order; 1 if not; 77 if no cgroup can be made here.
"""
import argparse
import os
import pathlib
import subprocess
import sys
import tempfile
import threading
import time

import growers
import run

PYTHON = """
import http.server, signal, sys, threading, time
kept = []
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        kept.append(bytes([1]) * 262144)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"begun ")
        time.sleep(0.2)
        self.wfile.write(b"done")
    def log_message(self, *words):
        pass
class Server(http.server.ThreadingHTTPServer):
    daemon_threads = False
server = Server(("127.0.0.1", int(sys.argv[1])), Handler)
signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
server.serve_forever()
server.server_close()
"""

NODE = """
const kept = [];
const server = require('http').createServer((request, response) => {
    kept.push(Buffer.alloc(262144, 1));
    response.write('begun ');
    setTimeout(() => response.end('done'), 200);
});
process.on('SIGTERM', () => server.close(() => process.exit(0)));
server.listen(Number(process.argv[1]), '127.0.0.1');
"""

SERVERS = [("python3", ["python3", "-c", PYTHON], 80), ("node", ["node", "-e", NODE], 120)]


class Load:
    """Eight clients, request after request until the server is gone. They wait for long: a client that gives up on a
    busy machine would count as a request that the server lost."""

    def __init__(self, port):
        self.port = port
        self.begun = self.done = 0
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self.client, daemon=True) for _ in range(8)]
        for thread in self.threads:
            thread.start()

    def client(self):
        while True:
            text = b""
            try:
                with growers.connect(self.port, seconds=2) as link:
                    link.settimeout(60)
                    link.sendall(b"GET / HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n")
                    while piece := link.recv(4096):
                        text += piece
            except OSError:
                if b"begun" not in text:
                    return
            with self.lock:
                self.begun += b"begun" in text
                self.done += b"done" in text
            if not text:
                return


def try_one(headroom, mount, name, command, limit_mib):
    growers.need(name)
    port = growers.free_port()
    with tempfile.TemporaryDirectory() as folder, run.Group(mount, limit_mib) as group:
        log = pathlib.Path(folder) / "errors"
        with log.open("w") as errors:
            server = subprocess.Popen([headroom, "run", "--grace", "20s", "--", *command, str(port)], stderr=errors,
                                      stdin=subprocess.DEVNULL, preexec_fn=group.enter)
        try:
            growers.connect(port).close()
            load = Load(port)
            status = server.wait(120)
            for thread in load.threads:
                thread.join(60)
        finally:
            server.kill()
            server.wait()
        kills = group.kills()
        fine = status in (0, 143) and load.begun == load.done and load.done > 50 and not kills
        print(f"{name}: {load.begun} requests begun, {load.done} done, exit status {status},"
              f" {kills} killed by the kernel", flush=True)
        if not fine:
            print(log.read_text())
        return fine


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", default=os.environ.get("HEADROOM_BUILD_DIR", run.ROOT / "build/release"))
    headroom = pathlib.Path(parser.parse_args().build).resolve() / "cli/headroom"
    mount = run.memory_mount()
    if not mount:
        print("skipped: no memory cgroup of version 1 can be made here")
        return 77
    fine = True
    for name, command, limit_mib in SERVERS:
        try:
            fine &= try_one(headroom, mount, name, command, limit_mib)
        except growers.Missing as missing:
            print(f"left out: {missing}")
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
