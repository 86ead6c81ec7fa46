# SPDX-License-Identifier: GPL-3.0-or-later
"""Configurations good and bad, and what the world may refuse at the start."""

import concurrent.futures
import os
import shutil
import socket
import subprocess

import pytest

import helpers

NSID_SNIPPET = """\
local systemd_instance = os.getenv("SYSTEMD_INSTANCE")
modules.load('nsid')
nsid.name(systemd_instance)
"""


@pytest.fixture
def folder(binaries, tmp_path):
	(tmp_path / 'run').mkdir()
	return tmp_path


def write(folder, text, name='shoal.lua'):
	path = folder / name
	path.write_bytes(text if isinstance(text, bytes) else text.encode())
	return str(path)


def shoald(folder, *arguments, prefix=(), timeout=30):
	env = dict(os.environ, SHOAL_RUN=str(folder / 'run'))
	env.pop('SYSTEMD_INSTANCE', None)
	return subprocess.run([*prefix, helpers.program('shoald'), *arguments], env=env, text=True,
		capture_output=True, timeout=timeout, errors='replace', cwd=folder)


def check(folder, text, instance='dns1', timeout=30):
	done = shoald(folder, '--check', '-c', write(folder, text), '-i', instance, timeout=timeout)
	done.output = done.stdout + done.stderr
	assert done.returncode in (0, 1), 'ended with %d: %s' % (done.returncode, done.output)
	return done


@pytest.mark.parametrize('instance', ['dns1', 'dns2', 'tls', 'doh', 'tls-7'])
@pytest.mark.parametrize('text', [NSID_SNIPPET, helpers.KIND_SNIPPET, NSID_SNIPPET + helpers.KIND_SNIPPET])
def test_the_documented_snippets_run_as_they_stand(folder, text, instance):
	assert check(folder, text, instance).returncode == 0
	assert sorted(os.listdir(folder / 'run')) == []    # a check changes nothing


def test_the_snippet_stops_an_instance_of_another_name(folder):
	done = check(folder, helpers.KIND_SNIPPET, 'web')
	assert done.returncode == 1
	assert 'shoal.lua:9:' in done.output and 'instance names' in done.output


def test_kinds_not_there_yet_warn_and_do_not_start(folder):
	done = check(folder, "net.listen('127.0.0.1', 8453, { kind = 'webmgmt' })\n")
	assert 'webmgmt' in done.output and 'accepted' in done.output and 'fine' not in done.output
	done = shoald(folder, '-c', str(folder / 'shoal.lua'), '-i', '1')
	assert done.returncode not in (0, None) and 'webmgmt' in done.stderr + done.stdout


ERRORS = {
	# text: what must stand in the message
	'cache.sise = 1\n': [':1:', 'sise'],
	'\n\nnet.lisen("127.0.0.1")\n': [':3:', 'lisen'],
	'x = = 1\n': [':1:'],
	'net.listen("127.0.0.1", 99999)\n': [':1:', '99999'],
	'net.listen("127.0.0.1", "x")\n': [':1:'],
	'net.listen("not an address", 53)\n': [':1:', 'not an address'],
	'net.listen("127.0.0.1", 53, { kind = "smtp" })\n': [':1:', 'smtp'],
	'-- first\ncache.size = -1\n': [':2:'],
	'cache.size = "big"\n': [':1:'],
	'error("told so")\n': [':1:', 'told so'],
	'panic("no %s", "way")\n': [':1:', 'no way'],
	'local x = nil\nx.y = 1\n': [':2:'],
	'policy.add(policy.suffix(policy.FORWARD("1.2.3"), {todname("a.b")}))\n': [':1:', '1.2.3'],
	'modules.load("no_such_module")\n': [':1:', 'no_such_module'],
	'modules.load("hints")\nhints.root_file("/no/such/file")\n': [':2:', '/no/such/file'],
	'log_level("loud")\n': [':1:', 'loud'],
	'option("NO_SUCH_FLAG", true)\n': [':1:', 'NO_SUCH_FLAG'],
}


@pytest.mark.parametrize('text', ERRORS)
def test_errors_name_file_and_line(folder, text):
	done = check(folder, text)
	assert done.returncode == 1
	for part in ERRORS[text]:
		assert part in done.output
	assert 'shoal.lua' in done.output
	lines = [line for line in done.output.splitlines() if 'shoal.lua:' in line]
	assert lines, done.output
	started = shoald(folder, '-c', str(folder / 'shoal.lua'), '-i', '1')
	assert started.returncode == 1 and ERRORS[text][0] in started.stderr + started.stdout


GOOD = """
-- all sorts of settings, as users have them
modules = { 'hints > iterate', 'view', 'stats', predict = { window = 15, period = 24 } }
net.ipv6 = false
net.bufsize(1232)
cache.size = 100 * MB
cache.max_ttl(1 * day / 1000)
log_level('info')
log_groups({'iterat'})
user(nil or 'nobody')
if policy then policy.add(policy.all(policy.FLAGS({'NO_MINIMIZE'}, {}))) end
policy.add(policy.suffix(policy.FORWARD({'192.0.2.1', '2001:db8::1@5353'}), {todname('corp.')}))
policy.add(policy.suffix(policy.STUB('192.0.2.2'), policy.todnames({'a.b.', 'c.d.'})))
view:addr('192.0.2.0/24', policy.all(policy.REFUSE))
trust_anchors.set_insecure({ 'corp.' })
event.after(1 * sec, function () print('late') end)
modules.unload('priming')
modules.unload('ta_signal_query')
modules.unload('detect_time_skew')
modules.unload('refuse_nord')
"""


