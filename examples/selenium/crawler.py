"""crawler.py [SESSIONS]: a crawler as they are in the wild, for the zombies it makes.

Each session starts chromedriver and Chromium headless and opens a local page. Then the
driver is killed mid-way, as a timeout or the OOM killer does it. Of the browsers that are
left behind, the crawler kills all but the last few, as its operators' clean-up would; these
go on running. Then it waits, as a service does, until it gets a signal.
Prints "page TITLE" for each session, and "ready" at its end.
"""
import os
import signal
import sys

from selenium import webdriver
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.chrome.service import Service

FLAGS = """--headless --no-sandbox --disable-gpu --disable-dev-shm-usage --disable-quic
--no-first-run --disable-background-networking --disable-component-update --disable-sync""".split()
LEFT_RUNNING = 2


def browsers():
    """Chromium's first processes: helpers have a --type."""
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                words = file.read().split(b"\0")
        except OSError:
            continue  # it has ended
        if words[0].endswith(b"/chromium") and not any(w.startswith(b"--type=") for w in words):
            yield int(pid)


def session(page):
    options = webdriver.ChromeOptions()
    for flag in FLAGS:
        options.add_argument(flag)
    service = Service("/usr/bin/chromedriver")
    driver = webdriver.Chrome(service=service, options=options)
    driver.get(page)
    print("page", driver.title, flush=True)
    service.process.kill()
    try:
        driver.title
    except (WebDriverException, OSError):
        pass  # nobody is there to answer
    except Exception as error:  # urllib3's own, of the version that is installed
        if "refused" not in str(error) and "aborted" not in str(error):
            raise
    service.process.wait()  # its own child, so this is its own business


def main():
    sessions = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    page = "file://" + os.path.join(os.path.dirname(os.path.abspath(__file__)), "page.html")
    for number in range(sessions):
        session(page)
        if number < sessions - LEFT_RUNNING:
            for pid in browsers():
                os.kill(pid, signal.SIGKILL)
    print("ready", flush=True)
    signal.pause()


main()
