# SPDX-License-Identifier: GPL-3.0-or-later
"""What the small internet holds: zones, who serves them, and what must be answered.

Everything is made by rule from constants, so two runs give the same internet.
Nothing here touches the disk or the network; zonefiles.py and lab.py do.
"""

import random

SEED = 20240901
TTL = 3600
NEG_TTL = 60

# tier -> program -> IPv4 prefix; the last octet (and the last group of the IPv6
# address) is the number of the address.
PROGRAMS = ('nsd', 'knot', 'named')
TIER_NET = {'root': '10.0', 'tld': '10.1', 'leaf': '10.2'}
TIER_COUNT = {'root': 1, 'tld': 2, 'leaf': 12}

# Addresses of the misbehaving server, one per zone so that a mark against one
# server can't change another test, and of the relay (delay and loss).
BAD_NET = '10.3.0'
SILENT4, SILENT6 = '10.3.9.9', 'fd00:3:9::9'    # bound, never answers
CLOSED4 = '10.3.9.10'                           # there, nothing listens on port 53
NOROUTE4, NOROUTE6 = '10.99.0.1', 'fd00:99::1'  # no route at all
RELAY_NET = '10.4.0'


class Zone:
	"""One zone: its records, the name servers that its parent names, how it is signed."""

	def __init__(self, name, servers, signed=None):
		self.name = name
		self.servers = servers    # [(tier, program)] that load the zone file
		self.signed = signed      # None, 'nsec', 'nsec3', 'optout'
		self.ns = []              # names that the zone itself lists
		self.parent_ns = None     # names that the parent lists, when they differ
		self.records = []         # (owner, ttl, type, rdata)
		self.glue = {}            # ns name -> addresses in the parent, when they differ
		self.delegated_only = False
		self.recipe = None        # ways.Recipe: signed in another way

	def add(self, owner, rtype, *rdatas, ttl=TTL):
		for rdata in rdatas:
			self.records.append((absolute(owner, self.name), ttl, rtype, rdata))
		return self

	def soa(self):
		mname = self.ns[0] if self.ns else 'ns.invalid.'
		return '%s hostmaster.lab. 1 3600 900 604800 %d' % (mname, NEG_TTL)


def absolute(owner, zone):
	if owner == '@':
		return zone
	if owner.endswith('.') and not owner.endswith('\\.'):
		return owner
	return owner + '.' + ('' if zone == '.' else zone)


def labels(name):
	"""Labels of NAME; an escaped dot does not split."""
	out, current, escaped = [], '', False
	for char in name:
		if escaped or char == '\\':
			escaped = not escaped
			current += char
		elif char == '.':
			if current:
				out.append(current)
			current = ''
		else:
			current += char
	return out + ([current] if current else [])


def is_under(name, zone):
	have, want = labels(name.lower()), labels(zone.lower())
	return len(have) >= len(want) and have[len(have) - len(want):] == want


def address(tier, program, number):
	"""IPv4 and IPv6 of the NUMBERth address (from 1) of that server."""
	index = PROGRAMS.index(program) + 1
	if tier == 'root':
		return '10.0.0.%d' % index, 'fd00::%x' % index
	return ('%s.%d.%d' % (TIER_NET[tier], index, number),
		'fd00:%s:%d::%x' % (TIER_NET[tier].split('.')[1], index, number))


