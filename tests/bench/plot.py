# SPDX-License-Identifier: Apache-2.0
"""The suite's figures as bars, in SVG. What draws plots in Debian would bring some fifty packages along, for this."""

from xml.sax.saxutils import escape

from report import number

WIDTH, LABEL, BAR, GAP, HEAD = 900, 330, 15, 7, 40
COLOURS = {"weir": "#1f6feb", "other": "#a8b1bb", "text": "#24292f", "faint": "#6e7781"}


def _text(x, y, text, more=""):
    return f'<text x="{x}" y="{y}" {more}>{escape(text)}</text>'


def _panel(y, title, groups):
    """groups: [[(label, value, unit), …], …], weir's first in each. Returns the lines and the next y."""
    largest = max(value for bars in groups for _, value, _ in bars) or 1
    lines = [_text(20, y + 18, title, 'font-weight="600" font-size="15"')]
    y += HEAD
    for bars in groups:
        for place, (label, value, unit) in enumerate(bars):
            width = max(1, value / largest * (WIDTH - LABEL - 120))
            colour = COLOURS["weir" if place == 0 else "other"]
            lines += [_text(LABEL - 8, y + BAR - 3, label, f'text-anchor="end" fill="{COLOURS["text" if place == 0 else "faint"]}"'),
                      f'<rect x="{LABEL}" y="{y}" width="{width:.1f}" height="{BAR}" rx="2" fill="{colour}"/>',
                      _text(f"{LABEL + width + 6:.1f}", y + BAR - 3, f"{number(value)} {unit}", f'fill="{COLOURS["faint"]}"')]
            y += BAR + 2
        y += GAP
    return lines, y + 14


def draw(rows):
    panels = {}
    for row in rows:
        if row.panel:
            panels.setdefault(row.panel, []).append([(label, value, row.unit) for label, value in row.bars])
    lines, y = [], 10
    for title, groups in panels.items():
        panel, y = _panel(y, title, groups)
        lines += panel
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y}" font-family="system-ui, sans-serif" font-size="12" '
        f'fill="{COLOURS["text"]}">', f'<rect width="{WIDTH}" height="{y}" fill="#ffffff"/>', *lines, "</svg>", ""])
