#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""embed.py OUTPUT NAME=FILE...: each file as a C array NAME and its length NAME_len."""
import pathlib
import sys

out = ["/* made by src/lua/embed.py */", "#include <stddef.h>", '#include "lua/internal.h"']
for item in sys.argv[2:]:
    name, path = item.split("=", 1)
    data = pathlib.Path(path).read_bytes()
    rows = [", ".join(map(str, data[i:i + 20])) for i in range(0, len(data), 20)]
    out.append(f"const char {name}[] = {{\n" + ",\n".join(rows) + ", 0 };")
    out.append(f"const size_t {name}_len = {len(data)};")
pathlib.Path(sys.argv[1]).write_text("\n".join(out) + "\n")
