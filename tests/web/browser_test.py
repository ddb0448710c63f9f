#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Opens the page in headless Chromium: it trains, the loss falls, it samples with every solver that
it offers, pauses, goes on and starts again. Writes screenshots to OUT.
browser_test.py PAGE.html OUT"""
import base64
import json
import shutil
import socket
import subprocess
import sys
import time
import urllib.request


class Browser:
    """A session of WebDriver (W3C), by its HTTP interface."""

    def __init__(self, width, height):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
        self.driver = subprocess.Popen(["chromedriver", f"--port={port}", "--log-level=SEVERE"],
                                       stdout=subprocess.DEVNULL)
        self.url = f"http://127.0.0.1:{port}/session"
        arguments = ["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
                     f"--window-size={width},{height}"]
        capabilities = {"alwaysMatch": {"browserName": "chrome", "goog:loggingPrefs": {
            "browser": "ALL"}, "goog:chromeOptions": {"args": arguments}}}
        answer = self.request("", {"capabilities": capabilities}, attempts=50)
        self.url += "/" + answer["sessionId"]

    def request(self, path, body=None, attempts=1):
        data = None if body is None else json.dumps(body).encode()
        for attempt in range(attempts):
            try:
                with urllib.request.urlopen(
                        urllib.request.Request(self.url + path, data), timeout=120) as answer:
                    return json.load(answer)["value"]
            except (ConnectionError, urllib.error.URLError):
                if attempt + 1 == attempts:
                    raise
                time.sleep(0.2)

    def run(self, script):
        return self.request("/execute/sync", {"script": script, "args": []})

    def wait(self, script, seconds, what):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            result = self.run("return " + script)
            if result:
                return result
            time.sleep(0.2)
        state = self.run("return document.body.innerText")
        raise SystemExit(f"web: {what} did not happen in {seconds} s:\n{state}")

    def screenshot(self, path):
        with open(path, "wb") as file:
            file.write(base64.b64decode(self.request("/screenshot")))

    def close(self):
        """Ends the browser, and then the driver, which would leave it running."""
        with urllib.request.urlopen(urllib.request.Request(self.url, method="DELETE"), timeout=60):
            pass
        self.driver.terminate()
        self.driver.wait()


# Of the page: the training step, the smoothed losses, and how much the pixels of image 0 differ.
STATE = "document.getElementById('train-state').textContent"
STEP = f"Number((/step (\\d+)/.exec({STATE}) || [0, 0])[1])"
DRAWN = "/drawn in/.test(document.getElementById('sample-state').textContent)"
SPREAD = """(() => { const c = document.querySelector('#samples canvas');
    const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;
    return Math.max(...d.filter((_, i) => i % 4 < 3)) - Math.min(...d.filter((_, i) => i % 4 < 3));
})()"""
PICTURES = """[...document.querySelectorAll('#samples canvas')].map(c => c.toDataURL()).join()"""


def sample(browser, solver, steps):
    browser.run(f"document.getElementById('solver').value = '{solver}';"
                f"document.getElementById('steps').value = {steps};"
                "document.getElementById('sample-state').textContent = '';"
                "document.getElementById('sample').click()")
    browser.wait(DRAWN, 120, f"sampling with {solver}")
    spread = browser.run("return " + SPREAD)
    if spread < 20:
        raise SystemExit(f"web: {solver} drew an empty image")
    return browser.run("return " + PICTURES)


def check(browser, page, out):
    browser.request("/url", {"url": "file://" + page})
    browser.run("document.getElementById('automatic').checked = false")
    browser.wait(STEP + " >= 20", 120, "training")
    first = browser.run("return losses[9]")
    browser.wait(STEP + " >= 150", 300, "150 steps")
    last = browser.run("return smoothed")
    if not last < 0.6 * first:
        raise SystemExit(f"web: the loss did not fall: {first} at step 10, {last} at step 150")

    browser.run("document.getElementById('pause').click()")
    time.sleep(1)
    paused = browser.run("return " + STEP)
    time.sleep(1)
    if browser.run("return " + STEP) != paused:
        raise SystemExit("web: it trains while it is paused")
    solvers = browser.run("return [...document.getElementById('solver').options].map(o => o.value)")
    if sample(browser, "dpmpp", 10) != sample(browser, "dpmpp", 10):
        raise SystemExit("web: the same seed gave other pictures")
    for solver in solvers:
        sample(browser, solver, 8)
    browser.screenshot(out + "/web.png")

    browser.run("document.getElementById('pause').click()")
    browser.wait(f"{STEP} > {paused}", 60, "going on")
    browser.run("document.getElementById('restart').click()")
    browser.wait(f"{STEP} > 0 && {STEP} < {paused}", 60, "starting again")
    error = browser.run("const e = document.getElementById('error');"
                        "return e.hidden ? '' : e.innerText")
    if error:
        raise SystemExit("web: the page shows an error: " + error)
    return paused, first, last, len(solvers)


def main():
    page, out = sys.argv[1:]
    if not shutil.which("chromedriver"):
        print("web: left out, no chromedriver")
        return
    browser = Browser(1100, 1200)
    try:
        steps, first, last, solvers = check(browser, page, out)
    finally:
        browser.close()
    print(f"web: ok, {steps} steps, loss {first:.2f} to {last:.2f}, {solvers} solvers")


if __name__ == "__main__":
    main()
