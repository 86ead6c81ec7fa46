# SPDX-License-Identifier: GPL-3.0-or-later
"""Instances with different settings in one run folder never mix what they cached; equal
settings share."""

import pytest

import helpers
from authority import Authority


@pytest.fixture
def two():
	"""Two servers of one zone that say different things."""
	with Authority('own.com.', {('www.own.com.', 'A'): (3000, '192.0.2.1')}) as first, \
			Authority('own.com.', {('www.own.com.', 'A'): (3000, '192.0.2.2'),
				('only.own.com.', 'A'): (3000, '192.0.2.2')}) as second:
		yield first, second


def start(shoals, extra, names):
	shoal = shoals(extra, start=False)
	shoal.names = list(names)
	return shoal.start()


def address(shoal, instance, name='www.own.com.'):
	reply = shoal.ask_at(instance, name)
	assert helpers.rcode_of(reply) == 'NOERROR', reply
	return reply.answer[-1][0].address


def chosen(instance, lua, otherwise=''):
	return "if worker.id == '%s' then\n%selse\n%send\n" % (instance, lua, otherwise)


def test_other_stubs_never_mix(shoals, two):
	first, second = two
	shoal = start(shoals, chosen('b', second.stub(), first.stub()), 'ab')
	for _ in range(4):
		assert address(shoal, 'a') == '192.0.2.1'
		assert address(shoal, 'b') == '192.0.2.2'
		# denials and failures as well
		assert helpers.rcode_of(shoal.ask_at('a', 'only.own.com.')) == 'NXDOMAIN'
		assert address(shoal, 'b', 'only.own.com.') == '192.0.2.2'
	first.mode = 'servfail'
	for _ in range(3):
		assert helpers.rcode_of(shoal.ask_at('a', 'more.own.com.')) == 'SERVFAIL'
		assert helpers.rcode_of(shoal.ask_at('b', 'more.own.com.')) == 'NXDOMAIN'


def test_other_forwarders_never_mix(shoals, two):
	first, second = two

	def forward(server):
		return "policy.add(policy.all(policy.FORWARD('127.0.0.1@%d')))\n" % server.port
	shoal = start(shoals, "trust_anchors.remove('.')\n" +
		chosen('b', forward(second), forward(first)), 'abc')
	for _ in range(4):
		assert address(shoal, 'a') == '192.0.2.1'
		assert address(shoal, 'b') == '192.0.2.2'
		assert address(shoal, 'c') == '192.0.2.1'
	# a and c have the same settings: one of them asked for both
	assert first.asked('www.own.com.') == 1 and second.asked('www.own.com.') == 1


def test_equal_settings_share(shoals, lab):
	# what does not change answers does not keep them apart
	shoal = start(shoals, chosen('b', "nsid.name('b')\nnet.bufsize(4096)\n"), 'ab')
	shoal.ask_at('a', 'www.z001.net.')
	shoal.ask_at('a', 'www.z001.net.')
	lab.reset()
	shoal.ask_at('b', 'www.z001.net.')
	assert lab.counts()['total'] == 0


@pytest.mark.parametrize('lua', [
	"hints.root({['ns.other.'] = '10.0.0.2'})\n",
	"trust_anchors.add('. DS 20326 8 2 "
	"E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D')\n",
	"trust_anchors.set_insecure({'net.'})\n",
	"option('PERMISSIVE', true)\n",
])
def test_other_roots_anchors_and_flags_are_apart(shoals, lab, lua):
	shoal = start(shoals, chosen('b', lua), 'ab')
	for _ in range(3):
		shoal.ask_at('a', 'www.z002.org.')
	lab.reset()
	assert helpers.rcode_of(shoal.ask_at('b', 'www.z002.org.')) == 'NOERROR'
	asked = lab.counts()['names']
	assert any(name.startswith('www.z002.org.') for name in asked), asked
	lab.reset()
	shoal.ask_at('a', 'www.z002.org.')
	assert lab.counts()['total'] == 0


def test_a_clear_on_one_is_a_clear_on_all(shoals, two):
	first, second = two
	shoal = start(shoals, chosen('b', second.stub(), first.stub()), 'ab')
	assert (address(shoal, 'a'), address(shoal, 'b')) == ('192.0.2.1', '192.0.2.2')
	for server, text in ((first, '192.0.2.11'), (second, '192.0.2.12')):
		server.set('www.own.com.', 'A', 3000, text)
	assert shoal.tool('eval', "cache.clear('own.com')").returncode == 0
	assert (address(shoal, 'a'), address(shoal, 'b')) == ('192.0.2.11', '192.0.2.12')
