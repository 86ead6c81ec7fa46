# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys of every algorithm and zones signed with them, rightly or as wrongly as asked.

For what dnssec-signzone and knotd refuse to make, and for liar.py, which answers from such
zones in memory. All keys but RSA's are made from the zone's name: the same in every run.
"""

import base64
import functools
import hashlib
import struct
import time

import dns.dnssec
import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, ed448, padding, rsa, utils

SEED = 20240901
IN = dns.rdataclass.IN
DAY, YEAR = 86400, 31536000
RSA_HASH = {5: hashes.SHA1, 7: hashes.SHA1, 8: hashes.SHA256, 10: hashes.SHA512}
CURVES = {13: (ec.SECP256R1, hashes.SHA256, 32,
	0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551),
	14: (ec.SECP384R1, hashes.SHA384, 48, int('ffffffffffffffffffffffffffffffffffffffffffff'
		'ffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973', 16))}
DIGESTS = {1: hashlib.sha1, 2: hashlib.sha256, 4: hashlib.sha384}
ALGORITHM_NAMES = {5: 'RSASHA1', 7: 'NSEC3RSASHA1', 8: 'RSASHA256', 10: 'RSASHA512',
	13: 'ECDSAP256SHA256', 14: 'ECDSAP384SHA384', 15: 'ED25519', 16: 'ED448'}


@functools.lru_cache(None)
def rsa_key(bits, which):
	"""One for all zones of a run: making them is slow."""
	return rsa.generate_private_key(65537, bits)


def number(data):
	return data.to_bytes((data.bit_length() + 7) // 8, 'big')


def tag_of(rdata):
	total = sum(b << 8 if i % 2 == 0 else b for i, b in enumerate(rdata))
	return (total + (total >> 16)) & 0xffff


class Key:
	"""A key of ZONE; LABEL tells several of one kind apart."""

	def __init__(self, zone, algorithm=13, flags=257, label='', bits=2048, secret=None):
		self.zone, self.algorithm, self.flags = dns.name.from_text(zone), algorithm, flags
		self.label, self.bits, self.secret = label, bits, secret
		self.seed = b'shoal lab %d %d ' % (SEED, algorithm) + zone.encode() + label.encode()
		if algorithm in CURVES:
			self.size = CURVES[algorithm][2]

	@functools.cached_property
	def private(self):
		"""Made when it is needed: most who know the lab's zones sign nothing."""
		if self.algorithm in RSA_HASH:
			return rsa_key(self.bits, self.label)
		if self.algorithm in CURVES:
			curve, _, _, order = CURVES[self.algorithm]
			secret = self.secret or int.from_bytes(hashlib.sha512(self.seed).digest(), 'big')
			return ec.derive_private_key(secret % order or 1, curve())
		if self.algorithm == 15:
			return ed25519.Ed25519PrivateKey.from_private_bytes(hashlib.sha256(self.seed).digest())
		if self.algorithm == 16:
			return ed448.Ed448PrivateKey.from_private_bytes(hashlib.sha512(self.seed).digest()[:57])
		return None    # nobody knows it

	@functools.cached_property
	def public(self):
		if self.algorithm in RSA_HASH:
			numbers = self.private.public_key().public_numbers()
			return b'\x03' + number(numbers.e) + number(numbers.n)
		if self.algorithm in CURVES:
			point = self.private.public_key().public_numbers()
			return point.x.to_bytes(self.size, 'big') + point.y.to_bytes(self.size, 'big')
		if self.algorithm in (15, 16):
			return self.private.public_key().public_bytes(
				serialization.Encoding.Raw, serialization.PublicFormat.Raw)
		if self.algorithm == 253:    # RFC 4034, appendix A.1.1: a name says which
			return b'\x03lab\0' + hashlib.sha256(self.seed).digest() * 2
		return hashlib.sha256(self.seed).digest() * 2

	def __eq__(self, other):
		return self.rdata == other.rdata

	def __hash__(self):
		return hash(self.rdata)

	@property
	def rdata(self):
		return struct.pack('!HBB', self.flags, 3, self.algorithm) + self.public

	@property
	def tag(self):
		return tag_of(self.rdata)

	def dnskey(self):
		return '%d 3 %d %s' % (self.flags, self.algorithm,
			base64.b64encode(self.public).decode())

	def ds(self, digest=2, wrong=False):
		maker = DIGESTS.get(digest, hashlib.sha256)
		text = maker(self.zone.canonicalize().to_wire() + self.rdata).hexdigest()
		if wrong:
			text = '%02x' % (int(text[:2], 16) ^ 1) + text[2:]
		return '%d %d %d %s' % (self.tag, self.algorithm, digest, text)

	def sign(self, data):
		if self.algorithm in RSA_HASH:
			return self.private.sign(data, padding.PKCS1v15(), RSA_HASH[self.algorithm]())
		if self.algorithm in CURVES:
			der = self.private.sign(data, ec.ECDSA(CURVES[self.algorithm][1]()))
			r, s = utils.decode_dss_signature(der)
			return r.to_bytes(self.size, 'big') + s.to_bytes(self.size, 'big')
		if self.private is None:
			return (b'\x03lab\0' if self.algorithm == 253 else b'') + \
				hashlib.sha512(data).digest()
		return self.private.sign(data)

	def private_text(self):
		"""The private half as BIND's tools keep it."""
		def field(label, data):
			return '%s: %s\n' % (label, base64.b64encode(data).decode())
		head = 'Private-key-format: v1.3\nAlgorithm: %d (%s)\n' % (self.algorithm,
			ALGORITHM_NAMES[self.algorithm])
		if self.algorithm in RSA_HASH:
			n = self.private.private_numbers()
			return head + ''.join(field(label, number(value)) for label, value in (
				('Modulus', n.public_numbers.n), ('PublicExponent', n.public_numbers.e),
				('PrivateExponent', n.d), ('Prime1', n.p), ('Prime2', n.q),
				('Exponent1', n.dmp1), ('Exponent2', n.dmq1), ('Coefficient', n.iqmp)))
		if self.algorithm in CURVES:
			value = self.private.private_numbers().private_value
			return head + field('PrivateKey', value.to_bytes(self.size, 'big'))
		return head + field('PrivateKey', self.private.private_bytes(
			serialization.Encoding.Raw, serialization.PrivateFormat.Raw,
			serialization.NoEncryption()))

	def write(self, folder):
		"""The two files of BIND's tools below FOLDER; returns their common stem."""
		zone = self.zone.to_text()
		stem = '%s/K%s+%03d+%05d' % (folder, zone, self.algorithm, self.tag)
		with open(stem + '.key', 'w') as out:
			out.write('%s IN DNSKEY %s\n' % (zone, self.dnskey()))
		with open(stem + '.private', 'w') as out:
			out.write(self.private_text())
		return stem