class Internet:
	"""All zones, hosts, misbehaving names and expectations."""

	def __init__(self):
		self.zones = {}
		self.hosts = {}      # name server name -> list of addresses
		self.bad = {}        # zone -> (behaviour, arguments) of badserver.py
		self.bad_addresses = []
		self.relays = []     # relay.py: listen address, target, delay, loss
		self.rows = []       # expect.json
		self.dnssec_rows = [] # dnssec.json, see ways.py
		self.liar_addresses = []
		self.load_names = [] # names.txt
		self.mixed_names = []
		build_root(self)
		build_tlds(self)
		build_hosters(self)
		build_small_zones(self)
		build_load_zones(self)
		build_features(self)
		build_faults(self)
		build_bad_zones(self)
		build_far(self)
		build_ways(self)
		self.finish()

	def zone(self, name, servers, ns, signed=None):
		"""Add a zone; NS is a list of names, or of (name, addresses) to make them."""
		zone = Zone(name, servers, signed)
		for item in ns:
			if isinstance(item, tuple):
				self.hosts[item[0]] = list(item[1])
				item = item[0]
			zone.ns.append(item)
		self.zones[name] = zone
		return zone

	def leaf(self, name, program='nsd', signed=None, numbers=(1, 2), v4=True, v6=True):
		"""A leaf zone with its name servers inside itself, glue in the parent."""
		ns = []
		for i, number in enumerate(numbers):
			a4, a6 = address('leaf', program, number)
			use6 = v6 and (i == 0 or not v4)
			ns.append(('ns%d.%s' % (i + 1, name),
				([a4] if v4 else []) + ([a6] if use6 else [])))
		return self.zone(name, [('leaf', program)], ns, signed)

	def enclosing(self, name, strict=False):
		"""The deepest zone that holds NAME; STRICT: above NAME, as its parent."""
		parts = labels(name)
		for i in range(1 if strict else 0, len(parts) + 1):
			zone = '.'.join(parts[i:]) + '.'
			if zone.lower() in self.zones:
				return self.zones[zone.lower()]
		return None

	def expect(self, group, name, rtype, rcode='NOERROR', answer=(), soa=None, **more):
		"""One row of expect.json; ANSWER as (owner, type, rdata) triples."""
		row = {'group': group, 'name': name, 'type': rtype, 'rcode': rcode,
			'answer': [list(item) for item in answer]}
		if soa:
			row['soa'] = soa
		row.update(more)
		self.rows.append(row)

	def expect_host(self, group, name, addr, **more):
		self.expect(group, name, 'A', answer=[(name, 'A', addr)], **more)

	def is_secure(self, name, rtype='A'):
		"""True when an unbroken chain of DS leads from the root to NAME's zone."""
		zone = self.enclosing(name, strict=(rtype == 'DS' and name != '.'))
		while zone is not None:
			if not zone.signed:
				return False
			if zone.name == '.':
				return True
			zone = self.enclosing(zone.name, strict=True)
		return False

	def is_opt_out(self, row):
		"""True when an opt-out span is the proof, which proves nothing secure."""
		zone = self.zones.get(row.get('soa', ''))
		return zone is not None and zone.signed == 'optout' and row['rcode'] == 'NXDOMAIN'

	def finish(self):
		"""Addresses of name servers into their zones, delegations into the parents."""
		for host, addresses in sorted(self.hosts.items()):
			home = self.enclosing(host)
			if home is None or home.delegated_only:
				continue
			for addr in addresses:
				home.add(host, 'AAAA' if ':' in addr else 'A', addr)
		for zone in list(self.zones.values()):
			if zone.name != '.':
				self.delegate(zone)
		for row in self.rows:
			if 'secure' not in row:
				names = [item[0] for item in row['answer']] or [row['name']]
				names += [row['soa']] if 'soa' in row else []
				row['secure'] = row['rcode'] in ('NOERROR', 'NXDOMAIN') and \
					all(self.is_secure(n, row['type']) for n in names) and \
					not self.is_opt_out(row)

	def delegate(self, zone):
		parent = self.enclosing(zone.name, strict=True)
		for ns in zone.parent_ns or zone.ns:
			parent.add(zone.name, 'NS', ns)
			if not is_under(ns, parent.name) or ns in zone.glue.get('none', ()):
				continue
			home = self.enclosing(ns)
			if home is parent:
				continue
			for addr in zone.glue.get(ns, self.hosts.get(ns, [])):
				parent.add(ns, 'AAAA' if ':' in addr else 'A', addr)


TLDS = {
	# name: (programs, signed)
	'com.': (('nsd',), 'nsec3'),
	'net.': (('knot',), 'nsec'),
	'org.': (('named',), 'optout'),
	'info.': (('nsd', 'knot'), None),
	'dev.': (('knot', 'named'), 'nsec'),
	'lab.': (('nsd', 'knot', 'named'), 'nsec'),
	'bad.': (('nsd',), None),
	'six.': (('knot',), 'nsec'),
	'far.': (('named',), 'nsec'),
	'arpa.': (('nsd', 'named'), 'nsec'),
	'app.': (('nsd',), 'nsec'),
	'shop.': (('knot',), 'nsec3'),
	'wiki.': (('named',), 'nsec'),
}


def build_root(net):
	ns = []
	for i, program in enumerate(PROGRAMS):
		ns.append(('%s.root-servers.net.' % 'abc'[i], address('root', program, 1)))
	servers = [('root', program) for program in PROGRAMS]
	root = net.zone('.', servers, ns, 'nsec')
	net.root_ns = [(name, net.hosts[name]) for name in root.ns]
	net.zone('root-servers.net.', servers, list(root.ns))
	net.expect('root', '.', 'NS', answer=[('.', 'NS', name) for name in root.ns])
	net.expect('root', 'a.root-servers.net.', 'A',
		answer=[('a.root-servers.net.', 'A', '10.0.0.1')])
	net.expect('root', 'nothing.nosuchtld.', 'A', 'NXDOMAIN', soa='.')
	net.expect('root', 'nosuchtld.', 'MX', 'NXDOMAIN', soa='.')


def build_tlds(net):
	for tld, (programs, signed) in TLDS.items():
		ns = []
		for program in programs:
			for number in (1, 2):
				a4, a6 = address('tld', program, number)
				host = '%s%d.nic.%s' % (program, number, tld)
				if tld == 'six.':
					ns.append((host, [a6]))
				elif tld != 'far.':
					ns.append((host, [a4, a6] if number == 1 else [a4]))
		if tld == 'far.':
			ns = [('relay1.nic.far.', [far_relay(net, ('tld', 'named', 1))]),
				('relay2.nic.far.', [far_relay(net, ('tld', 'named', 2))])]
		zone = net.zone(tld, [('tld', p) for p in programs], ns, signed)
		zone.add('about.nic', 'TXT', '"the %s of the small internet"' % tld)
		net.expect('tld', 'about.nic.' + tld, 'TXT',
			answer=[('about.nic.' + tld, 'TXT',
				'"the %s of the small internet"' % tld)])
		net.expect('tld', tld, 'NS', answer=[(tld, 'NS', name) for name in zone.ns])
		net.expect('tld', 'no-such-name-here.' + tld, 'A', 'NXDOMAIN', soa=tld)


