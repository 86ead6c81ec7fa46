# SPDX-License-Identifier: GPL-3.0-or-later
"""Other people's validating resolvers on the lab, with its anchor and otherwise as they come."""

import os
import subprocess
import time

import dns.exception

import helpers
import servers

NAMED = """
options {{
  directory "{folder}";
  listen-on port {port} {{ 127.0.0.1; }};
  listen-on-v6 {{ none; }};
  recursion yes;
  allow-query {{ any; }};
  dnssec-validation yes;
  pid-file "{folder}/named.pid";
  session-keyfile "{folder}/session.key";
  lock-file none;
  empty-zones-enable no;
}};
controls {{ }};
trust-anchors {{ "." static-ds {ds}; }};
zone "." {{ type hint; file "{hints}"; }};
logging {{ channel file {{ stderr; severity warning; }}; category default {{ file; }}; }};
"""

KRESD = """
net.listen('127.0.0.1', {port}, {{ kind = 'dns' }})
modules.load('hints > iterate')
hints.root_file('{hints}')
trust_anchors.remove('.')
trust_anchors.add('{anchor}')
modules.unload('ta_update')
modules.unload('ta_signal_query')
modules.unload('detect_time_skew')
policy.add(policy.all(policy.PASS))
cache.open(50*MB, 'lmdb://{folder}/cache')
log_level('err')
"""


class Peer:
	"""BIND or Knot Resolver; ask() and stop() as helpers.Unbound has them."""

	def __init__(self, kind, folder, lab):
		self.port, self.folder = next(helpers.PORTS), str(folder)
		anchor = helpers.anchor_of(lab.hints)
		tag, algorithm, digest, text = anchor.split()[-4:]
		conf = os.path.join(self.folder, kind + '.conf')
		with open(conf, 'w') as out:
			out.write({'named': NAMED, 'kresd': KRESD}[kind].format(port=self.port,
				folder=self.folder, hints=lab.hints, anchor=anchor,
				ds='%s %s %s "%s"' % (tag, algorithm, digest, text)))
		command = {'named': ['-f', '-n', '1', '-U', '1', '-c', conf],
			'kresd': ['-n', '-c', conf, self.folder]}[kind]
		self.log_file = open(os.path.join(self.folder, kind + '.log'), 'w')
		self.process = subprocess.Popen([servers.program_path(kind)] + command,
			stdin=subprocess.DEVNULL, stdout=self.log_file, stderr=self.log_file,
			cwd=self.folder, preexec_fn=servers.die_with_parent)
		deadline = time.monotonic() + 15
		while True:
			try:
				self.ask('localhost', timeout=0.3)
				return
			except (dns.exception.Timeout, OSError):
				assert time.monotonic() < deadline and self.process.poll() is None, \
					'%s does not answer, see %s' % (kind, self.log_file.name)

	def ask(self, name, rtype='A', **flags):
		return helpers.ask(name, rtype, port=self.port, **flags)

	def stop(self):
		self.process.terminate()
		self.process.wait()
		self.log_file.close()
