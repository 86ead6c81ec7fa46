#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The small internet as a command: files, namespace, servers.

  lab.py zones DIR               write zones, root.hints, root.key, names.txt, expect.json
  lab.py run DIR -- COMMAND...   run COMMAND inside the small internet; its exit code
  lab.py up DIR                  keep it up until Ctrl-C
  lab.py enter DIR -- COMMAND... run COMMAND inside one that is up
  lab.py counts DIR [reset]      queries per server since the last reset (inside)

Everything lives in new network, mount and process namespaces: nothing outside is
touched, and all that was started ends with the lab. SHOAL_LAB=DIR is set inside.
"""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import content
import servers
import zonefiles

HERE = os.path.dirname(os.path.abspath(__file__))
# Addresses of clients that are not in any local network, see outside_client.
OUTSIDE4, OUTSIDE6 = '198.51.100.0/24', '2001:db8:99::1'


def version():
	"""A hash of what the files are made from."""
	digest = hashlib.sha256()
	for name in ('content.py', 'zonefiles.py', 'lab.py', 'signer.py', 'ways.py',
			'hostile_ways.py'):
		with open(os.path.join(HERE, name), 'rb') as source:
			digest.update(source.read())
	return digest.hexdigest()


def write_root_files(net, folder, key):
	with open(os.path.join(folder, 'root.hints'), 'w') as out:
		for name, addresses in net.root_ns:
			out.write('. 3600000 IN NS %s\n' % name)
			for addr in addresses:
				rtype = 'AAAA' if ':' in addr else 'A'
				out.write('%s 3600000 IN %s %s\n' % (name, rtype, addr))
	with open(os.path.join(folder, 'root.key'), 'w') as out:
		out.write('. 3600 IN DNSKEY %s\n' % key.dnskey())
	with open(os.path.join(folder, 'root.ds'), 'w') as out:
		out.write('. 3600 IN DS %s\n' % key.ds())


def write_lists(net, folder):
	for name, rows in (('names.txt', net.load_names),
			('mixed.txt', net.load_names[:2000] + net.mixed_names)):
		with open(os.path.join(folder, name), 'w') as out:
			out.writelines('%s %s\n' % row for row in rows)
	with open(os.path.join(folder, 'expect.json'), 'w') as out:
		json.dump(net.rows, out, indent=0)
	with open(os.path.join(folder, 'dnssec.json'), 'w') as out:
		json.dump(net.dnssec_rows, out, indent=0)
	with open(os.path.join(folder, 'bad.json'), 'w') as out:
		json.dump({'zones': net.bad, 'addresses': net.bad_addresses,
			'silent': [content.SILENT4, content.SILENT6], 'good': content.GOOD,
			'poison': content.POISON}, out)
	with open(os.path.join(folder, 'relay.json'), 'w') as out:
		json.dump(net.relays, out)
	counts = {'zones': len(net.zones), 'signed': sum(1 for z in net.zones.values() if z.signed),
		'expect': len(net.rows), 'names': len(net.load_names), 'bad': len(net.bad)}
	with open(os.path.join(folder, 'counts.json'), 'w') as out:
		json.dump(counts, out)
	return counts


def write_files(folder):
	"""All files of the lab; kept when they are from this version. Returns the Internet."""
	net = content.Internet()
	stamp = os.path.join(folder, 'version')
	try:
		with open(stamp) as known:
			if known.read() == version():
				return net
	except OSError:
		pass
	os.makedirs(folder, exist_ok=True)
	for name in ('zones', 'keys'):
		shutil.rmtree(os.path.join(folder, name), ignore_errors=True)
	key = zonefiles.write_zones(net, folder)
	write_root_files(net, folder, key)
	write_lists(net, folder)
	with open(stamp, 'w') as out:
		out.write(version())
	return net


def set_up_addresses(net):
	"""Addresses on lo. Outside clients come from an any-address route, so that no
	program can take them for a network of this host."""
	lines = ['link set lo up', 'route add local %s dev lo' % OUTSIDE4,
		'addr add %s/128 dev lo nodad' % OUTSIDE6]
	own = [content.SILENT4, content.SILENT6, content.CLOSED4] + net.bad_addresses
	own += [relay['listen'] for relay in net.relays] + net.liar_addresses
	for tier in content.TIER_NET:
		for program in content.PROGRAMS:
			own += list(servers.leaf_or(tier, program))
	for addr in own:
		lines.append('addr add %s/%d dev lo%s' % (
			(addr, 128, ' nodad') if ':' in addr else (addr, 32, '')))
	subprocess.run(['ip', '-batch', '-'], input='\n'.join(lines) + '\n', text=True,
		check=True)


def run_command(command, folder):
	"""Run COMMAND, reaping orphans meanwhile (this is process 1 of the namespace)."""
	env = dict(os.environ, SHOAL_LAB=folder)
	child = subprocess.Popen(command, env=env)
	signal.signal(signal.SIGTERM, lambda *_: child.send_signal(signal.SIGTERM))
	while True:
		try:
			pid, status = os.wait()
		except KeyboardInterrupt:
			continue    # the terminal told COMMAND as well
		if pid == child.pid:
			code = os.waitstatus_to_exitcode(status)
			child.returncode = code
			return 128 - code if code < 0 else code


def inside(folder, command):
	net = write_files(folder)
	for name in ('badserver.sock', 'watch.sock', 'liar.up'):
		if os.path.exists(os.path.join(folder, name)):
			os.unlink(os.path.join(folder, name))
	set_up_addresses(net)
	lab = servers.Servers(net, folder)
	try:
		lab.start()
		if command:
			return run_command(command, folder)
		print('The small internet is up: %d zones, %d names. Enter it with:\n'
			'  %s enter %s -- kdig @10.0.0.1 . NS\nCtrl-C ends it.' % (
			len(net.zones), len(net.load_names), sys.argv[0], folder), flush=True)
		return run_command(['sleep', 'infinity'], folder)
	finally:
		lab.stop()


def run(folder, command):
	"""Start over in new namespaces; the first process there goes on in inside()."""
	with open(os.path.join(folder, 'lab.pid'), 'w') as out:
		out.write('')
	flags = ['--net', '--pid', '--fork', '--kill-child', '--mount-proc']
	if os.geteuid() != 0:
		flags.insert(0, '--map-root-user')
	child = subprocess.Popen(['unshare'] + flags + ['--', sys.executable,
		os.path.abspath(__file__), 'inside', folder] + command,
		preexec_fn=servers.die_with_parent)
	with open(os.path.join(folder, 'lab.pid'), 'w') as out:
		out.write('%d\n' % child.pid)
	def end(*_):    # unshare ignores signals while it waits: tell the one inside
		try:
			os.kill(first_inside(child.pid), signal.SIGTERM)
		except (OSError, IndexError):    # it has ended
			pass
	signal.signal(signal.SIGTERM, end)
	if not command:
		signal.signal(signal.SIGINT, end)
	while True:
		try:
			code = child.wait()
			return 128 - code if code < 0 else code
		except KeyboardInterrupt:
			continue


def first_inside(outer):
	"""The pid, seen from outside, of process 1 of the namespace."""
	with open('/proc/%d/task/%d/children' % (outer, outer)) as children:
		return int(children.read().split()[0])


def enter(folder, command):
	with open(os.path.join(folder, 'lab.pid')) as known:
		pid = str(first_inside(int(known.read())))
	flags = ['--net', '--pid', '--mount'] + ([] if os.geteuid() == 0 else ['--user'])
	os.environ['SHOAL_LAB'] = folder
	os.execvp('nsenter', ['nsenter', '-t', pid] + flags + ['--'] + command)


def counts(folder, reset=False):
	return servers.ask_control(os.path.join(folder, 'watch.sock'),
		'reset' if reset else 'counts')


def main(argv):
	if len(argv) < 3 or argv[1] not in ('zones', 'run', 'up', 'enter', 'counts', 'inside'):
		sys.stderr.write(__doc__)
		return 2
	verb, folder, rest = argv[1], os.path.abspath(argv[2]), argv[3:]
	if rest[:1] == ['--']:
		rest = rest[1:]
	if verb == 'zones':
		print(json.dumps(write_lists(write_files(folder), folder)))
		return 0
	if verb == 'counts':
		print(json.dumps(counts(folder, rest == ['reset']), indent=1))
		return 0
	if verb == 'enter':
		enter(folder, rest)
	if verb == 'inside':
		return inside(folder, rest)
	write_files(folder)
	return run(folder, rest)


if __name__ == '__main__':
	sys.exit(main(sys.argv))
