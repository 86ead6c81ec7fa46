# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes the small internet's zone files, keys and signatures, children first.

Keys are ECDSA P-256 (algorithm 13), one per zone, derived from the zone's name, so
that the trust anchor is the same in every run; dnssec-signzone signs. Zones with a recipe
(ways.py) have other keys and other signers.
"""

import base64
import hashlib
import os
import subprocess
from concurrent.futures import ThreadPoolExecutor

import content

# NIST P-256, FIPS 186-4 D.1.2.3; a = -3.
P = 2**256 - 2**224 + 2**192 + 2**96 - 1
ORDER = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551
BASE = (0x6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296,
	0x4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5)


def point_add(a, b):
	if a is None or b is None:
		return a or b
	if a[0] == b[0] and (a[1] + b[1]) % P == 0:
		return None
	if a == b:
		slope = (3 * a[0] * a[0] - 3) * pow(2 * a[1], -1, P) % P
	else:
		slope = (b[1] - a[1]) * pow(b[0] - a[0], -1, P) % P
	x = (slope * slope - a[0] - b[0]) % P
	return x, (slope * (a[0] - x) - a[1]) % P


def public_key(secret):
	result, power = None, BASE
	while secret:
		if secret & 1:
			result = point_add(result, power)
		power = point_add(power, power)
		secret >>= 1
	return result[0].to_bytes(32, 'big') + result[1].to_bytes(32, 'big')


def wire_name(name):
	out = b''
	for label in content.labels(name.lower()):
		out += bytes([len(label)]) + label.encode()
	return out + b'\0'


class Key:
	"""A zone's only key: it signs everything (flags 257)."""

	def __init__(self, zone):
		digest = hashlib.sha256(b'shoal lab %d ' % content.SEED + zone.encode()).digest()
		self.zone = zone
		self.secret = int.from_bytes(digest, 'big') % (ORDER - 1) + 1
		self.public = public_key(self.secret)
		self.rdata = b'\x01\x01\x03\x0d' + self.public
		total = sum(b << 8 if i % 2 == 0 else b for i, b in enumerate(self.rdata))
		self.tag = (total + (total >> 16)) & 0xffff

	def dnskey(self):
		return '257 3 13 ' + base64.b64encode(self.public).decode()

	def ds(self):
		digest = hashlib.sha256(wire_name(self.zone) + self.rdata).hexdigest()
		return '%d 13 2 %s' % (self.tag, digest)

	def write(self, folder):
		stem = os.path.join(folder, 'K%s+013+%05d' % (self.zone, self.tag))
		with open(stem + '.key', 'w') as out:
			out.write('%s IN DNSKEY %s\n' % (self.zone, self.dnskey()))
		with open(stem + '.private', 'w') as out:
			out.write('Private-key-format: v1.3\nAlgorithm: 13 (ECDSAP256SHA256)\n'
				'PrivateKey: %s\n' % base64.b64encode(
					self.secret.to_bytes(32, 'big')).decode())
		return stem


def file_name(zone):
	return 'root' if zone == '.' else zone.rstrip('.')


def ds_of(zone, keys):
	if zone.recipe:
		return zone.recipe.ds
	return [keys[zone.name].ds()] if zone.name in keys and zone.name != '.' else []


def zone_records(net, zone, keys):
	"""(owner, ttl, type, rdata) of all that the zone holds but keys."""
	records = [(zone.name, content.TTL, 'SOA', zone.soa())]
	records += [(zone.name, content.TTL, 'NS', ns) for ns in zone.ns]
	records += dict.fromkeys(zone.records)
	for child in net.zones.values():
		for ds in ds_of(child, keys):
			if net.enclosing(child.name, strict=True) is zone:
				records.append((child.name, content.TTL, 'DS', ds))
	return records


def zone_text(net, zone, keys):
	records = zone_records(net, zone, keys)
	if zone.name in keys:
		records.append((zone.name, content.TTL, 'DNSKEY', keys[zone.name].dnskey()))
	elif zone.recipe and zone.recipe.by == 'tool':
		records += [(zone.name, content.TTL, 'DNSKEY', key.dnskey())
			for key in zone.recipe.ksks + zone.recipe.zsks + zone.recipe.published]
	elif zone.recipe and zone.recipe.by == 'made':
		return zone.recipe.made(records).text()
	return ''.join('%s %d IN %s %s\n' % record for record in records)


SIGN_FLAGS = {'nsec': [], 'nsec3': ['-3', '-', '-H', '0'],
	'optout': ['-3', 'ab', '-H', '5', '-A']}


def sign(folder, keydir, zone, key):
	plain = os.path.join(folder, file_name(zone.name))
	times = ('now-86400', 'now+31536000')
	if zone.recipe:
		keys, flags = zone.recipe.ksks + zone.recipe.zsks, ['-P'] + zone.recipe.flags
		times = zone.recipe.more.get('times', times)
	else:
		keys, flags = [key], ['-z'] + SIGN_FLAGS[zone.signed]
	command = ['dnssec-signzone', '-q', '-s', times[0], '-e', times[1], '-o', zone.name,
		'-f', plain + '.signed', '-d', folder]
	command += flags + [plain] + [key.write(keydir) for key in keys]
	done = subprocess.run(command, capture_output=True, text=True, cwd=folder)
	if done.returncode:
		raise RuntimeError('signing %s failed: %s' % (zone.name, done.stderr))
	os.replace(plain + '.signed', plain)


def write_zones(net, folder):
	"""All zone files into FOLDER/zones; returns the root's key."""
	zones = os.path.join(folder, 'zones')
	keydir = os.path.join(folder, 'keys')
	os.makedirs(zones, exist_ok=True)
	os.makedirs(keydir, exist_ok=True)
	served = [zone for zone in net.zones.values() if zone.servers]
	keys = {zone.name: Key(zone.name) for zone in served if zone.signed and not zone.recipe}
	for zone in served:
		with open(os.path.join(zones, file_name(zone.name)), 'w') as out:
			out.write(zone_text(net, zone, keys))
	with ThreadPoolExecutor(4) as pool:
		jobs = [pool.submit(sign, zones, keydir, zone, keys.get(zone.name))
			for zone in served if zone.signed and (not zone.recipe or
				zone.recipe.by == 'tool')]
		for job in jobs:
			job.result()
	return keys['.']
