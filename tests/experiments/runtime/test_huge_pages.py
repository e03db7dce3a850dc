"""Commands start anew with large pages, once, and only where they can have them."""

import os
import subprocess
import sys

import pytest

from experiments.runtime import huge_pages
from tests import ROOT

SCRIPT = """
import os, sys
from experiments.runtime import huge_pages
huge_pages.on_request_only = lambda: True
print("start", flush=True)
huge_pages.restart_with_huge_pages()
print(os.environ["GLIBC_TUNABLES"], *sys.argv[1:])
"""


def _run(**variables):
    environment = {k: v for k, v in os.environ.items() if k != huge_pages.VARIABLE} | variables
    command = [sys.executable, "-c", SCRIPT, "--flag=a b"]
    run = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT)
    assert run.returncode == 0, run.stderr
    return run.stdout.splitlines()


def test_starts_anew_once_with_the_same_arguments():
    assert _run() == ["start", "start", "glibc.malloc.hugetlb=1 --flag=a b"]


def test_other_tunables_stay():
    *starts, last = _run(GLIBC_TUNABLES="glibc.malloc.arena_max=4")
    assert len(starts) == 2
    assert last.startswith("glibc.malloc.arena_max=4:glibc.malloc.hugetlb=1")


def test_who_said_no_is_left_alone():
    assert _run(GLIBC_TUNABLES="glibc.malloc.hugetlb=0")[0:1] == ["start"]
    assert len(_run(GLIBC_TUNABLES="glibc.malloc.hugetlb=0")) == 2


@pytest.mark.parametrize(
    ("version", "modes", "expected"),
    [
        ("glibc 2.36", "always [madvise] never", True),
        ("glibc 2.34", "always [madvise] never", False),
        ("glibc 2.36", "[always] madvise never", False),
        ("glibc 2.36", None, False),
        (None, "always [madvise] never", False),
    ],
)
def test_only_where_they_are_given_on_request(monkeypatch, tmp_path, version, modes, expected):
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(os, "confstr", lambda name: version)
    monkeypatch.setattr(os, "confstr_names", {"CS_GNU_LIBC_VERSION": 2})
    file = tmp_path / "enabled"
    if modes:
        file.write_text(modes)
    assert huge_pages.on_request_only(file) is expected
