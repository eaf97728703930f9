"""Headless Chromium for tests of pages that are opened from the disk."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from programs import program
from selenium import webdriver

DESKTOP, PHONE, NARROW = (1280, 900), (390, 844), (320, 640)
_FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--autoplay-policy=no-user-gesture-required",
)
_LOGS = ("browser", "performance")
_PATIENCE_S = 10.0


@contextmanager
def chromium(profile: Path) -> Iterator[webdriver.Chrome]:
    """Run a browser with an empty profile that logs what it says and what it loads."""
    options = webdriver.ChromeOptions()
    options.binary_location = program("chromium")
    for flag in (*_FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", dict.fromkeys(_LOGS, "ALL"))
    service = webdriver.ChromeService(executable_path=program("chromedriver"))
    driver = webdriver.Chrome(options=options, service=service)
    try:
        yield driver
    finally:
        driver.quit()


def show(driver: webdriver.Chrome, address: str, size: tuple[int, int]) -> webdriver.Chrome:
    """Open an address afresh at a size, with empty logs."""
    metrics = {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    driver.get("about:blank")
    for kind in _LOGS:
        driver.get_log(kind)
    driver.get(address)
    return driver


def wait(condition: Callable[[], Any]) -> Any:
    """Return what a condition gives once it holds."""
    end = time.monotonic() + _PATIENCE_S
    while not (found := condition()):
        assert time.monotonic() < end, "it never came about"
        time.sleep(0.02)
    return found
