# SPDX-License-Identifier: GPL-3.0-or-later
"""Turn scenarios (.rpl) into what build/tests/play/play reads: messages in hex, and the
configuration that the program would get. The scenarios are read by the runner's own parser.

A play file has a line for each thing, words separated by blanks, `-` for none:

  name NAME
  config FILE          the configuration script
  start SECONDS        the wall clock at the beginning
  from ADDRESS         the client's; `to ADDRESS`: the resolver's
  server ADDRESS       one that answers at all; of all others nothing is heard
  range FIRST LAST     what follows holds in these steps
  at ADDRESS           of the range's servers; none: of any
  step NUMBER KIND     QUERY, CHECK, PASS, REPLY
  address ADDRESS      of a REPLY: only there
  elapse SECONDS       of PASS
  query TRANSPORT HEX HEX     of QUERY: udp, tcp; as it is, and as one with DO and without CD
  entry LINE MATCH ADJUST SLEEP RCODE FLAGS HEX     FLAGS: do, raw, mandatory
"""

import glob
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
START = 1750000000      # of those that do not say


def load_runner(folder):
	sys.path.insert(0, folder)
	sys.dont_write_bytecode = True
	import rplrun       # pylint: disable=import-outside-toplevel,import-error
	return rplrun


class Options:          # what the runner's parts ask of its command line
	qmin, match, tmp = 'both', 'auto', None


def words(items):
	return ','.join(sorted(items)) or '-'


def entry_line(rpl, entry):
	match = '-' if entry.match is None else \
		','.join(sorted(rpl.match_fields(entry, False)) or ['none'])
	for field in rpl.match_fields(entry, False):
		if field in ('ednsdata', 'server_cookie', 'client_cookie'):
			raise rpl.Unsupported('MATCH ' + field)
	if entry.ednsdata:
		raise rpl.Unsupported('EDNS options of servers')
	if entry.raw is not None:
		wire = entry.raw
	else:
		question = [(q.name, q.rdtype, q.rdclass) for q in entry.sections['QUESTION']]
		wire = uncompressed(rpl, 0, entry.flags, entry.opcode or 0, entry.rcode, question,
			entry.sections, None)
	flags = [name for name, on in (('do', entry.do), ('raw', entry.raw is not None),
		('mandatory', entry.mandatory)) if on]
	return 'entry %d %s %s %g %d %s %s' % (entry.where, match, words(entry.adjust), entry.sleep,
		entry.rcode, words(flags), wire.hex() or '-')


def uncompressed(rpl, *what):
	"""rplrun.build() with every name whole, so that a record can be moved in its message."""
	class Whole(rpl.RR):
		def to_wire(self, out, _):
			super().to_wire(out, None)
	*head, sections, edns = what
	plain = {name: [Whole(r.name, r.rdclass, r.rdtype, r.ttl, r.rdata, r.raw) for r in records]
		for name, records in sections.items()}
	for record in (r for name in ('ANSWER', 'AUTHORITY', 'ADDITIONAL') for r in plain.get(name, [])):
		record.name = record.name.derelativize(rpl.dns.name.root)
	return rpl.build(*head, plain, edns)


def query_line(rpl, step):
	entry = step.entry
	if entry.raw is not None:
		return 'query raw %s -' % (entry.raw.hex() or '-')
	question = [(q.name, q.rdtype, q.rdclass) for q in entry.sections['QUESTION']]
	flags = entry.flags & ~rpl.FLAG_BITS['QR']
	forms = [rpl.build(0x1234, f, entry.opcode or 0, entry.rcode, question, entry.sections,
		(4096, do, entry.ednsdata or b'')) for f, do in
		((flags, entry.do), (flags & ~rpl.FLAG_BITS['CD'], True))]
	tcp = bool(entry.match and 'TCP' in entry.match)
	return 'query %s %s %s' % ('tcp' if tcp else 'udp', forms[0].hex(), forms[1].hex())


def step_lines(rpl, step):
	kinds = {'QUERY': 'QUERY', 'CHECK_ANSWER': 'CHECK', 'ANSWER': 'CHECK', 'TIME_PASSES': 'PASS',
		'REPLY': 'REPLY'}
	if step.kind not in kinds:
		return      # as the runner does with scenarios of this dialect
	yield 'step %d %s' % (step.number, kinds[step.kind])
	if step.address:
		yield 'address ' + step.address
	if step.kind == 'TIME_PASSES':
		yield 'elapse %g' % step.elapse
	elif step.kind == 'QUERY':
		yield query_line(rpl, step)
	elif step.entry is not None:
		yield entry_line(rpl, step.entry)


def play_lines(rpl, scenario, label, config):
	cfg = scenario.config
	start = rpl.rrsig_time(scenario) if cfg.time == -1 else cfg.time
	yield 'name ' + label
	yield 'config ' + config
	yield 'start %d' % (START if start is None else start)
	yield 'from ' + (rpl.CLIENT6 if cfg.family6 else rpl.CLIENT4)
	yield 'to ' + (rpl.RESOLVER6 if cfg.family6 else rpl.RESOLVER4)
	for address in sorted(scenario.server_addresses()):
		yield 'server ' + address
	for r in scenario.ranges:
		yield 'range %d %d' % (r.first, r.last)
		for address in sorted(r.addresses):
			yield 'at ' + address
		for entry in r.entries:
			yield entry_line(rpl, entry)
	for step in scenario.steps:
		yield from step_lines(rpl, step)


def convert_one(rpl, path, label, qmin, folder):
	"""The play file's path."""
	scenario = rpl.Scenario(path)
	cfg = scenario.config
	if scenario.unsupported:
		raise rpl.Unsupported(', '.join(sorted(set(scenario.unsupported))))
	if cfg.dialect != 'flat':
		raise rpl.Unsupported("another resolver's configuration language")
	target = rpl.TARGETS['shoald']()
	target.supports(cfg)
	work = os.path.join(folder, label.replace(':', '.'))
	os.mkdir(work)
	listen = rpl.RESOLVER6 if cfg.family6 else rpl.RESOLVER4
	for name, text in target.files(rpl.Context(cfg, qmin, work, listen, Options)).items():
		with open(os.path.join(work, name), 'w', encoding='utf-8', errors='surrogateescape') as out:
			out.write(text)
	play = os.path.join(work, 'play')
	with open(play, 'w', encoding='ascii') as out:
		for line in play_lines(rpl, scenario, label, os.path.join(work, target.config_name)):
			out.write(line + '\n')
	return play


def convert(runner_folder, paths, folder):
	"""([play file], {label: why it cannot be played})"""
	rpl = load_runner(runner_folder)
	files, plays, skipped = [], [], {}
	for path in paths:
		files += sorted(glob.glob(os.path.join(path, '*.rpl'))) if os.path.isdir(path) else [path]
	for path in files:
		for label, qmin in rpl.variants(path, Options):
			try:
				plays.append(convert_one(rpl, path, label, qmin, folder))
			except rpl.Unsupported as why:
				skipped[label] = str(why)
			except rpl.ParseError as why:
				skipped[label] = 'cannot read: %s' % why
	return plays, skipped
