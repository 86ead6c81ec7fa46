# SPDX-License-Identifier: GPL-3.0-or-later
"""A small cache holds what it should: bench/memory.py at a tenth of its size."""

import os
import sys

import pytest

import helpers

sys.path.insert(0, os.path.join(helpers.HERE, '..', 'bench'))

import memory  # noqa: E402 (needs the path above)


@pytest.mark.slow
@pytest.mark.seconds(120)
def test_ten_thousand_signed_names_fit_into_a_tenth(lab, binaries, tmp_path):
	rows = memory.measure(lab, helpers, str(tmp_path), names=10000, size=(27 << 20) // 10,
		rate=2000, passes=3, instances=2, outstanding=20)    # no more than a busy machine answers
	for row in rows:
		assert row['lost'] == 0 and row['rcodes'].startswith('NOERROR 10000'), rows
		assert row['answers_ad'] == 10000, rows    # all of them validated
	assert rows[0]['hits'] < 0.01, rows
	assert min(row['hits'] for row in rows[1:]) >= 0.95, rows
