"""A headless Chromium, driven by its DevTools protocol over a pipe; needs nothing but Python's standard library."""

import base64
import json
import os
import subprocess
import tempfile
import time


class Browser:
    """A browser with a profile of its own, ended with the `with` block."""

    def __init__(self, chromium):
        self.profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        self.to_read, to_write = os.pipe()
        from_read, self.from_write = os.pipe()
        self.write_end, self.read_end = to_write, from_read

        def descriptors():
            a, b = os.dup(self.to_read), os.dup(self.from_write)
            os.dup2(a, 3)
            os.dup2(b, 4)

        self.process = subprocess.Popen(
            [chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars",
             "--remote-debugging-pipe", f"--user-data-dir={self.profile.name}", "about:blank"],
            preexec_fn=descriptors, close_fds=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.number, self.buffer, self.events = 0, b"", []

    def receive(self):
        while b"\0" not in self.buffer:
            piece = os.read(self.read_end, 1 << 20)
            if not piece:
                raise SystemExit("the browser ended")
            self.buffer += piece
        message, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(message)

    def call(self, method, session=None, **parameters):
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        os.write(self.write_end, json.dumps(message).encode() + b"\0")
        while True:
            answer = self.receive()
            if answer.get("id") == self.number:
                if "error" in answer:
                    raise SystemExit(f"{method}: {answer['error']}")
                return answer["result"]
            self.events.append(answer)

    def wait(self, event):
        while True:
            for seen in self.events:
                if seen.get("method") == event:
                    return
            self.events.append(self.receive())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()
        self.profile.cleanup()

    def size(self, width, height, scale=1):
        self.call("Emulation.setDeviceMetricsOverride", self.session, width=width, height=height,
                  deviceScaleFactor=scale, mobile=width < 600)

    def open(self, page, width, height, scheme, scale=1):
        """Opens a file in a new tab of a size, light or dark, and waits until it is loaded."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ["Page", "Runtime", "Log", "Network"]:
            self.call(f"{domain}.enable", self.session)
        self.size(width, height, scale)
        self.call("Emulation.setEmulatedMedia", self.session,
                  features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.events = []
        self.call("Page.navigate", self.session, url="file://" + os.path.abspath(page))
        self.wait("Page.loadEventFired")
        time.sleep(0.2)

    def evaluate(self, expression):
        return self.call("Runtime.evaluate", self.session, expression=expression, returnByValue=True)["result"].get("value")

    def picture(self, path, **options):
        """Writes what the tab shows to a file, PNG unless `format` says otherwise."""
        time.sleep(0.2)
        data = self.call("Page.captureScreenshot", self.session, **{"format": "png", **options})["data"]
        with open(path, "wb") as file:
            file.write(base64.b64decode(data))