def rrsig(rrset, key, inception=None, expiration=None, labels=None, signer=None, tag=None,
		algorithm=None, ttl=None, owner=None, spoil=False):
	"""An RRSIG of RRSET by KEY, each field as asked for. SPOIL: the signature is wrong."""
	now = int(time.time())
	owner = (owner or rrset.name).canonicalize()
	if labels is None:
		labels = len(owner.labels) - 1 - (owner.labels[0] == b'*')
	head = struct.pack('!HBBIIIH', rrset.rdtype, algorithm or key.algorithm, labels,
		rrset.ttl if ttl is None else ttl,
		(now + YEAR if expiration is None else expiration) & 0xffffffff,
		(now - DAY if inception is None else inception) & 0xffffffff,
		key.tag if tag is None else tag)
	head += (signer or key.zone).canonicalize().to_wire()
	have = len(owner.labels) - 1
	if labels < have and not (owner.labels[0] == b'*' and labels == have - 1):
		owner = dns.name.Name((b'*',) + owner.labels[have - labels:])
	fixed = owner.to_wire() + struct.pack('!HHI', rrset.rdtype, IN,
		rrset.ttl if ttl is None else ttl)
	data = head
	for item in sorted(rdata.to_digestable(dns.name.root) for rdata in rrset):
		data += fixed + struct.pack('!H', len(item)) + item
	made = key.sign(data)
	if spoil:
		made = made[:-1] + bytes([made[-1] ^ 1])
	return dns.rdata.from_wire(IN, dns.rdatatype.RRSIG, head + made, 0, len(head + made))


