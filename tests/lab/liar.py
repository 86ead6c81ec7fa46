#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Signed zones that lie or want to be expensive: answers from signer.py's zones in memory.

liar.py DIR serves the zones of ways.py whose recipe is `liar`, each at an address of its
own. A lie is a function of the right answer; without one the zone itself is the attack.
"""

import asyncio
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rdatatype
import dns.rrset

import badserver
import content
import zonefiles
from signer import Key, SignedZone, rrsig


def unsigned(zone, name, rtype, said):
	"""No signatures but those of DNSKEY."""
	rcode, aa, answer, authority, additional = said
	if rtype == dns.rdatatype.DNSKEY:
		return said
	def strip(section):
		return [rrset for rrset in section if rrset.rdtype != dns.rdatatype.RRSIG]
	return rcode, aa, strip(answer), strip(authority), additional


def unproven(zone, name, rtype, said):
	"""What a wildcard makes and what is not there, without a proof."""
	rcode, aa, answer, authority, additional = said
	return rcode, aa, answer, [rrset for rrset in authority if
		rrset.rdtype == dns.rdatatype.SOA or (rrset.rdtype == dns.rdatatype.RRSIG and
			rrset.covers == dns.rdatatype.SOA)], additional


def denies_all(zone, name, rtype, said):
	"""NXDOMAIN for everything but the apex, with the apex's own NSEC."""
	if name == zone.origin:
		return said
	return 3, True, [], zone.soa() + zone.matching(zone.origin), []


def nodata_all(zone, name, rtype, said):
	"""No data, with the name's NSEC, which says that there are."""
	if name == zone.origin or rtype == dns.rdatatype.NS:
		return said
	return 0, True, [], zone.soa() + zone.matching(name), []


def wildcard_over_name(zone, name, rtype, said):
	"""The wildcard's data in place of a name's own, with a true denial of another name."""
	star = dns.name.from_text('*.wild', zone.origin)
	if rtype != dns.rdatatype.TXT or name != dns.name.from_text('host.wild', zone.origin):
		return said
	return 0, True, zone.signed(star, rtype, owner=name), \
		zone.covering(dns.name.from_text('zzz.wild', zone.origin)), []


def parents_denial(zone, name, rtype, said):
	"""The parent's own NSEC of the cut, as if it denied what is below it."""
	if not said[3] or said[1] or rtype == dns.rdatatype.DS:
		return said
	cut = zone.below_cut(name)
	return 0, True, [], zone.soa() + zone.matching(cut), []


def parents_nxdomain(zone, name, rtype, said):
	"""The parent's whole proof that what is below the cut is not there."""
	if not said[3] or said[1] or rtype == dns.rdatatype.DS:
		return said
	cut = zone.below_cut(name)
	if name == cut:
		return said
	star = dns.name.Name((b'*',) + cut.labels)
	proof = zone.matching(cut)
	if zone.denial != 'nsec':
		proof += zone.covering(zone.next_closer(name, cut)) + zone.covering(star)
	return 3, True, [], zone.soa() + proof, []


def child_of(zone, cut):
	"""The signed zone at CUT, made once; its keys are those that the DS names."""
	if cut not in zone.children:
		origin = cut.to_text()
		zone.children[cut] = SignedZone(origin, [
			(origin, 300, 'SOA', 'ns.%s host.%s 1 3600 600 86400 60' % (origin, origin)),
			(origin, 300, 'NS', 'ns.' + origin)], [Key(origin)], denial=zone.denial)
	return zone.children[cut]


def childs_denial(zone, name, rtype, said):
	"""The child's apex has no DS, says its own denial: as if the parent had said so. Then data without signatures."""
	cut = zone.below_cut(name)
	if not cut:
		return said
	child = child_of(zone, cut)
	if rtype == dns.rdatatype.DNSKEY:
		return 0, True, child.signed(cut, rtype), [], []
	if rtype == dns.rdatatype.DS:
		return 0, True, [], child.soa() + child.matching(cut), []
	if name == cut:
		return 0, False, [], zone.signed(cut, dns.rdatatype.NS) + child.matching(cut), zone.glue(cut)
	return 0, True, [dns.rrset.from_text(name, 300, 'IN', 'A', '10.66.6.6')], [], []


def compact(zone, name, rtype, said):
	"""RFC 9824, no lie: an NSEC of its own denies each name, and says that it is not there."""
	if said[0] != 3:
		return said
	nsec = dns.rrset.from_text(name, 60, 'IN', 'NSEC', '\\000.%s RRSIG NSEC TYPE128' % name)
	sigs = dns.rrset.from_rdata(name, 60, rrsig(nsec, zone.zsks[0]))
	return 0, True, [], zone.soa() + [nsec, sigs], []


def far_proofs(zone, name, rtype, said):
	"""Of types and of a DS: nothing but the apex encloses the name, and nothing covers it."""
	rcode, aa, answer, authority, additional = said
	if rcode or not any(rrset.rdtype == dns.rdatatype.NSEC3 for rrset in authority) or answer:
		return said
	kept = [rrset for rrset in authority if dns.rdatatype.NSEC3 not in (rrset.rdtype, rrset.covers)]
	www = dns.name.from_text('www', zone.origin)
	return rcode, aa, answer, kept + zone.matching(zone.origin) + zone.matching(www), additional


class Liar:
	elsewhere = None    # badserver.Udp would send from there

	def __init__(self, folder):
		net = content.Internet()
		liars = [zone for zone in net.zones.values() if zone.recipe and
			zone.recipe.by == 'liar']
		keys = {}
		self.zones = {}
		for zone in liars:
			made = zone.recipe.made(zonefiles.zone_records(net, zone, keys))
			made.children = {}
			self.zones[zone.liar] = made, globals().get(zone.recipe.lie or '')

	def handle(self, data, proto, addr, _):
		"""What to send for DATA: badserver's sockets call it."""
		try:
			query = dns.message.from_wire(data)
			question = query.question[0]
		except (dns.exception.DNSException, IndexError):
			return None
		zone, lie = self.zones[addr]
		name = question.name.canonicalize()
		reply = dns.message.make_response(query, our_payload=1232)
		if not name.is_subdomain(zone.origin):
			reply.set_rcode(5)
			return [(0, reply.to_wire())]
		said = zone.answer(name, question.rdtype)
		if lie:
			said = lie(zone, name, question.rdtype, said)
		rcode, aa, reply.answer, reply.authority, reply.additional = said
		reply.set_rcode(rcode)
		reply.flags |= dns.flags.AA if aa else 0
		limit = 65535 if proto == 'tcp' else min(query.payload or 512, 1232)
		try:
			return [(0, reply.to_wire(max_size=limit))]
		except dns.exception.TooBig:
			reply = dns.message.make_response(query, our_payload=1232)
			reply.flags |= dns.flags.AA | dns.flags.TC
			return [(0, reply.to_wire())]


async def main(folder):
	liar = Liar(folder)
	loop = asyncio.get_running_loop()
	for addr in liar.zones:
		await loop.create_datagram_endpoint(
			lambda a=addr: badserver.Udp(liar, a), (addr, 53))
		await asyncio.start_server(
			lambda r, w, a=addr: badserver.serve_tcp(liar, a, r, w), addr, 53)
	with open(os.path.join(folder, 'liar.up'), 'w'):
		pass
	await asyncio.Event().wait()


if __name__ == '__main__':
	asyncio.run(main(sys.argv[1]))
