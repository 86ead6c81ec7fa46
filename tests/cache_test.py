# SPDX-License-Identifier: GPL-3.0-or-later
"""`shoal cache`: what is shown, cleared, counted, carried elsewhere, made larger."""

import json
import os
import subprocess
import time

import pytest

import helpers


@pytest.fixture
def two(shoals):
	return shoals(count=2)


def show(shoal, *words):
	done = shoal.tool('cache', 'show', *words, '--json')
	return json.loads(done.stdout)


def asked(lab):
	return {name.split()[0] for name in lab.counts()['names']}


def test_show_tells_kind_age_source_and_cut(two):
	two.ask('h0001.big5.dev.')
	time.sleep(1.1)
	seen = show(two, 'h0001.big5.dev.')
	entry = [e for e in seen['entries'] if e['kind'] == 'rrset'][0]
	assert entry['type'] == 'A' and entry['source'] == 'auth-answer'
	assert entry['status'] in ('unchecked', 'secure', 'insecure')
	assert 1 <= entry['age'] < 20 and entry['left'] > 0
	assert any(' IN A ' in record for record in entry['records'])
	assert seen['cut'] == 'big5.dev.'
	text = two.tool('cache', 'show', 'h0001.big5.dev.', 'A').stdout
	assert 'zone cut: big5.dev.' in text and 'auth-answer' in text
	assert two.tool('cache', 'show', 'never.asked.').returncode == 1


def test_an_alias_hangs_on_its_target_and_goes_with_it(two, lab):
	name = 'www.old.dname.org.'
	for _ in range(8):    # often enough for finished answers
		reply = two.ask(name)
	target = reply.answer[-1].name.to_text()
	assert target != name
	hanging = show(two, target)['answers']
	assert any(line.split()[0] == name for line in hanging)
	assert two.tool('cache', 'clear', target).returncode == 0
	lab.reset()
	for instance in ('1', '2'):
		assert helpers.rcode_of(two.ask_at(instance, name)) == 'NOERROR'
	assert target in asked(lab)


def test_clear_by_name_type_subtree_and_all(two, lab):
	names = ['h0002.big5.dev.', 'h0003.big5.dev.', 'h0004.big4.info.']

	def fresh_after(*words):
		for name in names:
			two.ask(name)
		assert two.tool('cache', 'clear', *words).returncode == 0
		lab.reset()
		for name in names:
			assert helpers.rcode_of(two.ask(name)) == 'NOERROR'
		return [name in asked(lab) for name in names]
	assert fresh_after('h0002.big5.dev.', '--exact') == [True, False, False]
	assert fresh_after('h0003.big5.dev.', '--type', 'A') == [False, True, False]
	assert fresh_after('h0003.big5.dev.', '--type', 'TXT') == [False, False, False]
	assert fresh_after('big5.dev.', '--subtree') == [True, True, False]
	assert fresh_after('--all') == [True, True, True]
	for words in (['clear'], ['clear', 'a.', '--all'], ['clear', 'a.', '--type', 'NO'],
			['show'], ['stats', 'x'], ['resize', '10'], ['clear', '..'], ['nothing']):
		assert two.tool('cache', *words).returncode == 2, words


def test_export_and_import_into_another(two, shoals, lab, tmp_path):
	names = ['h%04d.big5.dev.' % i for i in range(10, 40)] + ['txt.types.lab.']
	denied = ['none.big5.dev.', 'nothing.types.lab.']
	for name in names:
		two.ask(name)
	for name in denied:
		assert helpers.rcode_of(two.ask(name)) == 'NXDOMAIN'
	assert not two.ask(names[0], 'TXT').answer
	path = str(tmp_path / 'lines')
	two.tool('cache', 'export', path)
	with open(path) as source:
		lines = source.read().splitlines()
	assert len(lines) > 30
	assert any(line.startswith(names[0] + '\t') for line in lines)
	for head in ('@nxdomain\t' + denied[0], '@nodata\t' + names[0], '@cut\tbig5.dev.'):
		assert any(line.startswith(head + '\t') for line in lines), head
	two.tool('cache', 'clear', '--all')
	two.tool('cache', 'import', path)
	lab.reset()
	for name in names[:30]:
		assert helpers.rcode_of(two.ask(name)) == 'NOERROR'
	assert not asked(lab) & set(names[:30])
	# denials are there, and what lies below a cut is asked for at its servers alone
	for name in denied:
		assert helpers.rcode_of(two.ask(name)) == 'NXDOMAIN'
	assert not two.ask(names[0], 'TXT').answer
	assert not asked(lab) & {*denied, names[0]}
	assert helpers.rcode_of(two.ask('h0045.big5.dev.')) == 'NOERROR'
	assert asked(lab) <= {'h0045.big5.dev.', '.'}, asked(lab)
	# what was taken is written again
	again = str(tmp_path / 'again')
	two.tool('cache', 'export', again)
	with open(again) as source:
		heads = {line.split('\t')[1] for line in source if line[0] == '@'}
	assert {*denied, 'big5.dev.'} <= heads
	with open(path, 'a') as out:
		out.write('a.b.\tnonsense\n')
	done = two.tool('cache', 'import', path)
	assert done.returncode == 1 and 'line %d' % (len(lines) + 1) in done.stderr


def test_another_size_while_all_run(two, lab):
	names = ['h%04d.big5.dev.' % i for i in range(50, 80)]
	for name in names:
		two.ask(name)
	before = json.loads(two.tool('cache', 'stats', '--json').stdout)
	two.tool('cache', 'resize', '32M')
	after = json.loads(two.tool('cache', 'stats', '--json').stdout)
	assert after['size'] == 32 << 20 != before['size']
	assert after['entries'] > 0    # from a sample
	lab.reset()
	for instance in ('1', '2'):
		for name in names[::5]:
			assert helpers.rcode_of(two.ask_at(instance, name)) == 'NOERROR'
	assert not asked(lab) & set(names)
	maps = [open('/proc/%d/maps' % pid).read() for pid in two.pids().values()]
	assert all('cache-v1\n' in text and 'deleted' not in ''.join(
		line for line in text.splitlines() if 'cache-v1' in line) for text in maps)


def test_no_cache_no_work(tmp_path):
	done = subprocess.run([helpers.program('shoal'), 'cache', 'clear', '--all'],
		env={**os.environ, 'SHOAL_RUN': str(tmp_path)}, capture_output=True, text=True)
	assert done.returncode == 1 and 'nothing was done' in done.stderr
	assert not os.listdir(tmp_path)
