"""Opens a page in headless Chromium and prints as JSON what a person would stumble over.

    browse.py CHROMIUM PAGE WIDTH light|dark [SCREENSHOT]

Talks to the browser by its DevTools protocol over a pipe; needs nothing but Python's standard library.
"""

import base64
import json
import os
import subprocess
import sys
import tempfile
import time

chromium, page, width, scheme = sys.argv[1:5]
screenshot = sys.argv[5] if len(sys.argv) > 5 else None

# Every element that has text of its own: its colour on the nearest opaque background, as WCAG has it. Sizes too.
PROBE = r"""
(() => {
  const parse = c => (c.match(/[\d.]+/g) || []).map(Number);
  const light = ([r, g, b]) => [r, g, b].map(v => v / 255).map(v => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
  const background = e => {
    for (; e; e = e.parentElement) {
      const c = parse(getComputedStyle(e).backgroundColor);
      if (c.length === 3 || (c.length === 4 && c[3] === 1)) return c;
    }
    return [255, 255, 255];
  };
  let contrast = 99, worst = '', smallest = 99;
  for (const e of document.querySelectorAll('body *')) {
    if (![...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()) || ['SCRIPT', 'STYLE'].includes(e.tagName)) continue;
    if (!e.getClientRects().length) continue;
    const style = getComputedStyle(e), a = light(parse(style.color)), b = light(background(e));
    const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
    if (ratio < contrast) { contrast = ratio; worst = e.outerHTML.slice(0, 120); }
    smallest = Math.min(smallest, parseFloat(style.fontSize));
  }
  let wide = '';
  for (const e of document.querySelectorAll('body *')) {
    let p = e.parentElement, scrolls = false;
    for (; p; p = p.parentElement) if (getComputedStyle(p).overflowX !== 'visible') { scrolls = true; break; }
    const box = e.getBoundingClientRect();
    if (!scrolls && !e.closest('svg') && box.right > innerWidth + 1) { wide = e.outerHTML.slice(0, 120); break; }
  }
  const plot = document.querySelector('.chart .plot');
  let tip = null;
  if (plot) {
    const r = plot.getBoundingClientRect();
    plot.dispatchEvent(new PointerEvent('pointermove', {clientX: r.left + r.width / 2, clientY: r.top + 5, bubbles: true}));
    tip = (plot.querySelector('.tip') || {}).innerText || '';
    plot.dispatchEvent(new PointerEvent('pointerleave'));
  }
  const t = performance.getEntriesByType('navigation')[0];
  return {contrast, worst, smallest, overflow: document.documentElement.scrollWidth - innerWidth, wide, tip,
    charts: document.querySelectorAll('.chart polyline').length, cards: document.querySelectorAll('.card').length,
    links: document.querySelectorAll('a').length, loaded: t.loadEventEnd, height: document.documentElement.scrollHeight,
    dark: matchMedia('(prefers-color-scheme: dark)').matches, title: document.title};
})()
"""


class Browser:
    def __init__(self, profile):
        self.to_read, to_write = os.pipe()
        from_read, self.from_write = os.pipe()
        self.write_end, self.read_end = to_write, from_read

        def descriptors():
            a, b = os.dup(self.to_read), os.dup(self.from_write)
            os.dup2(a, 3)
            os.dup2(b, 4)

        self.process = subprocess.Popen(
            [chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars",
             "--remote-debugging-pipe", f"--user-data-dir={profile}", "about:blank"],
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


with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
    browser = Browser(profile)
    try:
        target = browser.call("Target.createTarget", url="about:blank")["targetId"]
        session = browser.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ["Page", "Runtime", "Log", "Network"]:
            browser.call(f"{domain}.enable", session)
        browser.call("Emulation.setDeviceMetricsOverride", session, width=int(width), height=900,
                     deviceScaleFactor=1, mobile=int(width) < 600)
        browser.call("Emulation.setEmulatedMedia", session,
                     features=[{"name": "prefers-color-scheme", "value": scheme}])
        browser.events = []
        browser.call("Page.navigate", session, url="file://" + os.path.abspath(page))
        browser.wait("Page.loadEventFired")
        time.sleep(0.2)
        found = browser.call("Runtime.evaluate", session, expression=PROBE, returnByValue=True)["result"]["value"]
        if screenshot:
            height = min(int(found["height"]), 6000)
            browser.call("Emulation.setDeviceMetricsOverride", session, width=int(width), height=height,
                         deviceScaleFactor=1, mobile=int(width) < 600)
            time.sleep(0.2)
            data = browser.call("Page.captureScreenshot", session, format="png")["data"]
            with open(screenshot, "wb") as file:
                file.write(base64.b64decode(data))
        complaints = [e for e in browser.events if e.get("method") in ("Runtime.exceptionThrown", "Log.entryAdded")
                      or e.get("method") == "Runtime.consoleAPICalled" and e["params"]["type"] in ("error", "warning")]
        found["complaints"] = [json.dumps(e["params"])[:300] for e in complaints]
        found["requests"] = [e["params"]["request"]["url"][:200] for e in browser.events
                             if e.get("method") == "Network.requestWillBeSent"]
        print(json.dumps(found))
    finally:
        browser.process.terminate()
        browser.process.wait()
