# SPDX-License-Identifier: GPL-3.0-or-later
"""A key in much use: its tables are made beside the loop, and say the same."""

import concurrent.futures
import time

import dns.flags
import pytest

import helpers
from signed import P256Key, SignedZone

ZONE = 'hot.test.'
NAMES = 3000


@pytest.mark.seconds(120)
def test_a_zone_that_is_asked_a_lot_gets_tables_for_its_key(shoals):
	key, other = P256Key(), P256Key()
	records = {('n%d.%s' % (i, ZONE), 'A'): (300, '192.0.2.1') for i in range(NAMES)}
	with SignedZone(ZONE, [key], records) as zone:
		shoal = shoals("trust_anchors.add('%s')\n" % key.ds(ZONE) + zone.forward())

		def ask(number):
			return shoal.ask('n%d.%s' % (number, ZONE), do=True, timeout=20)

		def gauge(name):
			time.sleep(1.2)    # gauges are set once a second
			return shoal.stats()['total'][name]

		with concurrent.futures.ThreadPoolExecutor(8) as pool:
			asked = 0
			while not gauge('dnssec_hot_keys') and asked < NAMES - 300:
				replies = list(pool.map(ask, range(asked, asked + 300)))
				assert all(reply.flags & dns.flags.AD for reply in replies)
				asked += 300
			assert gauge('dnssec_hot_keys') == 1 and asked > 900
			before = gauge('dnssec_hot_checks')
			replies = list(pool.map(ask, range(asked, asked + 100)))
			assert all(reply.flags & dns.flags.AD for reply in replies)
			assert helpers.until(lambda: gauge('dnssec_hot_checks') >= before + 100, step=0)
			# tables or not, another's signature is none
			zone.data_signers = [other]
			assert helpers.rcode_of(ask(NAMES - 1)) == 'SERVFAIL'
