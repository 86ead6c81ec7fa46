# SPDX-License-Identifier: GPL-3.0-or-later
"""libshard as others use it: the installed copy, a program outside the tree, both compilers, C and C++."""

import os
import re
import shutil
import socket
import subprocess
import time

import pytest

BUILD = os.path.abspath(os.environ.get('SHOAL_BUILD', 'build'))
TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SANITIZED = bool(os.environ.get('SHOAL_SANITIZED'))

pytestmark = pytest.mark.skipif(SANITIZED, reason='a sanitized library needs its sanitizer in the program')

HEADER = os.path.join(TOP, 'include', 'shard.h')
MAN = os.path.join(TOP, 'man')
COMPILERS = [name for name in ('gcc', 'clang', 'g++', 'clang++') if shutil.which(name)]


def run(*words, **more):
	done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False, **more)
	assert done.returncode == 0, (words, done.stdout, done.stderr)
	return done.stdout


@pytest.fixture(scope='module')
def installed(tmp_path_factory):
	root = tmp_path_factory.mktemp('installed')
	run('meson', 'install', '-C', BUILD, '--no-rebuild', '--quiet', '--destdir', str(root))
	return root


@pytest.fixture(scope='module')
def flags(installed):
	folders = [str(path.parent) for path in installed.rglob('libshard.pc')]
	assert len(folders) == 1
	env = dict(os.environ, PKG_CONFIG_PATH=folders[0], PKG_CONFIG_SYSROOT_DIR=str(installed))
	return {
		'version': run('pkg-config', '--modversion', 'libshard', env=env).strip(),
		'shared': run('pkg-config', '--cflags', '--libs', 'libshard', env=env).split(),
		'static': run('pkg-config', '--static', '--libs', 'libshard', env=env).split(),
		'folder': str(next(installed.rglob('libshard.so')).parent),
	}


def calls():
	with open(HEADER, encoding='utf-8') as f:
		return sorted(set(re.findall(r'\b(shard_\w+)\(', re.sub(r'/\*.*?\*/', '', f.read(), flags=re.S))))


def examples(root):
	"""Literal displays of the installed pages that are whole programs."""
	for path in sorted(root.rglob('*.3')):
		text = path.read_text(encoding='utf-8')
		for shown in re.findall(r'^\.Bd -literal.*?\n(.*?)^\.Ed', text, re.S | re.M):
			if '#include' in shown:
				yield path.name, shown.replace('\\e', '\\').replace('\\&', '')


def test_the_library_has_a_soname_and_every_symbol_a_version(installed, flags):
	library = os.path.join(flags['folder'], 'libshard.so')
	assert 'libshard.so.0' in run('readelf', '-d', library)
	defined = [line.split()[-1] for line in run('readelf', '--dyn-syms', '-W', library).splitlines()
		if 'shard_' in line and ' UND ' not in line]
	assert {word.split('@@')[0] for word in defined} == set(calls())
	assert all('@@LIBSHARD_' in word for word in defined), defined


def test_nothing_else_is_exported(flags):
	library = os.path.join(flags['folder'], 'libshard.so')
	names = [line.split()[-1] for line in run('nm', '-D', '--defined-only', library).splitlines()]
	assert all(re.match(r'shard_|LIBSHARD_', name) for name in names), names


def test_the_library_needs_libc_alone(flags):
	"""libbpf is optional at build: where it is used it is the only other one."""
	needed = re.findall(r'NEEDED.*\[(.*?)\]', run('readelf', '-d', os.path.join(flags['folder'], 'libshard.so')))
	assert set(needed) <= {'libc.so.6', 'libbpf.so.1', 'ld-linux-x86-64.so.2', 'ld-linux-aarch64.so.1'}, needed


def test_every_call_has_a_page_of_its_name(installed):
	pages = {path.name for path in installed.rglob('*.3')}
	assert {name + '.3' for name in calls()} <= pages


@pytest.mark.parametrize('compiler', COMPILERS)
def test_the_header_stands_alone_in_strict_c_and_cpp(compiler, flags, tmp_path):
	source = tmp_path / ('use.cc' if '+' in compiler else 'use.c')
	source.write_text('#include <shard.h>\nint main(void) { return shard_version()[0] ? 0 : 1; }\n', encoding='utf-8')
	standard = '-std=c++11' if '+' in compiler else '-std=gnu99'
	program = tmp_path / 'use'
	run(compiler, standard, '-Wall', '-Wextra', '-Werror', '-pedantic', str(source), '-o', str(program), *flags['shared'])
	run(str(program), env=dict(os.environ, LD_LIBRARY_PATH=flags['folder']))


@pytest.mark.parametrize('compiler', [name for name in COMPILERS if '+' not in name])
@pytest.mark.parametrize('how', ['shared', 'static'])
def test_a_program_outside_the_tree_serves(compiler, how, flags, tmp_path):
	program = str(tmp_path / 'echo')
	shutil.copy(os.path.join(TOP, 'examples', 'echo.c'), tmp_path / 'echo.c')
	link = flags['shared']
	if how == 'static':
		link = [word for word in flags['shared'] if word != '-lshard'] + ['-l:libshard.a'] + [
			word for word in flags['static'] if word not in ('-lshard', *flags['shared'])]
	run(compiler, '-Wall', '-Wextra', '-Werror', str(tmp_path / 'echo.c'), '-o', program, *link)
	with socket.socket() as s:
		s.bind(('127.0.0.1', 0))
		port = s.getsockname()[1]
	env = dict(os.environ)
	if how == 'shared':
		env['LD_LIBRARY_PATH'] = flags['folder']
	processes = [subprocess.Popen([program, str(port)], env=env) for _ in range(2)]
	try:
		for _ in range(20):
			with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as u:
				u.settimeout(0.5)
				u.connect(('127.0.0.1', port))
				for _ in range(20):
					try:
						u.send(b'hello')
						assert u.recv(10) == b'hello'
						break
					except (ConnectionRefusedError, socket.timeout):
						time.sleep(0.1)  # not up yet
				else:
					raise AssertionError('no answer')
	finally:
		for process in processes:
			process.terminate()
	assert [process.wait(10) for process in processes] == [0, 0]


def test_the_examples_of_the_pages_compile(installed, flags, tmp_path):
	found = list(examples(installed))
	assert len(found) >= 3
	for at, (name, text) in enumerate(found):
		source = tmp_path / f'{name}-{at}.c'
		source.write_text(text, encoding='utf-8')
		run('gcc', '-Wall', '-Wextra', '-Werror', '-D_GNU_SOURCE', str(source), '-o', str(tmp_path / 'example'), *flags['shared'])


def test_the_version_is_one(flags):
	with open(os.path.join(TOP, 'meson.build'), encoding='utf-8') as f:
		version = re.search(r"version: '([\d.]+)'", f.read()).group(1)
	assert flags['version'] == version
	assert run(os.path.join(BUILD, 'shard'), 'version').strip() == f'shard {version}'
