#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Put what `shardbench all --json` said into doc/sharding.md: tools/sharding_tables.py RESULT.json [DATE]"""

import json
import os
import sys

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PAGE = os.path.join(TOP, 'doc', 'sharding.md')
BEGIN, END = '<!-- tables:', '<!-- end of tables -->'


def ratio(row, key):
	return '%.2f' % row[key] if key in row else 'one idle'


def speeds(rows):
	out = ['| load | way | per second | CPU us | max/mean | max/min | chi2 | busy max/mean | p50 ms | p99 ms | p99.9 ms | lost |',
		'|---|---|---|---|---|---|---|---|---|---|---|---|']
	for row in rows:
		if row['skipped']:
			out.append(f"| {row['load']} | {row['way']} | skipped: {row['why']} | | | | | | | | | |")
			continue
		limit = '\\*' if row['generator_was_limit'] else ''
		out.append('| %s | %s | %.0f%s | %.1f | %s | %s | %.1f | %s | %.2f | %.2f | %.2f | %d |' % (
			row['load'], row['way'], row['per_second'], limit, row['cpu_us'], ratio(row, 'max_mean'),
			ratio(row, 'max_min'), row['chi_square'], ratio(row, 'busy_max_mean'), row['p50_us'] / 1e3,
			row['p99_us'] / 1e3, row['p999_us'] / 1e3, row['lost']))
	return out


def losses(rows):
	out = ['| protocol | way to leave | path | restarts | asked | lost | lost a restart | twice | longest ms |', '|---|---|---|---|---|---|---|---|---|']
	for row in rows:
		if row['skipped']:
			out.append(f"| {row['protocol']} | {row['way']} | {row['path']} | skipped: {row['why']} | | | | | |")
			continue
		out.append('| %s | %s | %s | %d | %d | %d | %.2f | %d | %.1f |' % (row['protocol'], row['way'], row['path'],
			row['restarts'], row['sent'], row['lost'], row['lost_per_restart'], row['twice'], row['longest_ms']))
	return out


def hijacks(rows):
	out = ['| protocol | attempt | may it | it gets | we get | of |', '|---|---|---|---|---|---|']
	for row in rows:
		if row['skipped']:
			out.append(f"| {row['protocol']} | {row['attempt']} | skipped: {row['why']} | | | |")
			continue
		out.append(f"| {row['protocol']} | {row['attempt']} | {'yes' if row['allowed'] else 'no'} | {row['stranger']} | "
			f"{row['ours']} | {row['sent']} |")
	return out


def main():
	if len(sys.argv) < 2:
		sys.exit(__doc__)
	with open(sys.argv[1], encoding='utf-8') as f:
		said = json.load(f)
	lines = [f"{BEGIN} tools/sharding_tables.py, from shardbench all --json -->", '',
		f"Linux {said['kernel'].split('-')[0]}, {said['cpus']} CPUs, {said['workers']} workers, {said['rounds']} rounds of {said['seconds']:g} s each, medians"
		+ (f', {sys.argv[2]}' if len(sys.argv) > 2 else '') + '. \\* the generator never had to wait: it was the limit.', '']
	for title, rows in (('TCP', speeds(said['tcp'])), ('UDP', speeds(said['udp'])), ('Restarts', losses(said['restart'])),
			('Hijack', hijacks(said['hijack']))):
		lines += ['### ' + title, '', *rows, '']
	with open(PAGE, encoding='utf-8') as f:
		page = f.read()
	before, rest = page.split(BEGIN, 1)
	after = rest.split(END, 1)[1]
	with open(PAGE, 'w', encoding='utf-8') as f:
		f.write(before + '\n'.join(lines) + END + after)


main()
