"""Opens a page in headless Chromium and prints as JSON what a person would stumble over.

    browse.py CHROMIUM PAGE WIDTH light|dark [SCREENSHOT]
"""

import json
import sys

sys.dont_write_bytecode = True
from browser import Browser

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
    links: document.querySelectorAll('a').length, hints: document.querySelectorAll('.more').length, loaded: t.loadEventEnd, height: document.documentElement.scrollHeight,
    dark: matchMedia('(prefers-color-scheme: dark)').matches, title: document.title};
})()
"""

with Browser(chromium) as browser:
    browser.open(page, int(width), 900, scheme)
    found = browser.evaluate(PROBE)
    if screenshot:
        browser.size(int(width), min(int(found["height"]), 6000))
        browser.picture(screenshot)
    complaints = [e for e in browser.events if e.get("method") in ("Runtime.exceptionThrown", "Log.entryAdded")
                  or e.get("method") == "Runtime.consoleAPICalled" and e["params"]["type"] in ("error", "warning")]
    found["complaints"] = [json.dumps(e["params"])[:300] for e in complaints]
    found["requests"] = [e["params"]["request"]["url"][:200] for e in browser.events
                         if e.get("method") == "Network.requestWillBeSent"]
    print(json.dumps(found))
