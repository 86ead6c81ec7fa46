# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures: the lab, shoals that are started and judged, a limit on every test's time.

The whole of pytest runs inside the lab:
	tests/lab/lab.py run DIR -- /usr/bin/python3 -m pytest tests
"""

import os
import shutil
import signal
import tempfile

import pytest

import helpers

TEST_SECONDS = 150    # a machine that is busy elsewhere needs thrice as long as a quiet one


def pytest_configure(config):
	config.addinivalue_line('markers', 'seconds(n): this test may take up to n seconds')
	config.addinivalue_line('markers', 'slow: left out of the run with sanitizers, for it waits, measures or tests no program of ours')


def is_ours(path):
	"""Several labs share the work (lab/several.py): who comes first takes the file."""
	folder = os.environ.get('SHOAL_CLAIMS')
	if not folder:
		return True
	if path not in is_ours.known:
		claim = os.path.join(folder, os.path.basename(path))
		try:
			os.close(os.open(claim, os.O_CREAT | os.O_EXCL))
			is_ours.known[path] = True
		except FileExistsError:
			is_ours.known[path] = False
	return is_ours.known[path]


is_ours.known = {}


# What takes longest begins first, so that no lab is left with it at the end.
LONG = ['tls', 'systemd_run', 'dnssec_attack', 'trouble', 'restart', 'prefetch', 'resolve', 'anchors', 'systemd_restart',
	'cachefile', 'super', 'aggressive', 'failures', 'orphan']


def place_of(item):
	name = os.path.basename(str(item.path)).removesuffix('_test.py')
	return LONG.index(name) if name in LONG else len(LONG)


def pytest_collection_modifyitems(items):
	if os.environ.get('SHOAL_CLAIMS'):
		items.sort(key=place_of)
	for item in items:
		item.user_properties.append(('nodeid', item.nodeid))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item, nextitem):    # pylint: disable=unused-argument
	"""True: it is done, for another lab has it."""
	return None if is_ours(str(item.path)) else True


@pytest.fixture(autouse=True)
def time_limit(request):
	marker = request.node.get_closest_marker('seconds')
	limit = marker.args[0] if marker else TEST_SECONDS

	def too_late(*_):
		raise TimeoutError('the test took over %d s' % limit)
	before = signal.signal(signal.SIGALRM, too_late)
	signal.alarm(limit)
	yield
	signal.alarm(0)
	signal.signal(signal.SIGALRM, before)


@pytest.fixture(scope='session')
def lab():
	folder = os.environ.get('SHOAL_LAB')
	if not folder:
		pytest.skip('not inside the lab (SHOAL_LAB is not set)')
	return helpers.Lab(folder)


@pytest.fixture(scope='session')
def binaries():
	for name in ('shoald', 'shoal'):
		if not os.access(helpers.program(name), os.X_OK):
			say = pytest.fail if 'SHOAL_BUILD' in os.environ else pytest.skip
			say('%s is not built' % helpers.program(name))


class Factory:
	"""Starts shoals in folders of their own and judges them at the end."""

	def __init__(self, lab):
		self.lab, self.started, self.folders = lab, [], []
		self.crashes_allowed = False

	def folder(self):
		# Short: control sockets stand below, and their paths have 107 bytes.
		path = tempfile.mkdtemp(prefix='shoal-t')
		self.folders.append(path)
		return path

	def __call__(self, extra='', count=0, start=True, **more):
		shoal = helpers.Shoal(self.folder(), self.lab.hints, extra, count, **more)
		self.started.append(shoal)
		return shoal.start() if start else shoal

	def finish(self):
		failures = []
		for shoal in self.started:
			for judge in (shoal.stop, lambda s=shoal: s.check_health(self.crashes_allowed)):
				try:
					judge()
				except (AssertionError, OSError) as failure:
					failures.append(str(failure))
		return failures

	def clean(self):
		for path in self.folders:
			shutil.rmtree(path, ignore_errors=True)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
	outcome = yield
	report = outcome.get_result()
	if report.when == 'call' and report.failed:
		for value in item.funcargs.values():
			shoals = value.started if isinstance(value, Factory) else [value]
			for shoal in shoals:
				if isinstance(shoal, helpers.Shoal) and os.path.exists(shoal.log_path):
					report.sections.append(('log of %s' % shoal.conf, shoal.log()[-8000:]))


def finish(factory):
	failures = factory.finish()
	factory.clean()
	if failures:
		pytest.fail('\n'.join(failures), pytrace=False)


@pytest.fixture
def shoals(lab, binaries):
	"""Call it to start a shoal: shoals(extra_lua, count=4)."""
	factory = Factory(lab)
	yield factory
	finish(factory)


@pytest.fixture(scope='module')
def shoal(lab, binaries):
	"""One shoald for a whole file of tests."""
	factory = Factory(lab)
	yield factory()
	finish(factory)
