"""Fuzzes the readers: python -m tests.fuzz [TARGET ...] [--minutes=10] [--out=DIR].

Minutes are those of the processor, so that they mean the same on a busy machine.

One target after another; at the end a table of executions, coverage and findings. Corpora, findings
and logs stay in DIR/TARGET, and a later call goes on from the corpora.
"""

import argparse
import json
import re
import resource
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

from tests import ROOT
from tests.fuzz.targets import TARGETS

MAX_SECONDS_OF_AN_INPUT = 20
MAX_MEGABYTES = 2048
LEAST_SECONDS = 20


def fuzz(name: str, seconds: float, out: Path) -> dict:
    """Fuzz a target for so many seconds of the processor; returns a row of the table.

    A worker that ends early is started again. It gets what is left by the clock, in which it cannot
    use more of the processor; a rest below LEAST_SECONDS would be spent on its imports.
    """
    folder, target = out / name, TARGETS[name]
    corpus, findings = folder / "corpus", folder / "findings"
    for path in (corpus, findings):
        path.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(target.seeds()):
        (corpus / f"seed_{number:03d}").write_bytes(seed)
    row = {"target": name, "executions": 0, "coverage": 0, "minutes": 0.0, "ends": []}
    begin, used = time.monotonic(), _cpu_seconds()
    while (left := seconds - (_cpu_seconds() - used)) > LEAST_SECONDS:
        before = set(findings.iterdir())
        text = _work(name, folder, corpus, findings, round(left))
        executions = re.findall(r"^#(\d+)", text, re.M)
        row["executions"] += max(map(int, executions), default=0)
        coverage = re.findall(r"\bcov: (\d+)", text)
        row["coverage"] = max([row["coverage"], *map(int, coverage)])
        dumped = {path.name for path in set(findings.iterdir()) - before}
        row["ends"] += sorted(x for x in dumped if x.startswith(("timeout", "oom", "crash")))
        if "Done " not in text and not executions:
            raise RuntimeError(f"{name}: the worker did not start:\n{text[-2000:]}")
    row["minutes"] = round((time.monotonic() - begin) / 60, 2)
    row["cpu_minutes"] = round((_cpu_seconds() - used) / 60, 2)
    lines = findings / "findings.jsonl"
    found = [json.loads(line) for line in lines.read_text().splitlines()] if lines.exists() else []
    row["findings"] = sorted({(f["reader"], f["what"], f["place"]) for f in found})
    return row


def _cpu_seconds() -> float:
    """Of all workers that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _work(name: str, folder: Path, corpus: Path, findings: Path, seconds: int) -> str:
    flags = [
        f"-max_total_time={seconds}",
        f"-timeout={MAX_SECONDS_OF_AN_INPUT}",
        f"-rss_limit_mb={MAX_MEGABYTES}",
        f"-max_len={TARGETS[name].max_bytes}",
        f"-artifact_prefix={findings}/",
        "-print_final_stats=1",
    ]
    command = [sys.executable, "-m", "tests.fuzz.worker", name, str(findings), *flags, str(corpus)]
    log = folder / "log.txt"
    with log.open("w") as file:
        subprocess.run(command, cwd=ROOT, stdout=file, stderr=subprocess.STDOUT, check=False)
    return log.read_text(errors="replace")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", help=f"of {', '.join(TARGETS)} (default: all)")
    parser.add_argument(
        "--minutes", type=float, default=10.0, help="of the processor for each target"
    )
    parser.add_argument("--out", type=Path, default=Path("fuzzing"))
    arguments = parser.parse_args()
    if unknown := sorted(set(arguments.targets) - set(TARGETS)):
        parser.error(f"no target {unknown[0]!r}; there are {', '.join(TARGETS)}")
    if not find_spec("atheris"):
        parser.error("atheris is not installed; tests/fuzz/README.md says which version")
    for name in arguments.targets or TARGETS:
        row = fuzz(name, 60 * arguments.minutes, arguments.out.resolve())
        kinds = row.pop("findings")
        print(json.dumps(row | {"findings": len(kinds)}), flush=True)
        for kind in kinds:
            print("  " + " | ".join(kind), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
