#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Inputs for fuzzers out of the scenarios' messages: seeds.py FOLDER writes FOLDER/dnssec, records,
reply and msg. What the scenarios hold stays where it is: nothing of it is in fuzz/corpus."""

import glob
import hashlib
import os
import struct
import sys

import convert

TOP = os.path.dirname(os.path.dirname(convert.HERE))
SHARED = os.path.join(os.path.dirname(TOP), 'shared', 'conformance')
MOST = 200      # files a fuzzer
A_SCENARIO = 6
LONGEST = 4096
RRSIG, DNSKEY, DS, NSEC, NSEC3 = 46, 48, 43, 47, 50
RECORD, SIGNATURE, KEY, DIGEST = range(4)   # of dnssec_fuzz.c
REPLY_CHOICE = 8                            # of reply_fuzz.c: type A, asked of com.


def item(kind, rdata):
	return struct.pack('!H', kind << 14 | len(rdata)) + rdata


def wire_of(rr):
	return rr.rdata.to_wire() if rr.rdata is not None else rr.raw or b''


def signed_sets(messages, time):
	"""Inputs of dnssec_fuzz.c: an RRset, its signatures, the signer's keys and their DS."""
	records = [rr for entry in messages for section in ('ANSWER', 'AUTHORITY')
		for rr in entry.sections[section]]
	for sig in [rr for rr in records if rr.rdtype == RRSIG and rr.rdata is not None]:
		zone, covers = sig.rdata.signer, int(sig.rdata.type_covered)
		out = zone.to_wire() + sig.name.to_wire() + struct.pack('!HI', covers, time or 0)
		out += b''.join(item(RECORD, wire_of(rr)) for rr in
			{rr.key(): rr for rr in records if rr.name == sig.name and rr.rdtype == covers}.values())
		out += item(SIGNATURE, wire_of(sig))
		for kind, rtype in ((KEY, DNSKEY), (DIGEST, DS)):
			out += b''.join(item(kind, wire_of(rr)) for rr in
				{rr.key(): rr for rr in records if rr.name == zone and rr.rdtype == rtype}.values())
		yield out


def inputs(rpl, scenario):
	"""(fuzzer, bytes)"""
	entries = [entry for r in scenario.ranges for entry in r.entries if entry.raw is None]
	for out in signed_sets(entries, scenario.config.time):
		yield 'dnssec', out
	for entry in entries:
		question = [(q.name, q.rdtype, q.rdclass) for q in entry.sections['QUESTION']]
		message = rpl.build(1, entry.flags, 0, entry.rcode, question, entry.sections,
			(1232, True, b''))
		yield 'msg', message
		yield 'reply', bytes([REPLY_CHOICE]) + message
		for section in ('ANSWER', 'AUTHORITY'):
			for rr in entry.sections[section]:
				if rr.rdtype in (RRSIG, DNSKEY, DS, NSEC, NSEC3):
					rdata = wire_of(rr)
					yield 'records', bytes([rdata[3] if rr.rdtype == DNSKEY and
						len(rdata) > 3 else 8]) + rdata


def main():
	folder = sys.argv[1]
	if not os.path.exists(os.path.join(SHARED, 'rplrun.py')):
		print('no seeds: ../shared/conformance is not there')
		return
	rpl = convert.load_runner(SHARED)
	written = {}
	for path in sorted(glob.glob(os.path.join(SHARED, 'open', '*.rpl'))):
		of_this = {}
		for fuzzer, data in inputs(rpl, rpl.Scenario(path)):
			name = 'seed-' + hashlib.sha256(data).hexdigest()[:16]
			known = written.setdefault(fuzzer, set())
			if name in known or len(known) >= MOST or len(data) > LONGEST or \
					of_this.get(fuzzer, 0) >= A_SCENARIO:
				continue
			known.add(name)
			of_this[fuzzer] = of_this.get(fuzzer, 0) + 1
			os.makedirs(os.path.join(folder, fuzzer), exist_ok=True)
			with open(os.path.join(folder, fuzzer, name), 'wb') as out:
				out.write(data)
	print('seeds of the scenarios: ' + ', '.join('%d for %s' % (len(known), fuzzer)
		for fuzzer, known in sorted(written.items())))


main()
