#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""A path with delay and loss: carries DNS to a server and back, later or never.

relay.py DIR reads DIR/relay.json. UDP datagrams are lost at random (a fixed seed),
TCP bytes only come late.
"""

import asyncio
import json
import os
import random
import sys


class Backward(asyncio.DatagramProtocol):
	"""One client's socket towards the server."""

	def __init__(self, forward, client):
		self.forward, self.client = forward, client

	def connection_made(self, transport):
		self.transport = transport

	def datagram_received(self, data, _):
		self.forward.carry(self.forward.transport.sendto, data, self.client)


class Forward(asyncio.DatagramProtocol):
	"""The relay's own address."""

	def __init__(self, path):
		self.path = path
		self.random = random.Random(path['listen'])
		self.clients = {}

	def connection_made(self, transport):
		self.transport = transport

	def carry(self, send, *arguments):
		if self.random.random() >= self.path['loss']:
			loop = asyncio.get_running_loop()
			loop.call_later(self.path['delay_ms'] / 1000, send, *arguments)

	def datagram_received(self, data, client):
		asyncio.get_running_loop().create_task(self.pass_on(data, client))

	async def pass_on(self, data, client):
		loop = asyncio.get_running_loop()
		if client not in self.clients:
			if len(self.clients) > 500:
				self.clients.pop(next(iter(self.clients))).close()
			self.clients[client], _ = await loop.create_datagram_endpoint(
				lambda: Backward(self, client), remote_addr=(self.path['target'], 53))
		self.carry(self.clients[client].sendto, data)


async def pump(reader, writer, delay):
	try:
		while data := await reader.read(65536):
			await asyncio.sleep(delay)
			writer.write(data)
			await writer.drain()
	except ConnectionError:
		pass
	finally:
		writer.close()


async def serve_tcp(path, reader, writer):
	try:
		far_reader, far_writer = await asyncio.open_connection(path['target'], 53)
	except OSError:
		writer.close()
		return
	delay = path['delay_ms'] / 1000
	await asyncio.gather(pump(reader, far_writer, delay), pump(far_reader, writer, delay))


async def main(folder):
	with open(os.path.join(folder, 'relay.json')) as source:
		paths = json.load(source)
	loop = asyncio.get_running_loop()
	for path in paths:
		await loop.create_datagram_endpoint(lambda p=path: Forward(p), (path['listen'], 53))
		await asyncio.start_server(lambda r, w, p=path: serve_tcp(p, r, w),
			path['listen'], 53)
	await asyncio.Event().wait()


if __name__ == '__main__':
	asyncio.run(main(sys.argv[1]))
