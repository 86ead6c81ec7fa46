#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sum JUnit files: `count_tests.py FILE...` prints "PASSED FAILED SKIPPED", and the
names of what failed on standard error. A file that is missing or broken is one failure."""
import sys
import xml.etree.ElementTree as tree


def outcome(case):
    kinds = {child.tag for child in case}
    if kinds & {"failure", "error"}:
        return "failed"
    return "skipped" if "skipped" in kinds else "passed"


def count(path, sums):
    try:
        cases = list(tree.parse(path).iter("testcase"))
    except (OSError, tree.ParseError) as err:
        print(f"  failed: {path}: {err}", file=sys.stderr)
        sums["failed"] += 1
        return
    for case in cases:
        result = outcome(case)
        sums[result] += 1
        if result == "failed":
            place = case.get("classname", "")
            print(f"  failed: {place} {case.get('name')}", file=sys.stderr)


sums = {"passed": 0, "failed": 0, "skipped": 0}
for name in sys.argv[1:]:
    count(name, sums)
print(sums["passed"], sums["failed"], sums["skipped"])