def test_what_users_write_is_accepted(folder):
	done = check(folder, GOOD, '1')
	assert done.returncode == 0, done.output


@pytest.mark.parametrize('path', ['/no/such/file', '/', '/dev/null/x'])
def test_a_missing_configuration_is_named(folder, path):
	for check_flag in ((), ('--check',)):
		done = shoald(folder, *check_flag, '-c', path, '-i', '1')
		assert done.returncode == 1 and path in done.stderr + done.stdout


def test_an_unreadable_configuration_is_named(folder):
	if not shutil.which('setpriv'):
		pytest.skip('no setpriv')
	path = write(folder, 'cache.size = 10*MB\n')
	os.chmod(path, 0)
	done = shoald(folder, '--check', '-c', path, '-i', '1',
		prefix=('setpriv', '--bounding-set=-all', '--inh-caps=-all'))
	assert done.returncode == 1 and path in done.stderr + done.stdout


@pytest.mark.parametrize('data', [b'\x1bLJ\x02\x0a\x02', b'\x00' * 1000, os.urandom(5000),
	b'\xff\xfe' * 100, b'cache.size = 10*MB\0'], ids=['bytecode', 'zeros', 'random', 'utf16', 'nul'])
def test_a_binary_configuration_is_refused(folder, data):
	done = check(folder, data)
	assert done.returncode == 1 and 'shoal.lua' in done.output


ENDLESS = {
	'loop': 'while true do end\n',
	'pcall': 'while true do pcall(error) end\n',
	'nested': 'repeat pcall(function () while true do end end) until false\n',
	'memory': 'local t = {} while true do t[#t + 1] = ("x"):rep(1e6) .. #t end\n',
	'calls': 'local function f() return f() end f()\n',
}


@pytest.mark.slow
def test_an_endless_configuration_ends(folder):
	"""All at once, for each may run for as long as a configuration may."""
	def run(name):
		return shoald(folder, '--check', '-c', write(folder, ENDLESS[name], name + '.lua'),
			'-i', '1', timeout=100)
	with concurrent.futures.ThreadPoolExecutor(len(ENDLESS)) as pool:
		for name, done in zip(ENDLESS, pool.map(run, ENDLESS)):
			assert done.returncode == 1, '%s: %s' % (name, done.stderr)
			assert name + '.lua' in done.stderr + done.stdout


def test_an_endless_file_is_refused(folder):
	done = shoald(folder, '--check', '-c', '/dev/zero', '-i', '1')
	assert done.returncode == 1 and '/dev/zero' in done.stderr + done.stdout


def test_a_port_in_use_is_told_with_its_owner(folder, lab):
	port = next(helpers.PORTS)
	with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
		udp.bind(('127.0.0.1', port))
		conf = write(folder, "net.listen('127.0.0.1', %d)\n" % port)
		done = shoald(folder, '-c', conf, '-i', '1')
	message = done.stderr + done.stdout
	assert done.returncode == 1 and str(port) in message
	assert str(os.getpid()) in message, 'the owner can be seen: ' + message


def test_an_address_not_there_is_told(folder, lab):
	conf = write(folder, "net.listen('10.250.0.1', 5353)\n")
	done = shoald(folder, '-c', conf, '-i', '1')
	assert done.returncode == 1 and '10.250.0.1' in done.stderr + done.stdout


def test_no_permission_for_port_53_is_told(folder, lab):
	if not shutil.which('setpriv'):
		pytest.skip('no setpriv')
	conf = write(folder, "net.listen('127.0.0.1', 53)\n")
	done = shoald(folder, '-c', conf, '-i', '1',
		prefix=('setpriv', '--bounding-set=-all', '--inh-caps=-all'))
	message = (done.stderr + done.stdout).lower()
	assert done.returncode == 1 and '127.0.0.1' in message and '53' in message
	assert 'permi' in message or 'privileg' in message or 'cap_net_bind' in message


def test_without_listen_it_is_port_53_on_loopback(lab, shoals):
	conf = ("option('ALLOW_LOCAL', true)\nmodules.load('hints')\nhints.root_file('{hints}')\n"
		"trust_anchors.remove('.')\ntrust_anchors.add('{anchor}')\nmodules.load('nsid')\nnsid.name(os.getenv('SYSTEMD_INSTANCE'))\n")
	shoal = shoals(conf=conf, port=53)
	assert helpers.rcode_of(shoal.ask('ftp.z000.com.')) == 'NOERROR'
	assert helpers.rcode_of(shoal.ask('ftp.z000.com.', host='::1')) == 'NOERROR'


@pytest.mark.parametrize('name', ['shoald', 'shoal'])
def test_help_and_version(binaries, name):
	for flag in ('--help', '--version'):
		done = subprocess.run([helpers.program(name), flag], capture_output=True, text=True,
			timeout=10)
		assert done.returncode == 0 and done.stdout and not done.stderr
	done = subprocess.run([helpers.program(name), '--no-such-flag'], capture_output=True,
		text=True, timeout=10)
	assert done.returncode not in (0, None) and done.returncode > 0 and done.stderr
