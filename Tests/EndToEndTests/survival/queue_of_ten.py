"""A queue of ten small jobs, the processes that work it off, and what must be the same however they were disturbed."""

import hashlib
import json
import os
import random
import signal
import subprocess
import sys

CELLS = ["lstm", "gru", "rnn"]


def write(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as file:
        file.write(text)


def tale(characters):
    """A text with something to learn in it, the same each time."""
    words = random.Random(1)
    owls, deeds = ["owl", "cat", "king", "queen", "miller"], ["sings", "sleeps", "counts the stars", "bakes bread"]
    text = ""
    while len(text) < characters:
        text += f"The {words.choice(owls)} {words.choice(deeds)}, {words.randrange(1000)} nights.\n"
    return text[:characters]


def job(number, epochs, checkpoint_every):
    """A job that makes many small steps, writes a row for each, and text at its end; some samples on the way."""
    return f"""seed: {number}
threads: 1
train:
  corpus: tale.txt
  cell: {CELLS[number % 3]}
  hidden_size: {24 + 8 * (number % 4)}
  num_layers: {1 + number % 2}
  dropout: 0.1
  epochs: {epochs}
  seq_length: 16
  batch_size: 8
  log_every: 1
  sample_every: 997
  checkpoint_every: {checkpoint_every}
generate:
  length: 300
"""


def fill(spool, jobs, epochs, checkpoint_every):
    """Makes a spool with the text and the job files of so many jobs; returns their names."""
    write(os.path.join(spool, "corpora", "tale.txt"), tale(20_000))
    names = [f"job-{number:02}" for number in range(1, jobs + 1)]
    for number, name in enumerate(names, 1):
        write(os.path.join(spool, "incoming", f"{name}.yaml"), job(number, epochs, checkpoint_every))
    past = os.stat(spool).st_mtime - 3600
    for name in names:
        os.utime(os.path.join(spool, "incoming", f"{name}.yaml"), (past, past))
    return names


class Daemon:
    """A running charnnd; its log goes to a file."""

    def __init__(self, charnnd, spool, log, *arguments):
        environment = {name: value for name, value in os.environ.items() if name != "JOURNAL_STREAM"}
        with open(log, "a") as file:
            self.process = subprocess.Popen(
                [charnnd, "--spool", spool, *arguments], stderr=file, stdin=subprocess.DEVNULL, env=environment)

    @property
    def pid(self):
        return self.process.pid

    def worker(self):
        """The process identifier of its worker, or None."""
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/stat") as file:
                    # Behind the name, which may hold anything: the state and the parent.
                    parent = int(file.read().rpartition(")")[2].split()[1])
                if parent == self.pid:
                    with open(f"/proc/{pid}/cmdline") as line:
                        if "worker" in line.read().split("\0"):
                            return int(pid)
            except (FileNotFoundError, ProcessLookupError):
                continue
        return None

    def kill(self, *pids):
        """Kills processes at once; the daemon is waited for if it is one of them."""
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        if self.pid in pids:
            self.process.wait()

    def end(self):
        self.process.terminate()
        return self.process.wait()


def names_in(spool, state):
    """The job files of a state; none as long as the first daemon has not made its directory."""
    directory = os.path.join(spool, state)
    return sorted(name for name in os.listdir(directory) if name.endswith(".yaml")) if os.path.isdir(directory) else []


def results(spool, names):
    """The SHA-256 of all that a job leaves that depends on no clock, by job and file."""
    found = {}
    for name in names:
        folder = os.path.join(spool, "jobs", name)
        files = ["model.safetensors", "last.safetensors"]
        for below in ["generated", "samples"]:
            if os.path.isdir(os.path.join(folder, below)):
                files += [f"{below}/{file}" for file in sorted(os.listdir(os.path.join(folder, below)))]
        for file in files:
            with open(os.path.join(folder, file), "rb") as content:
                found[f"{name}/{file}"] = hashlib.sha256(content.read()).hexdigest()
    return found


def status(spool, name):
    with open(os.path.join(spool, "jobs", name, "status.json")) as file:
        return json.load(file)


def compare(expected, found, what):
    """Ends the program where results differ or are missing."""
    different = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
    if different:
        sys.exit(f"{what}: differs from the undisturbed run: {', '.join(different)}")
