# SPDX-License-Identifier: GPL-3.0-or-later
"""A flood of names asked once leaves the names in use cached: bench/flood.py at a
sixteenth of its size, in the same proportions."""

import os
import sys

import pytest

import helpers

sys.path.insert(0, os.path.join(helpers.HERE, '..', 'bench'))

import flood  # noqa: E402 (needs the path above)


@pytest.mark.slow
@pytest.mark.seconds(120)
def test_names_in_use_survive_a_flood(lab, binaries, tmp_path):
	got = flood.measure(lab, helpers, str(tmp_path), names=1250, rate=1250, seconds=15,
		benign_rate=500, megabytes=4, instances=2)
	assert got['flood']['completed'] > 12000 and got['full_percent'] > 85, got
	assert got['benign_hits'] >= 0.95 and got['last_hits'] >= 0.95, got
