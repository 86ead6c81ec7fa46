# SPDX-License-Identifier: GPL-3.0-or-later
"""Bars as SVG: a panel for each figure, a bar for each name; Shoal's stand out."""

from xml.sax.saxutils import escape

PANEL_WIDTH, LETTER_WIDTH, VALUE_WIDTH = 420, 7, 70
BAR, GAP, TITLE, MARGIN = 16, 6, 34, 16
OURS, THEIRS = '#1b6ca8', '#b8bec5'


def number(value):
	return '%.0f' % value if value >= 100 or value == 0 else '%.1f' % value


def draw_panel(left, top, width, title, rows):
	out = ['<text x="%d" y="%d" font-weight="bold">%s</text>' % (left, top + 18, escape(title))]
	longest = max([value for _, value in rows] + [1e-9])
	label_width = 10 + LETTER_WIDTH * max(len(name) for name, _ in rows)
	room = width - label_width - VALUE_WIDTH
	for at, (name, value) in enumerate(rows):
		y = top + TITLE + at * (BAR + GAP)
		length = max(1, room * value / longest)
		out.append('<text x="%d" y="%d" text-anchor="end">%s</text>' % (
			left + label_width - 8, y + BAR - 4, escape(name)))
		out.append('<rect x="%d" y="%d" width="%.1f" height="%d" fill="%s"/>' % (
			left + label_width, y, length, BAR, OURS if name.lower().startswith('shoal') else THEIRS))
		out.append('<text x="%.1f" y="%d">%s</text>' % (
			left + label_width + length + 6, y + BAR - 4, number(value)))
	return out


def write_bars(path, panels, columns=2, width=PANEL_WIDTH):
	"""PANELS: (title, [(name, value)]), at least one, none empty; WIDTH: of each, in pixels."""
	height = TITLE + max(len(rows) for _, rows in panels) * (BAR + GAP) + MARGIN
	lines = (len(panels) + columns - 1) // columns
	size = (columns * (width + MARGIN) + MARGIN, lines * height + MARGIN)
	out = ['<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" '
		'viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">' % (*size, *size),
		'<rect width="100%" height="100%" fill="white"/>']
	for at, (title, rows) in enumerate(panels):
		out += draw_panel(MARGIN + at % columns * (width + MARGIN),
			MARGIN + at // columns * height, width, title, rows)
	with open(path, 'w', encoding='utf-8') as target:
		target.write('\n'.join(out + ['</svg>']) + '\n')