def rdata_of(rtype, text):
	return dns.rdata.from_text(IN, rtype, text, origin=dns.name.root, relativize=False)


class SignedZone:
	"""ORIGIN's RRsets, signatures and denial records, in memory.

	`records`: (owner, ttl, type, text) with absolute names. `ksks` sign DNSKEY, `zsks` the
	rest (without any: the ksks too); `published` keys are in DNSKEY and sign nothing.
	`denial`: nsec, nsec3, optout or None. `rules`: {(owner, type)}: None for no signature,
	or arguments of rrsig(); owner '*' stands for all. `wrong`: {(owner, type): keys} that
	sign wrongly before the others.
	"""

	def __init__(self, origin, records, ksks, zsks=(), published=(), denial='nsec',
			iterations=0, salt=b'', rules=None, negative_ttl=60, chain=None, hidden=(),
			wrong=None):
		self.origin = dns.name.from_text(origin)
		self.ksks, self.zsks = list(ksks), list(zsks) or list(ksks)
		self.keys = list(dict.fromkeys(list(ksks) + list(zsks) + list(published)))
		self.keys = [key for key in self.keys if key not in hidden]
		self.denial, self.iterations, self.salt = denial, iterations, salt
		self.rules = {(dns.name.from_text(name) if name != '*' else '*', rtype): rule
			for (name, rtype), rule in (rules or {}).items()}
		self.wrong = {(dns.name.from_text(name), rtype): keys
			for (name, rtype), keys in (wrong or {}).items()}
		self.negative_ttl = negative_ttl
		self.sets, self.sigs = {}, {}
		self.known = 0, ()    # how many sets there were, and the names that exist: exists()
		for owner, ttl, rtype, text in records:
			self.add(dns.name.from_text(owner), ttl, rtype, text)
		for key in self.keys:
			self.add(self.origin, 3600, 'DNSKEY', key.dnskey())
		self.cuts = {name for name, rtype in self.sets
			if rtype == dns.rdatatype.NS and name != self.origin}
		self.chain = []    # (sort key, owner) of NSEC or NSEC3, in order
		if denial == 'nsec':
			self.make_nsec()
		elif denial:
			self.make_nsec3()
		if chain:
			chain(self)    # to lie in it before it is signed
		for (name, rtype), rrset in list(self.sets.items()):
			self.sign(rrset)

	def add(self, name, ttl, rtype, text):
		rtype = dns.rdatatype.from_text(rtype)
		known = self.sets.setdefault((name, rtype), dns.rrset.RRset(name, IN, rtype))
		known.add(rdata_of(rtype, text), ttl)
		return known

	def below_cut(self, name):
		while name != self.origin and name != dns.name.root:
			if name in self.cuts:
				return name
			name = name.parent()
		return None

	def types(self, name):
		return [rtype for owner, rtype in self.sets if owner == name]

	def owners(self):
		"""Names with data at or above the cuts."""
		return {name for name, _ in self.sets
			if name.is_subdomain(self.origin) and self.below_cut(name) in (None, name)}

	def bitmap(self, name, more):
		types = self.types(name)
		if name in self.cuts:
			types = [t for t in types if t in (dns.rdatatype.NS, dns.rdatatype.DS)]
		texts = [dns.rdatatype.to_text(t) for t in types] + list(more)
		return ' '.join(texts)

	def make_nsec(self):
		names = sorted(self.owners())
		maps = [self.bitmap(name, ['RRSIG', 'NSEC']) for name in names]
		for i, name in enumerate(names):
			self.add(name, self.negative_ttl, 'NSEC', '%s %s' % (
				names[(i + 1) % len(names)].to_text(), maps[i]))
			self.chain.append((name, name))

	def hash(self, name):
		return dns.dnssec.nsec3_hash(name.canonicalize(), self.salt.hex() or None,
			self.iterations, 1)

	def make_nsec3(self):
		optout = self.denial == 'optout'
		names = {name for name in self.owners() if not optout or name not in self.cuts or
			(name, dns.rdatatype.DS) in self.sets}
		for name in list(names):    # empty non-terminals
			while name != self.origin:
				name = name.parent()
				names.add(name)
		salt = self.salt.hex() or '-'
		self.add(self.origin, 0, 'NSEC3PARAM', '1 0 %d %s' % (self.iterations, salt))
		rows = []
		for name in names:
			signed = name not in self.cuts or (name, dns.rdatatype.DS) in self.sets
			more = ['RRSIG'] if self.types(name) and signed else []
			rows.append((self.hash(name), self.bitmap(name, more)))
		rows.sort()
		for i, (digest, bitmap) in enumerate(rows):
			owner = dns.name.from_text(digest, self.origin)
			self.add(owner, self.negative_ttl, 'NSEC3', '1 %d %d %s %s %s' % (optout,
				self.iterations, salt, rows[(i + 1) % len(rows)][0], bitmap))
			self.chain.append((digest, owner))

	def rule(self, rrset):
		for name in (rrset.name, '*'):
			for rtype in (dns.rdatatype.to_text(rrset.rdtype), '*'):
				if (name, rtype) in self.rules:
					return self.rules[(name, rtype)]
		return {}

	def sign(self, rrset):
		cut = self.below_cut(rrset.name)
		if cut and (cut != rrset.name or rrset.rdtype not in (dns.rdatatype.DS,
				dns.rdatatype.NSEC)):
			return
		rule = self.rule(rrset)
		if rule is None:
			return
		keys = self.ksks if rrset.rdtype == dns.rdatatype.DNSKEY else self.zsks
		rule = dict(rule)
		keys = rule.pop('keys', keys)
		wrong = self.wrong.get((rrset.name, dns.rdatatype.to_text(rrset.rdtype)), ())
		self.sigs[(rrset.name, rrset.rdtype)] = [rrsig(rrset, key, spoil=True)
			for key in wrong] + [rrsig(rrset, key, **rule) for key in keys]

	def text(self):
		"""A zone file."""
		lines = []
		for key, rrset in self.sets.items():
			lines += rrset.to_text().split('\n')
			for sig in self.sigs.get(key, ()):
				lines.append('%s %d IN RRSIG %s' % (rrset.name, rrset.ttl, sig.to_text()))
		return '\n'.join(lines) + '\n'

	# -- answering ---------------------------------------------------------------------

	def exists(self, name):
		if self.known[0] != len(self.sets):    # names that are there, and those above them
			there = set()
			hashed = {owner for owner, rtype in self.sets if rtype == dns.rdatatype.NSEC3}
			for owner in {owner for owner, _ in self.sets} - hashed:
				while owner not in there and owner != dns.name.root:
					there.add(owner)
					owner = owner.parent()
			self.known = len(self.sets), there | {dns.name.root}
		return name in self.known[1]

	def signed(self, name, rtype, owner=None):
		"""[RRset, its signatures], for the name OWNER when it comes from a wildcard."""
		rrset = self.sets[(name, rtype)]
		shown = dns.rrset.RRset(owner or name, IN, rtype)
		shown.update(rrset)
		out = [shown]
		if (name, rtype) in self.sigs:
			sigs = dns.rrset.RRset(owner or name, IN, dns.rdatatype.RRSIG, rtype)
			for sig in self.sigs[(name, rtype)]:
				sigs.add(sig, rrset.ttl)
			out.append(sigs)
		return out

	def soa(self):
		return self.signed(self.origin, dns.rdatatype.SOA)

	def matching(self, name):
		"""The denial record at NAME."""
		if self.denial == 'nsec':
			return self.signed(name, dns.rdatatype.NSEC) if \
				(name, dns.rdatatype.NSEC) in self.sets else []
		at = self.hash(name)
		for digest, owner in self.chain:
			if digest == at:
				return self.signed(owner, dns.rdatatype.NSEC3)
		return []

	def covering(self, name):
		"""The denial record whose span NAME is in."""
		at = name if self.denial == 'nsec' else self.hash(name)
		rtype = dns.rdatatype.NSEC if self.denial == 'nsec' else dns.rdatatype.NSEC3
		best = self.chain[-1][1]
		for place, owner in self.chain:
			if place < at:
				best = owner
		return self.signed(best, rtype)

	def encloser(self, name):
		while not self.exists(name):
			name = name.parent()
		return name

	def next_closer(self, name, encloser):
		return dns.name.Name(name.labels[-len(encloser.labels) - 1:])

	def deny_name(self, name, wildcard=True):
		"""Proof that NAME is not there, nor (if asked) a wildcard for it."""
		if not self.denial:
			return []
		encloser = self.encloser(name)
		star = dns.name.Name((b'*',) + encloser.labels)
		if self.denial == 'nsec':
			return self.covering(name) + (self.covering(star) if wildcard else [])
		return self.matching(encloser) * wildcard + \
			self.covering(self.next_closer(name, encloser)) + \
			(self.covering(star) if wildcard else [])

	def deny_type(self, name):
		if not self.denial:
			return []
		found = self.matching(name)
		if found or self.denial == 'nsec':
			return found or self.covering(name)    # an empty non-terminal
		encloser = name    # opt-out: the closest provable encloser
		while not self.matching(encloser):
			encloser = encloser.parent()
		return self.matching(encloser) + self.covering(self.next_closer(name, encloser))

	def referral(self, cut):
		out = self.signed(cut, dns.rdatatype.NS)
		if (cut, dns.rdatatype.DS) in self.sets:
			return out + self.signed(cut, dns.rdatatype.DS)
		return out + self.deny_type(cut)

	def glue(self, cut):
		out = []
		for ns in self.sets[(cut, dns.rdatatype.NS)]:
			for rtype in (dns.rdatatype.A, dns.rdatatype.AAAA):
				if (ns.target, rtype) in self.sets:
					out.append(self.sets[(ns.target, rtype)])
		return out

	def answer(self, name, rtype):
		"""(rcode, authoritative, answer, authority, additional): lists of RRsets."""
		answer, authority = [], []
		for _ in range(16):
			cut = self.below_cut(name)
			if cut and not (cut == name and rtype == dns.rdatatype.DS):
				return 0, bool(answer), answer, self.referral(cut), self.glue(cut)
			if not name.is_subdomain(self.origin):
				return 0, True, answer, authority, []
			found = self.alias(name, rtype, answer, authority)
			if found is None:
				return (*self.final(name, rtype, answer, authority), [])
			name = found
		return 0, True, answer, authority, []

	def alias(self, name, rtype, answer, authority):
		"""Follows one CNAME or DNAME; returns where to, or None."""
		above = name
		while above != self.origin:
			above = above.parent()
			if (above, dns.rdatatype.DNAME) in self.sets:
				answer += self.signed(above, dns.rdatatype.DNAME)
				target = dns.name.Name(name.labels[:-len(above.labels)] +
					answer[-2 if len(answer) > 1 else -1][0].target.labels)
				answer.append(dns.rrset.from_text(name, 300, IN, 'CNAME', target.to_text()))
				return target
		source = name if self.exists(name) else \
			dns.name.Name((b'*',) + self.encloser(name).labels)
		key = (source, dns.rdatatype.CNAME)
		if key not in self.sets or rtype in (dns.rdatatype.CNAME, dns.rdatatype.ANY):
			return None
		answer += self.signed(*key, owner=name)
		if source != name:
			authority += self.deny_name(name, wildcard=False)
		return self.sets[key][0].target

	def final(self, name, rtype, answer, authority):
		if self.exists(name):
			if (name, rtype) in self.sets:
				return 0, True, answer + self.signed(name, rtype), authority
			return 0, True, answer, authority + self.soa() + self.deny_type(name)
		encloser = self.encloser(name)
		star = dns.name.Name((b'*',) + encloser.labels)
		if not self.types(star):
			return 3, True, answer, authority + self.soa() + self.deny_name(name)
		if (star, rtype) in self.sets:
			return 0, True, answer + self.signed(star, rtype, owner=name), \
				authority + self.deny_name(name, wildcard=False)
		proof = self.deny_name(name, wildcard=False) + self.matching(star)
		if self.denial and self.denial != 'nsec':
			proof += self.matching(encloser)
		return 0, True, answer, authority + self.soa() + proof
