#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""BPF objects to a C header: the instructions of each program, and where map descriptors go in.

usage: embed.py OUTPUT NAME=OBJECT...

So the library needs no ELF reader, no libbpf at run time."""
import struct
import sys

R_BPF_64_64 = 1
SHT_SYMTAB, SHT_REL = 2, 9
STT_SECTION = 3


def sections_of(data):
	if data[:4] != b'\x7fELF' or data[4] != 2:
		sys.exit('not a 64-bit ELF file')
	end = '<' if data[5] == 1 else '>'
	offset, = struct.unpack_from(end + 'Q', data, 40)
	size, count, names = struct.unpack_from(end + 'HHH', data, 58)
	rows = [struct.unpack_from(end + 'IIQQQQIIQQ', data, offset + i * size)
		for i in range(count)]
	strings = rows[names][4]
	sections = []
	for name, kind, _, _, start, length, link, info, _, _ in rows:
		text = data[strings + name:data.index(b'\0', strings + name)].decode()
		sections.append((text, kind, data[start:start + length], link, info))
	return end, sections


def symbols_of(end, sections):
	for _, kind, table, link, _ in sections:
		if kind == SHT_SYMTAB:
			strings = sections[link][2]
			rows = struct.iter_unpack(end + 'IBBHQQ', table)
			return [(strings[r[0]:strings.index(b'\0', r[0])].decode(), r[1], r[3]) for r in rows]
	sys.exit('no symbols')


def programs_of(path):
	with open(path, 'rb') as source:
		data = source.read()
	end, sections = sections_of(data)
	symbols = symbols_of(end, sections)
	for index, (name, _, code, _, _) in enumerate(sections):
		if not name.startswith(('sk_reuseport', 'sk_lookup')):
			continue
		places = []
		for _, kind, table, _, info in sections:
			if kind != SHT_REL or info != index:
				continue
			for offset, what in struct.iter_unpack(end + 'QQ', table):
				symbol = symbols[what >> 32]
				if what & 0xffffffff != R_BPF_64_64 or sections[symbol[2]][0] != '.maps':
					sys.exit('%s: %s: a relocation other than of a map' % (path, name))
				places.append((offset // 8, symbol[0]))
		yield end, name.split('/')[0], code, places


def main():
	out = ['/* made by bpf/embed.py */', '']
	for argument in sys.argv[2:]:
		name, path = argument.split('=', 1)
		for end, kind, code, places in programs_of(path):
			out.append('static const struct bpf_insn %s_%s_code[] = {' % (name, kind))
			for op, registers, off, imm in struct.iter_unpack(end + 'BBhi', code):
				low, high = registers & 15, registers >> 4
				if end == '>':
					low, high = high, low
				out.append('\t{ .code = %d, .dst_reg = %d, .src_reg = %d, .off = %d, .imm = %s },'
					% (op, low, high, off, '(-2147483647 - 1)' if imm == -2**31 else imm))
			out.append('};')
			out.append('static const struct steer_place %s_%s_places[] = {' % (name, kind))
			out.extend('\t{ %d, STEER_MAP_%s },' % (at, which) for at, which in places)
			out.extend(['};', ''])
	with open(sys.argv[1], 'w') as target:
		target.write('\n'.join(out))


main()
