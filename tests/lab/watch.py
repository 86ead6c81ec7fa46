#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Counts the queries that reach the lab's servers, whoever answers them.

watch.py DIR reads what passes over lo towards port 53 of the lab's addresses
(10.0.0.0/8 and fd00::/8) and answers "counts" and "reset" on DIR/watch.sock.
TCP counts as one per connection.
"""

import ctypes
import json
import os
import select
import socket
import struct
import sys
from collections import Counter

ETH_P_ALL = 3
PACKET_OUTGOING = 4
SO_ATTACH_FILTER = 26
SO_RCVBUFFORCE = 33
# Classic BPF, jumps counted from the next line: UDP or TCP to port 53, without
# IPv4 options' fragments or IPv6 extension headers in between.
LDB, LDH_X, LDH, LDX_IHL = 0x30, 0x48, 0x28, 0xb1
AND, JEQ, RET = 0x54, 0x15, 0x06
FILTER = (
	(LDB, 0, 0, 0), (AND, 0, 0, 0xf0), (JEQ, 0, 6, 0x40),
	(LDB, 0, 0, 9), (JEQ, 1, 0, 17), (JEQ, 0, 10, 6),
	(LDX_IHL, 0, 0, 0), (LDH_X, 0, 0, 2), (JEQ, 6, 7, 53),
	(JEQ, 0, 6, 0x60), (LDB, 0, 0, 6), (JEQ, 1, 0, 17), (JEQ, 0, 3, 6),
	(LDH, 0, 0, 42), (JEQ, 0, 1, 53),
	(RET, 0, 0, 0xffff), (RET, 0, 0, 0))


def attach_filter(sock):
	code = b''.join(struct.pack('HBBI', *line) for line in FILTER)
	buffer = ctypes.create_string_buffer(code)
	program = struct.pack('HL', len(FILTER), ctypes.addressof(buffer))
	sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, program)


def read_name(data):
	pos, parts = 12, []
	while data[pos]:
		parts.append(data[pos + 1:pos + 1 + data[pos]].decode('latin-1').lower())
		pos += 1 + data[pos]
	return '.'.join(parts) + '.', struct.unpack('!H', data[pos + 1:pos + 3])[0]


class Watch:
	def __init__(self):
		self.reset()

	def reset(self):
		self.totals, self.servers, self.queries = Counter(), Counter(), Counter()

	def packet(self, data):
		"""One IP packet to port 53."""
		if data[0] >> 4 == 4:
			start, proto = (data[0] & 15) * 4, data[9]
			to = socket.inet_ntop(socket.AF_INET, data[16:20])
			mine = data[16] == 10
		else:
			start, proto = 40, data[6]
			to = socket.inet_ntop(socket.AF_INET6, data[24:40])
			mine = data[24] == 0xfd
		if not mine:
			return
		if proto == socket.IPPROTO_TCP:
			if data[start + 13] & 0x12 == 0x02:
				self.totals['tcp'] += 1
				self.servers[to] += 1
			return
		self.totals['udp'] += 1
		self.servers[to] += 1
		name, qtype = read_name(data[start + 8:])
		self.queries[(to, name, qtype)] += 1

	def answer(self, command):
		if command == 'reset':
			self.reset()
			return {}
		names = Counter()
		for (_, name, qtype), count in self.queries.items():
			names['%s %d' % (name, qtype)] += count
		return {'udp': self.totals['udp'], 'tcp': self.totals['tcp'],
			'total': sum(self.totals.values()), 'servers': self.servers, 'names': names,
			'queries': [[*key, count] for key, count in self.queries.items()]}


def drain(sock, watch):
	for _ in range(10000):
		try:
			data, origin = sock.recvfrom(65535)
		except BlockingIOError:
			return
		if origin[2] != PACKET_OUTGOING:    # lo shows each packet twice
			try:
				watch.packet(data)
			except (IndexError, struct.error):
				watch.totals['damaged'] += 1


def main(folder):
	watch = Watch()
	sock = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_ALL))
	attach_filter(sock)
	try:
		sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 16 << 20)
	except PermissionError:    # in a user namespace the default has to do
		pass
	sock.bind(('lo', ETH_P_ALL))
	sock.setblocking(False)
	control = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
	control.bind(os.path.join(folder, 'watch.sock'))
	control.listen(8)
	while True:
		ready, _, _ = select.select([sock, control], [], [])
		drain(sock, watch)
		if control in ready:
			client, _ = control.accept()
			with client:
				command = client.recv(100).decode().strip()
				client.sendall(json.dumps(watch.answer(command)).encode())


if __name__ == '__main__':
	main(sys.argv[1])