def far_relay(net, target):
	"""A new relay address in front of TARGET: 20 ms each way, every 10th datagram lost."""
	listen = '%s.%d' % (RELAY_NET, len(net.relays) + 1)
	net.relays.append({'listen': listen, 'target': address(*target)[0],
		'delay_ms': 20, 'loss': 0.1})
	return listen


HOSTERS = {'nsd': 'hoster.net.', 'knot': 'dnsco.org.', 'named': 'nsfarm.com.'}


def build_hosters(net):
	"""Three providers whose name servers serve zones of other TLDs, without glue."""
	for program, name in HOSTERS.items():
		zone = net.leaf(name, program, 'nsec3')
		for number in range(1, TIER_COUNT['leaf'] + 1):
			a4, a6 = address('leaf', program, number)
			net.hosts['n%d.%s' % (number, name)] = [a4, a6] if number % 2 else [a4]
		zone.add('www', 'A', '10.80.0.1')
		net.expect_host('plain', 'www.' + name, '10.80.0.1')


SMALL_ZONES = 240
SMALL_TLDS = ('com.', 'net.', 'org.', 'info.', 'dev.')


def small_ns(name, program, style, number):
	"""0: inside the zone with glue; 1: at a provider, glueless; 2: one of each."""
	a4, a6 = address('leaf', program, number)
	other = number % TIER_COUNT['leaf'] + 1
	provider = HOSTERS[program]
	if style == 0:
		return [('ns1.' + name, [a4, a6]),
			('ns2.' + name, [address('leaf', program, other)[0]])]
	if style == 1:
		return ['n%d.%s' % (number, provider), 'n%d.%s' % (other, provider)]
	return [('ns1.' + name, [a4]), 'n%d.%s' % (other, provider)]


