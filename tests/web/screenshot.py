#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Trains with the page in headless Chromium for STEPS steps, samples, and writes a screenshot.
screenshot.py PAGE.html OUT.png WIDTH HEIGHT STEPS"""
import sys

from browser_test import STEP, Browser, sample


def main():
    page, out, width, height, steps = sys.argv[1:]
    browser = Browser(int(width), int(height))
    try:
        browser.request("/url", {"url": "file://" + page})
        browser.wait(f"{STEP} >= {steps}", 3600, f"step {steps}")
        browser.run("document.getElementById('automatic').checked = false")
        browser.run("document.getElementById('pause').click()")
        sample(browser, "dpmpp", 20)
        browser.screenshot(out)
    finally:
        browser.close()


main()
