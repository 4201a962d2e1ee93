#!/usr/bin/env python3
"""Performs the curl commands of docs/api-tour.md against a server of its own.

    api_tour.py PROGRAM PAGE           compares what they print with what the page says
    api_tour.py PROGRAM PAGE --write   pastes what they print into the page

What differs from run to run (times, hashes, durations) is replaced by its name before.
"""
import json
import os
import re
import subprocess
import sys
import tempfile

SHOWN = "http://127.0.0.1:5010"
VOLATILE = [
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "TIME"),
    (r"\b[0-9a-f]{64}\b", "SHA256"),
    (r'("duration_ms": ?)\d+', r"\1MS"),
    (r'("first_token_ms": ?)\d+', r"\1MS"),
    (r'("memory_usage_mb": ?)[\d.]+', r"\1MB"),
]


def shorten(value):
    """Texts that say nothing more about the form are cut."""
    if isinstance(value, dict):
        return {name: shorten(each) for name, each in value.items()}
    if isinstance(value, list):
        return [shorten(each) for each in value]
    if isinstance(value, str) and len(value) > 120:
        return value[:100] + "…"
    return value


def shown(output):
    """As the page has it: JSON indented, lines cut, what is volatile named."""
    try:
        text = json.dumps(shorten(json.loads(output)), indent=2, ensure_ascii=False)
    except ValueError:
        lines = []
        for line in output.rstrip("\n").split("\n"):
            if line.startswith("data: "):
                line = "data: " + json.dumps(shorten(json.loads(line[6:])), ensure_ascii=False)
            lines.append(line)
        text = "\n".join(lines)
    for pattern, name in VOLATILE:
        text = re.sub(pattern, name, text)
    return text.rstrip()


class Server:
    def __init__(self, program, folder):
        self.process = subprocess.Popen(
            [program, "--db", os.path.join(folder, "tour.db"), "--json", "serve",
             "--model", "rehearsal", "--listen", "127.0.0.1:0"],
            stdout=subprocess.PIPE, text=True,
            env={"PATH": os.environ["PATH"], "HOME": folder})
        self.url = json.loads(self.process.stdout.readline())["url"]

    def stop(self):
        self.process.terminate()
        if self.process.wait(timeout=15) != 0:
            raise SystemExit(f"the server ended with {self.process.returncode}")


def settle(server, session_is):
    """Waits until the session stands as the next command expects it."""
    follow = subprocess.Popen(["curl", "-sN", "-m", "30",
                               f"{server.url}/api/v1/sessions/1/events"],
                              stdout=subprocess.PIPE, text=True)
    for line in follow.stdout:
        if line.strip() == f"event: {session_is}":
            break
    follow.kill()
    follow.wait()


def perform(server, block):
    """The block's commands, each followed by what it printed."""
    lines = []
    for command in re.findall(r"^\$ (.*)$", block, re.M):
        if "Last-Event-ID: 5" in command:
            settle(server, "session.waiting")
        done = subprocess.run(["bash", "-c", command.replace(SHOWN, server.url)],
                              stdout=subprocess.PIPE, text=True, check=False)
        if done.returncode not in (0, 28):  # 28: curl's own limit of time
            raise SystemExit(f"{command}\nended with {done.returncode}")
        lines.append("$ " + command)
        if printed := shown(done.stdout):
            lines.append(printed)
    return "\n".join(lines) + "\n"


def main():
    program, page = sys.argv[1:3]
    with open(page, encoding="utf-8") as file:
        text = file.read()
    with tempfile.TemporaryDirectory() as folder:
        server = Server(program, folder)
        try:
            made = re.sub(r"```console\n(.*?)```",
                          lambda found: "```console\n" + perform(server, found.group(1)) + "```",
                          text, flags=re.S)
        finally:
            server.stop()
    if "--write" in sys.argv:
        with open(page, "w", encoding="utf-8") as file:
            file.write(made)
        return
    if made != text:
        import difflib
        sys.stdout.writelines(difflib.unified_diff(
            text.splitlines(True), made.splitlines(True), page, "what the program says"))
        raise SystemExit("docs/api-tour.md is not what the program says")
    print(f"{page}: all as it stands there")


if __name__ == "__main__":
    main()
