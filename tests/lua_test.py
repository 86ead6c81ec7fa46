# SPDX-License-Identifier: GPL-3.0-or-later
"""What the script asks of the instance that runs it."""

import time


def test_resolve_calls_back_with_the_answer(shoals):
	shoal = shoals()
	shoal.ask('ftp.z000.com.')
	for name in ('ftp.z000.com', 'www.z000.com'):
		done = shoal.tool('eval', "resolve('%s', 'A', nil, nil, function(pkt) "
			"said = pkt:rcode() .. ' ' .. tostring(pkt) end)" % name)
		assert done.returncode == 0, done.stderr
		for _ in range(50):
			said = shoal.tool('eval', 'said').stdout
			if name in said:
				break
			time.sleep(0.1)
		assert '0 %s. ' % name in said and ' IN A 10.' in said, said
