"""How long the pages of others take while somebody guesses passwords and tokens:
`python benchmarks/site_storm.py [--logins 2000] [--tokens 2000] [--threads 8] [--seconds 15]`.

A database of its own in a temporary folder, and the web process with its defaults. Threads send wrong passwords of one
account and of a hundred other names, and bad tokens, as fast as they are answered, from one address. A member who is
logged in and a client with a good token ask for pages from another address, and a client with a good token from the
same one, one after the other. After the storm the owner of the account logs in from another address, and from that of
the storm once its wait is over. The result is printed and written to benchmarks/results/site_storm.json.
"""

from __future__ import annotations

import argparse
import http.client
import platform
import statistics
import threading
import time
from collections import Counter
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import urlencode

from installation import installation, write_result
from site_slow_clients import web

STORM, HOME = "127.0.0.3", "127.0.0.2"
LIMIT_MS = 1000.0
NAME, PASSWORD = "alice", "gusty-lantern-41-orbit"
LOGIN = "/admin/login/"
API = "/api/scheduler/tasks"


class Browser:
    """A client with cookies that asks from an address of its own, on a connection that stays."""

    def __init__(self, port: int, source: str) -> None:
        self.port, self.source = port, source
        self.cookies: SimpleCookie = SimpleCookie()

    def ask(self, method: str, path: str, form: dict[str, str] | None = None, **headers: str) -> Any:
        """Return status and headers; the answer is read to its end."""
        sent = {"Host": "localhost", **headers}
        if self.cookies:
            sent["Cookie"] = "; ".join(f"{name}={morsel.value}" for name, morsel in self.cookies.items())
        body = None
        if form is not None:
            token = self.cookies["csrftoken"].value
            body = urlencode({**form, "csrfmiddlewaretoken": token})
            sent["Content-Type"] = "application/x-www-form-urlencoded"
        connection = http.client.HTTPConnection(
            "127.0.0.1", self.port, timeout=60, source_address=(self.source, 0)
        )
        connection.request(method, path, body=body, headers=sent)
        answer = connection.getresponse()
        answer.read()
        for value in answer.msg.get_all("Set-Cookie") or []:
            self.cookies.load(value)
        connection.close()
        return answer

    def log_in(self, name: str, password: str) -> Any:
        """Return the answer to a login."""
        if "csrftoken" not in self.cookies:
            self.ask("GET", LOGIN)
        return self.ask("POST", LOGIN, {"username": name, "password": password, "next": "/admin/"})


def measure(port: int, member: Browser, token: str, *, until: threading.Event | float) -> dict[str, Any]:
    """Return percentiles in milliseconds of the pages of others until an event or for so many seconds."""
    bearer = {"Authorization": f"Bearer {token}"}
    same = Browser(port, STORM)
    event = until if isinstance(until, threading.Event) else threading.Event()
    end = float("inf") if isinstance(until, threading.Event) else time.monotonic() + until
    times, lost = [], 0
    while not event.is_set() and time.monotonic() < end:
        for client, path, headers in (
            (member, "/admin/scheduler/task/", {}),
            (member, API, bearer),
            (same, API, bearer),
        ):
            began = time.monotonic()
            status = client.ask("GET", path, **headers).status
            times.append((time.monotonic() - began) * 1000)
            lost += status != 200
    cuts = statistics.quantiles(times, n=100, method="inclusive")
    return {
        "pages": len(times),
        "p50_ms": round(cuts[49], 1),
        "p95_ms": round(cuts[94], 1),
        "max_ms": round(max(times), 1),
        "not_200": lost,
    }


def storm(port: int, *, logins: int, tokens: int, threads: int) -> tuple[threading.Event, Counter[str]]:
    """Start the storm, and return what is set at its end and the answers by kind and status."""
    over, answers, lock = threading.Event(), Counter[str](), threading.Lock()
    work = [f"login {n}" if n % 2 else f"name {n % 100}" for n in range(logins)]
    work = [item for pair in zip(work, [""] * tokens, strict=False) for item in pair] or work
    work += [""] * (tokens - logins) + [f"login {n}" for n in range(tokens, logins)]

    def blow() -> None:
        browser = Browser(port, STORM)
        while True:
            with lock:
                if not work:
                    return
                item = work.pop()
            if item:
                name = NAME if item.startswith("login") else item
                kind, status = "login", browser.log_in(name, item).status
            else:
                kind, status = "token", browser.ask("GET", API, Authorization="Bearer nothing").status
            with lock:
                answers[f"{kind} {status}"] += 1

    def run() -> None:
        blowers = [threading.Thread(target=blow) for _ in range(threads)]
        for blower in blowers:
            blower.start()
        for blower in blowers:
            blower.join()
        over.set()

    threading.Thread(target=run).start()
    return over, answers


def come_back(port: int) -> dict[str, Any]:
    """Return how the owner of the account gets in after the storm."""
    elsewhere = Browser(port, HOME).log_in(NAME, PASSWORD).status
    there = Browser(port, STORM)
    began = time.monotonic()
    answer = there.log_in(NAME, PASSWORD)
    waits = []
    while answer.status == 429:
        waits.append(int(answer.getheader("Retry-After")))
        time.sleep(waits[-1])
        answer = there.log_in(NAME, PASSWORD)
    return {
        "elsewhere": elsewhere,
        "there": answer.status,
        "waits_s": waits,
        "after_s": round(time.monotonic() - began),
    }


def main() -> int:
    """Measure, print, write; 1 when pages were lost, slower than a second, or the owner was kept out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--logins", type=int, default=2000)
    parser.add_argument("--tokens", type=int, default=2000)
    parser.add_argument("--threads", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=15)
    options = parser.parse_args()
    with installation(LOG_LEVEL="ERROR") as folder:
        from django.contrib.auth.models import User

        from scheduler.services.tokens import create_token

        owner = User.objects.create_superuser(NAME, password=PASSWORD)
        User.objects.create_superuser("bob", password=PASSWORD)
        token = create_token(owner)
        with web(folder / "web.log") as (port, _pid):
            member = Browser(port, HOME)
            member.log_in("bob", PASSWORD)
            phases = {"before": measure(port, member, token, until=options.seconds)}
            began = time.monotonic()
            over, answers = storm(port, logins=options.logins, tokens=options.tokens, threads=options.threads)
            phases["during"] = measure(port, member, token, until=over)
            lasted = time.monotonic() - began
            phases["after"] = measure(port, member, token, until=options.seconds)
            back = come_back(port)
    for name, phase in phases.items():
        print(f"{name:8} {phase}")
    print(f"storm    {lasted:.1f} s, {dict(sorted(answers.items()))}")
    print(f"owner    {back}")
    result = {"phases": phases, "storm_s": round(lasted, 1), "answers": dict(answers), "owner": back}
    write_result("site_storm", {"python": platform.python_version(), **result})
    is_good = all(phase["not_200"] == 0 and phase["p95_ms"] < LIMIT_MS for phase in phases.values())
    return 0 if is_good and back["elsewhere"] == back["there"] == 302 else 1


if __name__ == "__main__":
    raise SystemExit(main())
