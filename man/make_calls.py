#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""man/calls.txt and include/shard.h to a page for each call: make_calls.py CALLS HEADER FOLDER | --list CALLS"""

import os
import re
import sys

KEYS = {'Returns': 'RETURN VALUES', 'Errors': 'ERRORS', 'Rights': 'RIGHTS', 'Since': 'HISTORY', 'See': 'SEE ALSO'}


def read_blocks(path):
	"""(call, line, text lines, keys, example) each."""
	blocks, example = [], None
	with open(path, encoding='utf-8') as f:
		for line in f.read().splitlines():
			if example is not None:
				if line == 'End':
					example = None
				else:
					example.append(line)
			elif line.startswith('= '):
				name, what = line[2:].split(': ', 1)
				blocks.append({'name': name, 'what': what, 'text': [], 'keys': {}, 'example': []})
			elif line == 'Example:':
				example = blocks[-1]['example']
			elif line and not line.startswith('#') and blocks:
				key = line.split(':', 1)[0]
				if key in KEYS:
					blocks[-1]['keys'][key] = line.split(':', 1)[1].strip()
				else:
					blocks[-1]['text'].append(line)
	return blocks


def read_prototypes(path):
	with open(path, encoding='utf-8') as f:
		text = re.sub(r'/\*.*?\*/', '', f.read(), flags=re.S)
	found = {}
	for words in re.findall(r'SHARD_API\s+([^;]+);', text):
		words = ' '.join(words.split())
		match = re.match(r'(.*?)\s*(\**)(shard_\w+)\s*\((.*)\)$', words)
		if match:
			arguments = [word.strip() for word in match.group(4).split(',')]
			found[match.group(3)] = ((match.group(1) + ' ' + match.group(2)).strip(), arguments)
	return found


def quote(text):
	"""What roff would take for its own."""
	text = text.replace('\\', '\\e')
	return '\n'.join('\\&' + line if line[:1] in ".'" else line for line in text.split('\n'))


def sentences(text):
	"""Each on a line of its own; `words` in bold."""
	out = re.sub(r'`([^`]+)`', r'\\fI\1\\fR', text.replace('\\', '\\e'))
	return re.sub(r'(?<=[.:!?]) (?=[A-Z])', '\n', out)


def page(block, prototypes):
	result, arguments = prototypes[block['name']]
	out = ['.\\" SPDX-License-Identifier: MIT', '.Dd November 21, 2026', f".Dt {block['name'].upper()} 3", '.Os',
		'.Sh NAME', f".Nm {block['name']}", f".Nd {block['what']}", '.Sh SYNOPSIS', '.In shard.h', f'.Ft "{result}"',
		f".Fn {block['name']} " + ' '.join(f'"{word}"' for word in arguments), '.Sh DESCRIPTION']
	out.append(sentences(' '.join(block['text'])) or block['what'].capitalize() + '.')
	keys = block['keys']
	for key in ('Returns', 'Errors', 'Rights'):
		if key in keys:
			out += [f'.Sh {KEYS[key]}', sentences(keys[key])]
	if keys.get('Since', 'any') != 'any':
		out += ['.Sh HISTORY', f"Since Linux {keys['Since']}."]
	if block['example']:
		out += ['.Sh EXAMPLES', '.Bd -literal', quote('\n'.join(block['example'])), '.Ed']
	see = keys.get('See', 'libshard').split()
	if 'libshard' not in see:
		see.append('libshard')
	out.append('.Sh SEE ALSO')
	out += [f'.Xr {name} 3' + (' ,' if at < len(see) - 1 else '') for at, name in enumerate(sorted(see))]
	return '\n'.join(out) + '\n'


def main():
	if len(sys.argv) == 3 and sys.argv[1] == '--list':
		print('\n'.join(block['name'] for block in read_blocks(sys.argv[2])))
		return
	calls, header, folder = sys.argv[1:]
	blocks, prototypes = read_blocks(calls), read_prototypes(header)
	names = {block['name'] for block in blocks}
	if names != set(prototypes):
		sys.exit(f'calls.txt and shard.h differ: {sorted(names ^ set(prototypes))}')
	for block in blocks:
		with open(os.path.join(folder, block['name'] + '.3'), 'w', encoding='utf-8') as f:
			f.write(page(block, prototypes))


main()
