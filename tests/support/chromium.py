"""A headless Chromium for the tests: Debian's, driven by Playwright."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

NAMES = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-features=LocalNetworkAccessChecks",
)  # fmt: skip


@contextmanager
def chromium() -> Iterator["Browser"]:
    """A running browser; skips where Chromium or Playwright is missing."""
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        pytest.skip("no Chromium found; install Debian's package chromium")
    api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed; see requirements-dev.txt")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(ARGUMENTS))
        try:
            yield browser
        finally:
            browser.close()


def complaints(page: "Page") -> list[str]:
    """What goes wrong in `page` from now on, in a list that grows: uncaught errors, and those on its console.

    HTTP error statuses are not included: tests check how they are handled.
    """
    messages: list[str] = []

    def listen(message) -> None:
        if message.type == "error" and not message.text.startswith("Failed to load resource"):
            messages.append(message.text)

    page.on("pageerror", lambda error: messages.append(str(error)))
    page.on("console", listen)
    return messages


# Contrast of every text the user sees with its background, by the rule of WCAG 2: [text, ratio].
CONTRASTS = """(selector) => {
  const paint = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgba = (color) => {
    paint.clearRect(0, 0, 1, 1);
    paint.fillStyle = color;
    paint.fillRect(0, 0, 1, 1);
    return [...paint.getImageData(0, 0, 1, 1).data];
  };
  const light = ([r, g, b]) => {
    const linear = (part) => (part / 255 <= 0.04045 ? part / 255 / 12.92 : ((part / 255 + 0.055) / 1.055) ** 2.4);
    return 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
  };
  const background = (element) => {
    const color = rgba(getComputedStyle(element).backgroundColor);
    return color[3] === 255 || !element.parentElement ? color : background(element.parentElement);
  };
  const found = [];
  const walker = document.createTreeWalker(document.querySelector(selector), NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.nodeValue.trim() || !element.checkVisibility()) continue;
    const style = getComputedStyle(element);
    const [one, other] = [light(rgba(element.closest("svg") ? style.fill : style.color)), light(background(element))];
    found.push([walker.currentNode.nodeValue, (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05)]);
  }
  return found;
}"""
