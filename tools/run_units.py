#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The unit tests of a build folder: `run_units.py FOLDER JUNIT-FILE`.

Twice as many at once as there are CPUs: some wait most of the time for the kernel. What failed beside others
is run once more, alone and with the same memory pattern: "unsteady" is what passed only there, so that a busy
host is told from a defect; both are named. The file holds every test once."""
import json
import os
import subprocess
import sys
import xml.etree.ElementTree as tree

MOST_AGAIN = 6  # more failures than that are no accident


def run(folder, arguments, log="testlog", env=None):
    """The test cases, in the order of meson's log, and its words on each."""
    place = os.path.join(folder, "meson-logs", log)
    for end in (".junit.xml", ".json"):
        if os.path.exists(place + end):
            os.unlink(place + end)
    subprocess.run(["meson", "test", "-C", folder, "--no-rebuild", "--print-errorlogs", "-q", "--logbase", log,
        "--num-processes", str(2 * (os.cpu_count() or 1)), *arguments], check=False, env=dict(os.environ, **(env or {})))
    try:
        with open(place + ".json", encoding="utf-8") as source:
            words = [json.loads(line) for line in source]
        return list(tree.parse(place + ".junit.xml").iter("testcase")), {word["name"]: word for word in words}
    except (OSError, ValueError, tree.ParseError) as error:
        print(f"  no results of meson test {' '.join(arguments)}: {error}")
        return [], {}


def has_failed(case):
    return any(child.tag in ("failure", "error") for child in case)


def passes_alone(folder, name, words):
    pattern = words.get("env", {}).get("MALLOC_PERTURB_")
    again, _ = run(folder, [name], "again", {"MALLOC_PERTURB_": pattern} if pattern else None)
    return len(again) == 1 and again[0].get("name") == name and not has_failed(again[0])


def judge(folder, cases, words):
    """A failed one is replaced by how it went alone."""
    failed = [case for case in cases if has_failed(case)]
    if len(failed) > MOST_AGAIN:
        return
    for case in failed:
        name = case.get("name")
        print(f"once more, alone: {name}", flush=True)
        if passes_alone(folder, name, words.get(name, {})):
            print(f"  unsteady: {name} failed beside others and passed alone", flush=True)
            for child in [c for c in case if c.tag in ("failure", "error")]:
                case.remove(child)


def main():
    folder, out = sys.argv[1:]
    cases, words = run(folder, ["--suite", "unit"])
    judge(folder, cases, words)
    suite = tree.Element("testsuite")
    suite.extend(cases)
    if not cases:
        tree.SubElement(tree.SubElement(suite, "testcase", classname="unit", name="all"), "failure")
    tree.ElementTree(suite).write(out)


main()
