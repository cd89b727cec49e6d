# SPDX-License-Identifier: Apache-2.0
"""The programs that run.py takes past their limit: how each is built, started, and made to grow."""
import os
import pathlib
import shutil
import socket
import subprocess
import threading
import time

MIB = 1 << 20


class Missing(Exception):
    """A program is not installed here."""


def need(*names):
    for name in names:
        if not shutil.which(name):
            raise Missing(f"{name} is not installed")


def connect(port, seconds=20):
    """Waits until somebody listens."""
    end = time.monotonic() + seconds
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=5)
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class Grower:
    """A program that grows by itself to `mib` MiB, says done and ends."""

    name = ""
    limit_mib = 100
    mib = 180
    ends = "TERM"  # the signal by which it ends at once and in order
    fails = {1}  # its exit status where malloc() gives NULL
    says = ""  # its own words on standard error then
    aborts = {134, 137}  # how it ends by SIGABRT
    only = None  # the actions that make sense for it; None: all

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)

    def command(self):
        raise NotImplementedError

    def signal_words(self):
        return [] if self.ends == "TERM" else ["--at", f"critical=signal:{self.ends}"]

    def drive(self, pid):
        """Makes it grow, once it runs."""

    def check(self):
        """After it went on: what of its work is lost; "" if nothing is."""
        return ""


class Python(Grower):
    name = "python3"
    says = "MemoryError"

    def command(self):
        need("python3")
        return ["python3", "-c", "import time\nb = []\nt = time.time()\n"
                f"for i in range({self.mib}):\n b.append(bytes([1]) * 1048576)\n"
                " time.sleep(max(0, t + i / 400 - time.time()))\nprint('done')"]


class Perl(Grower):
    name = "perl"
    says = "Out of memory!"

    def command(self):
        need("perl")
        return ["perl", "-e", f'for (1..{self.mib}) {{ push @b, "x" x 1048576; select undef, undef, undef, 0.0025 }} '
                'print "done\\n"']


class Node(Grower):
    name = "node"
    fails = {133, 134, 139}
    limit_mib = 150
    mib = 250

    def command(self):
        need("node")
        return ["node", "-e", f"const b = []; const t = setInterval(() => {{ b.push(Buffer.alloc(1048576, 1)); "
                f"if (b.length == {self.mib}) {{ clearInterval(t); console.log('done') }} }}, 3)"]


class StaticC(Grower):
    name = "static C program"
    fails = {143}
    source = r"""
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
int main(int argc, char **argv)
{
    for (int i = 0; i < atoi(argv[argc - 1]); i++, usleep(2500))
        memset(malloc(1 << 20), 1, 1 << 20);
    return puts("done") < 0;
}
"""

    def command(self):
        need("gcc")
        program, source = self.folder / "grow", self.folder / "grow.c"
        source.write_text(self.source)
        subprocess.run(["gcc", "-O1", "-fno-builtin", "-static", "-o", program, source], check=True)
        return [str(program), str(self.mib)]


class Go(Grower):
    name = "Go program"
    fails = {143}
    aborts = {2}  # its runtime writes what every goroutine does, and exits
    source = """package main

import (
    "fmt"
    "time"
)

func main() {
    var blocks [][]byte
    for i := 0; i < %d; i++ {
        block := make([]byte, 1<<20)
        for j := range block {
            block[j] = 1
        }
        blocks = append(blocks, block)
        time.Sleep(2500 * time.Microsecond)
    }
    fmt.Println("done", len(blocks))
}
"""

    def command(self):
        need("go")
        source = self.folder / "grow.go"
        source.write_text(self.source % self.mib)
        environment = dict(os.environ, GOCACHE=str(self.folder / "cache"), GO111MODULE="off", GOFLAGS="-p=1")
        subprocess.run(["go", "build", "-o", self.folder / "grow_go", source], check=True, env=environment)
        return [str(self.folder / "grow_go")]


class Java(Grower):
    name = "java"
    fails = {1, 134, 143}
    limit_mib = 200
    mib = 300
    source = """import java.util.*;

class Grow {
    public static void main(String[] words) throws Exception {
        List<byte[]> blocks = new ArrayList<>();
        for (int i = 0; i < %d; i++) {
            byte[] block = new byte[1 << 20];
            Arrays.fill(block, (byte) 1);
            blocks.add(block);
            Thread.sleep(3);
        }
        System.out.println("done " + blocks.size());
    }
}
"""

    def command(self):
        need("java", "javac")
        (self.folder / "Grow.java").write_text(self.source % self.mib)
        subprocess.run(["javac", "-d", self.folder, self.folder / "Grow.java"], check=True)
        told = f"-XX:ErrorFile={self.folder}/error.log"
        return ["java", "-Xmx1g", told, "-XX:+UseSerialGC", "-cp", str(self.folder), "Grow"]


class Server(Grower):
    """A server is driven from outside of its group; it stays until it is asked to end."""

    def __init__(self, folder):
        super().__init__(folder)
        self.port = free_port()
        self.thread = None
        self.finished = False

    def drive(self, pid):
        self.thread = threading.Thread(target=self.load, daemon=True)
        self.thread.start()

    def load(self):
        raise NotImplementedError


