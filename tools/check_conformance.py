#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compare a log of rplrun.py with the list of scenarios that must pass.

  check_conformance.py LIST LOG           exit 1 and name those of LIST that do not pass
  check_conformance.py --write LIST LOG   make LIST from what passes in LOG"""
import re
import sys


def passing(path):
    with open(path, encoding="utf-8", errors="replace") as log:
        return {m[1] for m in re.finditer(r"(?m)^PASS\s+(\S+)", log.read())}


def main(arguments):
    write = arguments[:1] == ["--write"]
    listed, log = arguments[write:]
    passed = passing(log)
    if write:
        with open(listed, "w", encoding="utf-8") as out:
            out.write("# scenarios that must pass; made by tools/check_conformance.py\n")
            out.writelines(name + "\n" for name in sorted(passed))
        return 0
    with open(listed, encoding="utf-8") as source:
        names = [row.strip() for row in source if row.strip() and not row.startswith("#")]
    missing = [name for name in names if name not in passed]
    for name in missing:
        print("no longer passes:", name)
    for name in sorted(passed - set(names)):
        print("passes and is not listed:", name)
    return 1 if missing else 0


sys.exit(main(sys.argv[1:]))
