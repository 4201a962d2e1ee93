#!/usr/bin/env python3
"""Runs the official OpenAI client (client.mjs) against a server of its own.

    run.py PROGRAM FOLDER    the client is installed in the folder, once for each version
"""
import json
import os
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))


def install(folder):
    """As the lock file says; nothing where that is there already."""
    os.makedirs(folder, exist_ok=True)
    lock = os.path.join(folder, "installed.json")
    with open(os.path.join(HERE, "package-lock.json"), encoding="utf-8") as file:
        wanted = file.read()
    if os.path.exists(lock):
        with open(lock, encoding="utf-8") as file:
            if file.read() == wanted:
                return
    for name in ("package.json", "package-lock.json"):
        shutil.copy(os.path.join(HERE, name), folder)
    subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=folder,
                   check=True)
    with open(lock, "w", encoding="utf-8") as file:
        file.write(wanted)


def main():
    program, folder = sys.argv[1:3]
    install(folder)
    # Beside its packages, where Node looks for them.
    client = shutil.copy(os.path.join(HERE, "client.mjs"), folder)
    with tempfile.TemporaryDirectory() as home:
        server = subprocess.Popen(
            [program, "--db", os.path.join(home, "client.db"), "--json", "serve",
             "--model", "rehearsal?latency=20ms", "--listen", "127.0.0.1:0"],
            stdout=subprocess.PIPE, text=True, env={"PATH": os.environ["PATH"], "HOME": home})
        try:
            url = json.loads(server.stdout.readline())["url"]
            status = subprocess.run(["node", client, url], check=False).returncode
        finally:
            server.terminate()
            ended = server.wait(timeout=15)
    raise SystemExit(status or ended)


if __name__ == "__main__":
    main()