class Redis(Server):
    name = "redis-server"
    fails = {134}  # it aborts at the end of a report of its own
    mib = 140

    def __init__(self, folder):
        super().__init__(folder)
        self.acknowledged = 0

    def command(self):
        need("redis-server")
        # The memory test of its report writes to all pages that are mapped, reserved ones too: more than the group has.
        return ["redis-server", "--port", str(self.port), "--save", "", "--appendonly", "no", "--dir", str(self.folder),
                "--loglevel", "warning", "--crash-memcheck-enabled", "no"]

    def load(self):
        """Keys of 1 MiB, each acknowledged before the next. A server at its wall may close a connection that it could
        not read from; what was not acknowledged is sent again then."""
        connect(self.port).close()
        end = time.monotonic() + 120
        while self.acknowledged < self.mib and time.monotonic() < end:
            try:
                with connect(self.port, seconds=1) as link, link.makefile("rb") as answers:
                    link.settimeout(None)
                    while self.acknowledged < self.mib:
                        value = bytes([65 + self.acknowledged % 26]) * MIB
                        key = b"key%d" % self.acknowledged
                        link.sendall(b"*3\r\n$3\r\nSET\r\n$%d\r\n%s\r\n$%d\r\n" % (len(key), key, len(value)) + value +
                                     b"\r\n")
                        if answers.readline() != b"+OK\r\n":
                            break
                        self.acknowledged += 1
            except ConnectionRefusedError:
                return
            except OSError:
                time.sleep(0.05)
        self.finished = self.acknowledged == self.mib

    def check(self):
        missing = 0
        with connect(self.port) as link, link.makefile("rb") as answers:
            for number in range(self.acknowledged):
                key = b"key%d" % number
                link.sendall(b"*2\r\n$3\r\nGET\r\n$%d\r\n%s\r\n" % (len(key), key))
                size = int(answers.readline()[1:])
                value = answers.read(size + 2)[:-2] if size >= 0 else b""
                missing += value != bytes([65 + number % 26]) * MIB
        return f"{missing} of {self.acknowledged} acknowledged keys are lost" if missing else ""


class Nginx(Server):
    name = "nginx"
    fails = {0, 143}
    clients = 20
    mib = 8 * 20

    def command(self):
        need("nginx")
        (self.folder / "nginx.conf").write_text(f"""
daemon off;
master_process off;
pid {self.folder}/pid;
error_log {self.folder}/error.log;
user root;
events {{ }}
http {{
    access_log off;
    client_body_temp_path {self.folder}/body;
    proxy_temp_path {self.folder}/proxy;
    fastcgi_temp_path {self.folder}/fastcgi;
    uwsgi_temp_path {self.folder}/uwsgi;
    scgi_temp_path {self.folder}/scgi;
    client_max_body_size 64m;
    client_body_buffer_size 16m;
    server {{
        listen 127.0.0.1:{self.port};
        location / {{ proxy_pass http://127.0.0.1:9; }}
    }}
}}
""")
        return ["nginx", "-p", str(self.folder), "-e", str(self.folder / "error.log"), "-c",
                str(self.folder / "nginx.conf")]

    def load(self):
        """Bodies that never come to their end stay in the server's memory. A server at its wall may close a connection
        that it could not read from: no answer was given then, and the client begins anew."""
        self.links = []
        end = time.monotonic() + 60
        while len(self.links) < self.clients and time.monotonic() < end:
            try:
                link = connect(self.port, seconds=1)
                link.settimeout(None)
                link.sendall(b"POST / HTTP/1.1\r\nHost: here\r\nContent-Length: %d\r\n\r\n" % (16 * MIB - 1))
                for _ in range(8):
                    link.sendall(b"x" * MIB)
                    time.sleep(0.003)
                self.links.append(link)
            except ConnectionRefusedError:
                return
            except OSError:
                time.sleep(0.05)
        self.finished = len(self.links) == self.clients


class Postgres(Server):
    name = "postgres"
    fails = {0, 143}
    ends = "INT"  # fast shutdown; after TERM it waits for its clients
    limit_mib = 150
    mib = 250

    def command(self):
        found = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin/postgres"))
        if not found:
            raise Missing("postgres is not installed")
        need("setpriv", "psql")
        self.bin = found[-1].parent
        data = self.folder / "data"
        self.as_postgres = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", "--"]
        shutil.chown(self.folder, "postgres")
        self.folder.chmod(0o711)
        subprocess.run([*self.as_postgres, self.bin / "initdb", "-D", data, "-A", "trust", "--no-sync"], check=True,
                       stdout=subprocess.DEVNULL, cwd="/")
        return [*self.as_postgres, str(self.bin / "postgres"), "-D", str(data), "-p", str(self.port), "-k", "",
                "-c", "shared_buffers=16MB", "-c", "listen_addresses=127.0.0.1"]

    def load(self):
        connect(self.port).close()
        query = ("SET work_mem = '1GB'; SELECT count(*) FROM (SELECT repeat('x', 1000000) || i AS v "
                 f"FROM generate_series(1, {self.mib}) i ORDER BY v OFFSET 0) t")
        end = time.monotonic() + 20
        while time.monotonic() < end:
            command = ["psql", "-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres", "-tAc", query]
            self.answer = subprocess.run(command, capture_output=True, text=True, cwd="/", check=False)
            if "starting up" not in self.answer.stderr:
                break
            time.sleep(0.2)
        self.finished = str(self.mib) in self.answer.stdout

    def check(self):
        return "" if self.finished else "the query was not answered"


class Sort(Grower):
    name = "sort"
    fails = {0}
    only = {"fail", "wait"}  # at a wall its read() fails, which is its end

    def command(self):
        need("sort")
        path = self.folder / "lines"
        path.write_text("".join(f"{i * 7919 % 4000037} a line of some length\n" for i in range(4000000)))
        return ["sort", "-o", str(self.folder / "sorted"), "-S", "180M", "-T", str(self.folder), str(path)]


class Jq(Grower):
    name = "jq"
    fails = {2, 5, 134}

    def command(self):
        need("jq")
        return ["jq", "-n", "[range(9000000)] | length"]


ALL = [Python, Perl, Sort, Jq, Node, Redis, Nginx, Postgres, Java, Go, StaticC]
