#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""shoal.lua(5) names every option, module and call that the configuration language has."""
import pathlib
import re
import sys

top = pathlib.Path(sys.argv[1])
manual = (top / "man/shoal.lua.5").read_text()
lua = "".join(p.read_text() for p in sorted((top / "src/lua").glob("prelude_*.lua")))
header = (top / "src/conf/conf.h").read_text()

tables = {"net": "net", "cache": "cache", "hints": "hints", "nsid": "nsid", "stats": "stats", "modules": "modules",
          "anchors": "trust_anchors", "worker": "worker", "event": "event", "policy": "policy", "kres": "kres"}
wanted = set()
for table, name in re.findall(r"^(?:function )?(\w+)\.(\w+)\b(?=\(| = )", lua, re.M):
    if table in tables and not re.search(rf"^local {table} = \.\.\.", lua, re.M):
        wanted.add(f"{tables[table]}.{name}")
wanted |= set(re.findall(r"^(?:function )?G\.([a-z]\w*)", lua, re.M))
wanted |= set(re.findall(r'X\(\w+, \w+, "([^"]+)"', header))
wanted |= {name for block in re.findall(r"#define CONF_(?:MODULES|FLAGS)\(X\)(.*?)\n\n", header, re.S)
           for name in re.findall(r"X\((\w+)", block)}
# said in other words, or not worth a line
spoken = {"cache.get", "stats.clear_frequent", "worker.resolve", "log_qry", "log_req", "sec"}
missing = [w for w in sorted(wanted - spoken) if not re.search(rf"(?<![\w]){re.escape(w)}(?!\w)", manual)]
for word in missing:
    print(f"shoal.lua(5) does not mention {word}")
print(f"{len(wanted)} names looked up")
sys.exit(1 if missing or len(wanted) < 100 else 0)