def build_small_zones(net):
	for i in range(SMALL_ZONES):
		name = 'z%03d.%s' % (i, SMALL_TLDS[i % len(SMALL_TLDS)])
		program = PROGRAMS[i // 2 % 3]
		ns = small_ns(name, program, i // 5 % 3, i % TIER_COUNT['leaf'] + 1)
		signed = (None, 'nsec', None, 'nsec3')[i // 3 % 4]
		zone = net.zone(name, [('leaf', program)], ns, signed)
		fill_small_zone(net, zone, i)


def fill_small_zone(net, zone, i):
	host = '10.81.%d.%%d' % i
	zone.add('@', 'A', host % 1).add('@', 'MX', '10 mail.' + zone.name)
	zone.add('@', 'TXT', '"zone %d"' % i)
	zone.add('mail', 'A', host % 2).add('mail', 'AAAA', 'fd00:81::%x:2' % i)
	zone.add('www', 'CNAME', zone.name)
	zone.add('ftp', 'A', host % 3, host % 4)
	zone.add('_sip._tcp', 'SRV', '0 5 5060 ftp.' + zone.name)
	for name in (zone.name, 'mail.' + zone.name, 'ftp.' + zone.name):
		net.load_names.append((name, 'A'))
	net.mixed_names += [('www.' + zone.name, 'A'), (zone.name, 'MX'),
		('mail.' + zone.name, 'AAAA'), ('nothing%d.%s' % (i, zone.name), 'A'),
		('ftp.' + zone.name, 'AAAA')]
	if i % 8 == 0:
		expect_small_zone(net, zone, host)


def expect_small_zone(net, zone, host):
	name = zone.name
	net.expect('small', 'www.' + name, 'A', answer=[
		('www.' + name, 'CNAME', name), (name, 'A', host % 1)])
	net.expect('small', 'ftp.' + name, 'A', answer=[
		('ftp.' + name, 'A', host % 3), ('ftp.' + name, 'A', host % 4)])
	net.expect('small', name, 'MX', answer=[(name, 'MX', '10 mail.' + name)])
	net.expect('small', 'ftp.' + name, 'AAAA', soa=name)
	net.expect('small', '_tcp.' + name, 'A', soa=name)
	net.expect('small', 'nothing.' + name, 'A', 'NXDOMAIN', soa=name)


BIG_ZONES = {'big1.com.': ('nsd', None), 'big2.net.': ('knot', 'nsec'),
	'big3.org.': ('named', None), 'big4.info.': ('nsd', None),
	'big5.dev.': ('knot', None)}
BIG_HOSTS = 2000


def build_load_zones(net):
	"""10,000 plain names, without wildcards, for load."""
	for z, (name, (program, signed)) in enumerate(BIG_ZONES.items()):
		zone = net.leaf(name, program, signed, numbers=(3 + z, 4 + z, 5 + z))
		for i in range(BIG_HOSTS):
			host = 'h%04d.%s' % (i, name)
			addr = '10.%d.%d.%d' % (90 + z, i // 250, i % 250 + 1)
			zone.add(host, 'A', addr)
			net.load_names.append((host, 'A'))
			if i % 500 == 7:
				net.expect_host('load', host, addr)
		net.expect('load', 'h9999.' + name, 'A', 'NXDOMAIN', soa=name)


def build_features(net):
	for build in (build_chains, build_dname, build_wildcards, build_ents, build_big,
			build_types, build_odd_names, build_cuts, build_six, build_reverse,
			build_glueless):
		build(net)


def build_chains(net):
	"""A CNAME chain over eight zones in several TLDs, and chains that end badly."""
	tlds = ('com.', 'net.', 'org.', 'dev.', 'lab.', 'info.', 'net.', 'com.')
	names = ['c.chain%d.%s' % (i, tld) for i, tld in enumerate(tlds)]
	answer = []
	for i, name in enumerate(names):
		zone = net.leaf(name[2:], PROGRAMS[i % 3], (None, 'nsec', 'nsec3')[i % 3])
		if i + 1 < len(names):
			zone.add('c', 'CNAME', names[i + 1])
			answer.append((name, 'CNAME', names[i + 1]))
		else:
			zone.add('c', 'A', '10.82.0.8')
			answer.append((name, 'A', '10.82.0.8'))
	net.expect('cname', names[0], 'A', answer=answer)
	net.expect('cname', names[5], 'A', answer=answer[5:])
	net.expect('cname', names[0], 'CNAME', answer=answer[:1])
	net.expect('cname', names[0], 'AAAA', answer=answer[:-1], soa='chain7.com.')
	build_chain_ends(net)
	build_signed_chain(net)


def build_chain_ends(net):
	zone = net.leaf('ends.org.', 'knot', 'nsec')
	zone.add('tonx', 'CNAME', 'nothing.z000.com.')
	net.expect('cname', 'tonx.ends.org.', 'A', 'NXDOMAIN',
		answer=[('tonx.ends.org.', 'CNAME', 'nothing.z000.com.')], soa='z000.com.')
	zone.add('tonodata', 'CNAME', 'ftp.z000.com.')
	net.expect('cname', 'tonodata.ends.org.', 'AAAA',
		answer=[('tonodata.ends.org.', 'CNAME', 'ftp.z000.com.')], soa='z000.com.')
	zone.add('toservfail', 'CNAME', 'www.servfail.bad.')
	net.expect('cname', 'toservfail.ends.org.', 'A', 'SERVFAIL', loose=True)
	zone.add('self', 'CNAME', 'self.ends.org.')
	net.expect('loop', 'self.ends.org.', 'A', 'SERVFAIL', loose=True)
	zone.add('loop', 'CNAME', 'loop.ends2.net.')
	net.leaf('ends2.net.', 'nsd').add('loop', 'CNAME', 'loop.ends.org.')
	net.expect('loop', 'loop.ends.org.', 'A', 'SERVFAIL', loose=True)
	net.expect('loop', 'loop.ends2.net.', 'AAAA', 'SERVFAIL', loose=True)
	zone.add('insame', 'CNAME', 'insame2.ends.org.').add('insame2', 'A', '10.82.1.1')
	net.expect('cname', 'insame.ends.org.', 'A', answer=[
		('insame.ends.org.', 'CNAME', 'insame2.ends.org.'),
		('insame2.ends.org.', 'A', '10.82.1.1')])


def build_signed_chain(net):
	"""Eight signed zones under eight signed TLDs: what a budget must honestly allow."""
	tlds = ('com.', 'net.', 'org.', 'dev.', 'lab.', 'app.', 'shop.', 'wiki.')
	names = ['s.sigchain%d.%s' % (i, tld) for i, tld in enumerate(tlds)]
	answer = []
	for i, name in enumerate(names):
		zone = net.leaf(name[2:], PROGRAMS[i % 3], ('nsec', 'nsec3')[i % 2])
		last = i + 1 == len(names)
		item = ('A', '10.82.2.8') if last else ('CNAME', names[i + 1])
		zone.add('s', *item)
		answer.append((name,) + item)
	net.expect('cname', names[0], 'A', answer=answer)


def build_dname(net):
	old = net.leaf('dname.org.', 'named', 'nsec')
	new = net.leaf('target.net.', 'knot', 'nsec3')
	old.add('old', 'DNAME', 'new.target.net.')
	old.add('old', 'A', '10.83.0.1')
	new.add('www.new', 'A', '10.83.0.2').add('a.b.new', 'A', '10.83.0.3')
	dname = ('old.dname.org.', 'DNAME', 'new.target.net.')
	for label, addr in (('www', '10.83.0.2'), ('a.b', '10.83.0.3')):
		host = label + '.old.dname.org.'
		to = label + '.new.target.net.'
		net.expect('dname', host, 'A', answer=[dname, (host, 'CNAME', to), (to, 'A', addr)])
	net.expect('dname', 'old.dname.org.', 'A', answer=[('old.dname.org.', 'A', '10.83.0.1')])
	net.expect('dname', 'old.dname.org.', 'DNAME', answer=[dname])
	net.expect('dname', 'no.old.dname.org.', 'A', 'NXDOMAIN', soa='target.net.',
		answer=[dname, ('no.old.dname.org.', 'CNAME', 'no.new.target.net.')])
	whole = net.zone('moved.com.', [('leaf', 'nsd')], ['n1.hoster.net.'])
	whole.add('@', 'DNAME', 'wild.net.')
	net.expect('dname', 'any.moved.com.', 'A', answer=[('moved.com.', 'DNAME', 'wild.net.'),
		('any.moved.com.', 'CNAME', 'any.wild.net.'), ('any.wild.net.', 'A', '10.84.0.1')])
	label = 'x' * 60
	long_to = '.'.join(['y' * 60] * 3 + ['target.net.'])
	old.add('long', 'DNAME', long_to)
	net.expect('dname', '%s.%s.long.dname.org.' % (label, label), 'A', 'YXDOMAIN',
		loose=True, unbound=False)


def build_wildcards(net):
	zone = net.leaf('wild.net.', 'nsd', 'nsec')
	zone.add('*', 'A', '10.84.0.1').add('*', 'TXT', '"wild"')
	zone.add('host', 'A', '10.84.0.2').add('*.deep', 'MX', '10 host.wild.net.')
	for name in ('any.wild.net.', 'x.y.z.wild.net.'):
		net.expect_host('wildcard', name, '10.84.0.1')
	net.expect('wildcard', 'any.wild.net.', 'AAAA', soa='wild.net.')
	net.expect_host('wildcard', 'host.wild.net.', '10.84.0.2')
	net.expect('wildcard', 'sub.host.wild.net.', 'A', 'NXDOMAIN', soa='wild.net.')
	net.expect('wildcard', 'a.b.deep.wild.net.', 'MX',
		answer=[('a.b.deep.wild.net.', 'MX', '10 host.wild.net.')])
	net.expect('wildcard', 'deep.wild.net.', 'MX', soa='wild.net.')
	net.expect('wildcard', '*.wild.net.', 'A', answer=[('*.wild.net.', 'A', '10.84.0.1')])
	zone = net.leaf('wcname.org.', 'knot', 'nsec3')
	zone.add('*', 'CNAME', 'mail.z001.net.')
	net.expect('wildcard', 'foo.wcname.org.', 'A', secure=False,
		answer=[('foo.wcname.org.', 'CNAME', 'mail.z001.net.'),
			('mail.z001.net.', 'A', '10.81.1.2')])


def build_ents(net):
	for name, program, signed in (('ent.com.', 'nsd', 'nsec3'), ('ent.net.', 'knot', 'nsec'),
			('ent.dev.', 'named', None)):
		zone = net.leaf(name, program, signed)
		zone.add('a.b.c', 'A', '10.85.0.1')
		net.expect_host('ent', 'a.b.c.' + name, '10.85.0.1')
		net.expect('ent', 'b.c.' + name, 'A', soa=name)
		net.expect('ent', 'c.' + name, 'TXT', soa=name)
		net.expect('ent', 'x.c.' + name, 'A', 'NXDOMAIN', soa=name)
	deep = '.'.join('abcdefghijklmnopqrstuvwxyz') + '.ent.com.'
	net.zones['ent.com.'].add(deep, 'A', '10.85.0.2')
	net.expect_host('ent', deep, '10.85.0.2')


def build_big(net):
	"""Answers that no datagram of 1232 bytes holds."""
	rng = random.Random(SEED)
	for name, program, signed in (('big.lab.', 'nsd', 'nsec'), ('large.com.', 'knot', None),
			('huge.org.', 'named', None)):
		zone = net.leaf(name, program, signed)
		count = 100 if program == 'named' else 150    # named refuses larger RRsets
		addrs = ['10.86.%d.%d' % (i // 100, i % 100 + 1) for i in range(count)]
		zone.add('many', 'A', *addrs)
		net.expect('tcp', 'many.' + name, 'A', tcp_upstream=True,
			answer=[('many.' + name, 'A', a) for a in addrs])
		text = ' '.join('"%s"' % ''.join(rng.choices('abcdefghij', k=200))
			for _ in range(20))
		zone.add('text', 'TXT', text)
		net.expect('tcp', 'text.' + name, 'TXT', tcp_upstream=True,
			answer=[('text.' + name, 'TXT', text)])
	text = ' '.join('"%s"' % ('k' * 250) for _ in range(200))
	net.zones['big.lab.'].add('max', 'TXT', text)
	net.expect('tcp', 'max.big.lab.', 'TXT', tcp_upstream=True,
		answer=[('max.big.lab.', 'TXT', text)])


TYPES = (
	('srv', 'SRV', '1 2 3 host.types.lab.'),
	('caa', 'CAA', '0 issue "ca.lab"'),
	('https', 'HTTPS', '1 . alpn="h2,h3" ipv4hint="10.87.0.1"'),
	('svcb', 'SVCB', '1 svc.types.lab. alpn="dot"'),
	('tlsa', 'TLSA', '3 1 1 ' + 'ab' * 32),
	('sshfp', 'SSHFP', '4 2 ' + 'cd' * 32),
	('naptr', 'NAPTR', '100 10 "u" "E2U+sip" "!^.*$!sip:info@lab!" .'),
	('loc', 'LOC', '52 22 23.000 N 4 53 32.000 E -2.00m 0.00m 10000.00m 10.00m'),
	('uri', 'URI', '10 1 "https://lab/"'),
	('hinfo', 'HINFO', '"fish" "water"'),
	('rp', 'RP', 'me.types.lab. txt.types.lab.'),
	('new', 'TYPE65280', '\\# 4 0a000001'),
	('zero', 'TYPE65281', '\\# 0'),
	('MiXeD', 'A', '10.87.0.2'),
)


def build_types(net):
	zone = net.leaf('types.lab.', 'knot', 'nsec')
	for label, rtype, rdata in TYPES:
		owner = label + '.types.lab.'
		zone.add(owner, rtype, rdata)
		net.expect('types', owner.lower(), rtype, answer=[(owner.lower(), rtype, rdata)])
	zone.add('ttl0', 'A', '10.87.0.3', ttl=0)
	net.expect_host('types', 'ttl0.types.lab.', '10.87.0.3')
	zone.add('ttl1', 'A', '10.87.0.4', ttl=1)
	net.expect_host('types', 'ttl1.types.lab.', '10.87.0.4')
	zone.add('week', 'A', '10.87.0.5', ttl=604800)
	net.expect_host('types', 'week.types.lab.', '10.87.0.5')
	net.expect('types', 'types.lab.', 'SOA', answer=[('types.lab.', 'SOA', zone.soa())])
	net.expect('types', 'types.lab.', 'NS', answer=[('types.lab.', 'NS', n) for n in zone.ns])


def build_odd_names(net):
	zone = net.leaf('odd.lab.', 'nsd', 'nsec')
	longest = '.'.join([c * 61 for c in 'abc'] + ['d' * 59, 'odd.lab.'])
	names = ['a\\.b.odd.lab.', 'sp\\032ace.odd.lab.', 'nul\\000l.odd.lab.', '\\255.odd.lab.',
		'l' * 63 + '.odd.lab.', '_under.odd.lab.', '0.odd.lab.', 'xn--bcher-kva.odd.lab.',
		longest]
	for i, name in enumerate(names):
		zone.add(name, 'A', '10.88.0.%d' % (i + 1))
		net.expect_host('odd', name, '10.88.0.%d' % (i + 1))


def build_cuts(net):
	"""Zone cuts that differ between parent and child, or lie on one server."""
	zone = net.leaf('same.com.', 'nsd', 'nsec')
	zone.add('www', 'A', '10.89.0.1')
	sub = net.leaf('sub.same.com.', 'nsd', 'nsec3')
	sub.add('www', 'A', '10.89.0.2')
	deep = net.leaf('a.b.sub.same.com.', 'nsd')
	deep.add('www', 'A', '10.89.0.3')
	for name, addr in (('www.same.com.', '10.89.0.1'), ('www.sub.same.com.', '10.89.0.2'),
			('www.a.b.sub.same.com.', '10.89.0.3')):
		net.expect_host('cut', name, addr)
	net.expect('cut', 'b.sub.same.com.', 'A', soa='sub.same.com.')
	expect_ds(net)
	# The child lists more servers than the parent.
	more = net.leaf('more.net.', 'knot', numbers=(1, 2, 3))
	more.parent_ns = more.ns[:1]
	more.add('www', 'A', '10.89.0.4')
	net.expect_host('cut', 'www.more.net.', '10.89.0.4')
	net.expect('cut', 'more.net.', 'NS', answer=[('more.net.', 'NS', n) for n in more.ns],
		unbound_first=True)
	# Stale glue: the parent's address of ns1 is dead, ns2's is right.
	stale = net.leaf('stale.com.', 'named')
	stale.glue['ns1.stale.com.'] = [SILENT4]
	stale.add('www', 'A', '10.89.0.5')
	net.expect_host('cut', 'www.stale.com.', '10.89.0.5')


def expect_ds(net):
	net.expect('cut', 'z001.net.', 'DS', soa='net.')
	net.expect('cut', 'big4.info.', 'DS', soa='info.')
	net.expect('cut', 'same.com.', 'DS', has=['DS'])
	net.expect('cut', 'sub.same.com.', 'DS', has=['DS'])
	net.expect('cut', 'com.', 'DS', has=['DS'])
	net.expect('cut', 'com.', 'DNSKEY', has=['DNSKEY'])
	net.expect('cut', '.', 'DNSKEY', has=['DNSKEY'])


def build_six(net):
	"""Zones that only IPv6 reaches."""
	for i, program in enumerate(PROGRAMS):
		name = 'only%d.six.' % i
		zone = net.leaf(name, program, ('nsec', None, 'nsec3')[i], v4=False)
		zone.add('www', 'A', '10.70.0.%d' % (i + 1)).add('www', 'AAAA', 'fd00:70::%d' % (i + 1))
		net.expect_host('six', 'www.' + name, '10.70.0.%d' % (i + 1))
	net.expect('six', 'www.only0.six.', 'AAAA',
		answer=[('www.only0.six.', 'AAAA', 'fd00:70::1')])
	zone = net.leaf('sixhost.org.', 'knot', v4=False)
	zone.add('www', 'A', '10.70.0.9')
	net.expect_host('six', 'www.sixhost.org.', '10.70.0.9')
	# Glueless behind an IPv6-only zone.
	net.hosts['ns.only1.six.'] = [address('leaf', 'nsd', 5)[0]]
	zone = net.zone('viasix.com.', [('leaf', 'nsd')], ['ns.only1.six.'])
	zone.add('www', 'A', '10.70.0.10')
	net.expect_host('six', 'www.viasix.com.', '10.70.0.10')


def build_reverse(net):
	net.zone('in-addr.arpa.', [('tld', 'nsd'), ('tld', 'named')],
		list(net.zones['arpa.'].ns), 'nsec')
	zone = net.zone('2.11.in-addr.arpa.', [('leaf', 'knot')], ['n1.dnsco.org.'], 'nsec')
	zone.add('1.0', 'PTR', 'www.z000.com.')
	net.expect('reverse', '1.0.2.11.in-addr.arpa.', 'PTR',
		answer=[('1.0.2.11.in-addr.arpa.', 'PTR', 'www.z000.com.')])
	net.expect('reverse', '2.0.2.11.in-addr.arpa.', 'PTR', 'NXDOMAIN',
		soa='2.11.in-addr.arpa.')


def build_glueless(net):
	"""Name servers whose addresses must be found first, and two that never can be."""
	previous = 'n1.hoster.net.'
	for i, tld in enumerate(('org.', 'com.', 'dev.')):
		name = 'gl%d.%s' % (i, tld)
		program = 'nsd'
		zone = net.zone(name, [('leaf', program)], [previous], (None, 'nsec')[i % 2])
		zone.add('www', 'A', '10.71.0.%d' % (i + 1))
		net.expect_host('glueless', 'www.' + name, '10.71.0.%d' % (i + 1))
		previous = 'ns.' + name
		net.hosts[previous] = [address('leaf', program, 6 + i)[0]]
	# Same TLD, glue left out although the parent could give it.
	zone = net.zone('noglue.net.', [('leaf', 'nsd')], ['n3.hoster.net.'])
	zone.glue['none'] = ('n3.hoster.net.',)
	zone.add('www', 'A', '10.71.0.8')
	net.expect_host('glueless', 'www.noglue.net.', '10.71.0.8')
	# Each needs the other.
	net.zone('maze1.org.', [('leaf', 'nsd')], ['ns.maze2.net.']).add('www', 'A', '10.66.0.1')
	net.zone('maze2.net.', [('leaf', 'nsd')], ['ns.maze1.org.']).add('www', 'A', '10.66.0.2')
	# Its own name server inside it, without glue.
	own = net.zone('ownns.com.', [('leaf', 'nsd')], ['ns.ownns.com.'])
	own.add('www', 'A', '10.66.0.3')
	for name in ('www.maze1.org.', 'www.maze2.net.', 'www.ownns.com.'):
		net.expect('maze', name, 'A', 'SERVFAIL', loose=True)


def build_faults(net):
	"""Lame, dead and unreachable servers, alone and beside live ones."""
	live = {p: address('leaf', p, 7) for p in PROGRAMS}
	beside = {
		'dead': [SILENT4], 'dead6': [SILENT6], 'closed': [CLOSED4],
		'noroute': [NOROUTE4, NOROUTE6], 'lame': [address('leaf', 'knot', 8)[0]],
		'lame3': [address('leaf', 'named', 8)[0]], 'threedead': [SILENT4, CLOSED4, SILENT6],
	}
	for i, (label, addrs) in enumerate(beside.items()):
		name = 'beside-%s.org.' % label
		zone = net.zone(name, [('leaf', 'nsd')], [('ns1.' + name, addrs),
			('ns2.' + name, [live['nsd'][0]])])
		zone.add('www', 'A', '10.72.0.%d' % (i + 1)).add('host', 'A', '10.72.1.%d' % (i + 1))
		net.expect_host('beside', 'www.' + name, '10.72.0.%d' % (i + 1))
	alone = {
		'lame.com.': [live['nsd'][0]], 'lame.net.': [live['knot'][0]],
		'lame.org.': [live['named'][0]], 'alldead.com.': [SILENT4, SILENT6],
		'allclosed.net.': [CLOSED4], 'nowhere.org.': [NOROUTE4, NOROUTE6],
	}
	for name, addrs in alone.items():
		zone = net.zone(name, [], [('ns1.' + name, addrs)])
		zone.delegated_only = True
		net.expect('lame', 'www.' + name, 'A', 'SERVFAIL', loose=True)


# zone label: (behaviour, rcode expected, notes). The right answer is
# 10.73.0.1 for every name; 10.66.66.66 is poison and must never be seen.
GOOD, POISON = '10.73.0.1', '10.66.66.66'
BEHAVIOURS = {
	'good': ('good', 'NOERROR', {}),
	'drop': ('drop', 'SERVFAIL', {}),
	'dropfirst': ('drop_first', 'NOERROR', {}),
	'delay': ('delay', 'NOERROR', {}),
	'truncate': ('truncate', 'NOERROR', {}),
	'trunconly': ('truncate_no_tcp', 'SERVFAIL', {}),
	'tcpclose': ('truncate_tcp_close', 'SERVFAIL', {}),
	'tcpslow': ('truncate_tcp_slow', 'NOERROR', {}),
	'wrongid': ('wrong_id', 'SERVFAIL', {}),
	'wrongidfirst': ('wrong_id_first', 'NOERROR', {}),
	'wrongcase': ('wrong_case', 'NOERROR', {'unbound': False}),
	'lowercase': ('lower_case', 'NOERROR', {}),
	'wrongq': ('wrong_question', 'SERVFAIL', {}),
	'wrongtype': ('wrong_type', 'SERVFAIL', {}),
	'noq': ('no_question', 'SERVFAIL', {}),
	'wrongsrc': ('wrong_source', 'SERVFAIL', {}),
	'fragments': ('fragments', 'NOERROR', {'unbound': False}),
	'foreign': ('foreign', 'NOERROR', {}),
	'garbage': ('garbage', 'SERVFAIL', {}),
	'short': ('short', 'SERVFAIL', {}),
	'counts': ('wrong_counts', 'SERVFAIL', {}),
	'ptrloop': ('pointer_loop', 'SERVFAIL', {}),
	'notresponse': ('not_response', 'SERVFAIL', {}),
	'formerr': ('formerr_edns', 'NOERROR', {}),
	'formerrbare': ('formerr_edns_bare', 'NOERROR', {}),
	'notimp': ('notimp_edns', 'NOERROR', {}),
	'noedns': ('no_edns', 'NOERROR', {}),
	'dropedns': ('drop_edns', 'SERVFAIL', {'unbound': False}),
	'servfail': ('servfail', 'SERVFAIL', {}),
	'refused': ('refused', 'SERVFAIL', {}),
	'upward': ('upward', 'SERVFAIL', {}),
	'selfref': ('self_referral', 'SERVFAIL', {'unbound': False}),
	'sideref': ('side_referral', 'SERVFAIL', {'unbound': False}),
	'entnx': ('nxdomain_ent', 'NOERROR', {'name': 'www.a.b'}),
	'minrefused': ('refuse_minimised', 'NOERROR', {'name': 'www.a.b'}),
	'nsservfail': ('servfail_ns', 'NOERROR', {'name': 'www.a.b'}),
	'bigttl': ('big_ttl', 'NOERROR', {}),
	'hugettl': ('huge_ttl', 'NOERROR', {'unbound': False}),
	'nosoa': ('nodata_no_soa', 'NOERROR', {'answer': []}),
	'nxns': ('nxns', 'SERVFAIL', {}),
	'badopt': ('bad_opt', None, {}),
	'twoopt': ('two_opt', None, {}),
	'trailing': ('trailing', None, {}),
	'cut65k': ('tcp_length_lie', 'SERVFAIL', {}),
}


def build_bad_zones(net):
	for i, (label, (behaviour, rcode, more)) in enumerate(BEHAVIOURS.items()):
		name = label + '.bad.'
		addr = '%s.%d' % (BAD_NET, i + 1)
		zone = net.zone(name, [], [('ns.' + name, [addr])])
		zone.delegated_only = True
		net.bad[name] = behaviour
		net.bad_addresses.append(addr)
		expect_bad(net, name, behaviour, rcode, dict(more))
	# A misbehaving server beside a live one.
	for label in ('garbage', 'servfail', 'wrongq', 'upward', 'drop'):
		name = label + '-one.bad.'
		addr = net.hosts['ns.%s.bad.' % label][0]
		net.zone(name, [('leaf', 'nsd')], [('ns1.' + name, [addr]),
			('ns2.' + name, [address('leaf', 'nsd', 9)[0]])]).add('www', 'A', '10.73.0.2')
		net.bad[name] = BEHAVIOURS[label][0]
		net.expect_host('bad-beside', 'www.' + name, '10.73.0.2')
	# What the foreign records of foreign.bad. would have poisoned.
	zone = net.leaf('victim.com.', 'nsd')
	zone.add('www', 'A', '10.73.0.3')
	net.expect_host('victim', 'www.victim.com.', '10.73.0.3')


def expect_bad(net, name, behaviour, rcode, more):
	host = '%s.%s' % (more.pop('name', 'www'), name)
	answer = more.pop('answer', [(host, 'A', GOOD)])
	if rcode is None:
		net.expect('bad', host, 'A', 'ANY', answer=[], loose=True, unbound=False,
			behaviour=behaviour, secure=False, **more)
	elif rcode == 'NOERROR':
		net.expect('bad', host, 'A', rcode, answer=answer, behaviour=behaviour, **more)
	else:
		net.expect('bad', host, 'A', rcode, loose=True, behaviour=behaviour, **more)


def build_ways(net):
	import ways    # it needs this module
	ways.build(net)


def build_far(net):
	"""Zones behind a path with delay and loss."""
	for i in range(4):
		name = 'away%d.far.' % i
		relays = [far_relay(net, ('leaf', PROGRAMS[i % 3], n)) for n in (1, 2)]
		zone = net.zone(name, [('leaf', PROGRAMS[i % 3])],
			[('ns%d.%s' % (k + 1, name), [relays[k]]) for k in range(2)],
			('nsec', None)[i % 2])
		zone.add('www', 'A', '10.74.0.%d' % (i + 1))
		net.expect_host('far', 'www.' + name, '10.74.0.%d' % (i + 1))
		addrs = ['10.74.%d.%d' % (i + 1, k + 1) for k in range(100)]
		zone.add('many', 'A', *addrs)
		net.expect('far', 'many.' + name, 'A', answer=[('many.' + name, 'A', a) for a in addrs])
