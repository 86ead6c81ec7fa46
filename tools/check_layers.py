#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Includes go down only: every #include "folder/x.h" under src/ must be allowed
by tools/layers.txt, and lua.h is seen by src/lua alone."""
import pathlib
import re
import sys

top = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".")
allowed = {}
for line in (top / "tools/layers.txt").read_text().splitlines():
    if line.strip() and not line.startswith("#"):
        folder, deps = line.split(":")
        allowed[folder.strip()] = {folder.strip(), *deps.split()}
bad = 0
for path in sorted((top / "src").rglob("*.[ch]")):
    folder = path.relative_to(top / "src").parts[0]
    for number, line in enumerate(path.open(), 1):
        m = re.match(r'#\s*include "(\w+)/', line)
        if m and m[1] not in allowed.get(folder, {}):
            print(f"{path}:{number}: {folder} may not include {m[1]}")
            bad = 1
        if folder != "lua" and re.match(r"#\s*include [<\"](lua|lauxlib|lualib|luajit)\.h", line):
            print(f"{path}:{number}: only src/lua may see Lua")
            bad = 1
sys.exit(bad)
