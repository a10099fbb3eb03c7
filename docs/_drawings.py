"""The drawing of what exec makes of the five capability sets, as an SVG inside the page.

Inside, and not beside it, since its colours are then those of the theme, light and dark. It is as
narrow as a phone, so that its letters are as large as the page's there.
"""

from html import escape

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

WIDTH, HEIGHT = 400, 432
BEFORE, FILE, AFTER = 4, 138, 286  # where the columns begin
BOX, CONDITION = 100, 114  # how wide they are

TITLE = "What exec makes of the five capability sets"
DESCRIPTION = """\
The bounding set and the inheritable set stay as they are. The new permitted set is what is both in
the bounding set and in the file's permitted set, and what is both in the inheritable set and in the
file's inheritable set, and all of the new ambient set. The ambient set stays if the file has no
privileges, and is empty otherwise. The new effective set is the new permitted set if the effective
bit of the file is set, and the new ambient set otherwise. The old permitted and the old effective
set have no part in it."""


def text(x, y, words, kind=""):
    return f'<text x="{x}" y="{y}" class="{kind}">{escape(words)}</text>'


def box(x, y, width, height, lines, kind):
    """A box around a point of its left side, with lines of text in its middle."""
    first = y + 4.5 - 8 * (len(lines) - 1)
    return [
        f'<rect x="{x}" y="{y - height / 2}" width="{width}" height="{height}" class="{kind}"/>',
        *(text(x + width / 2, first + 16 * i, line, kind) for i, line in enumerate(lines)),
    ]


def a_set(x, y, name):
    return box(x, y, BOX, 34, [name], "set")


def condition(y, *lines):
    return box(FILE, y, CONDITION, 42, lines, "condition")


def arrow(*points):
    path = " ".join(f"{x},{y}" for x, y in points)
    return [f'<polyline points="{path}" marker-end="url(#arrowhead)"/>']


def end(y):
    """The line of a set that has no part in what comes after."""
    return [f'<path d="M{BEFORE + BOX},{y} h14 m-5,-5 l10,10 m0,-10 l-10,10" class="end"/>']


def exec_drawing():
    left, right = BEFORE + BOX, FILE + CONDITION  # where lines leave the first two columns
    fork, join, edge = left + 17, right + 17, WIDTH - 5
    bounding, permitted, inheritable, ambient, effective = 60, 160, 260, 326, 398
    by_bounding, by_inheritable = 110, 210
    parts = [
        text(BEFORE + BOX / 2, 22, "the thread", "head"),
        text(FILE + CONDITION / 2, 22, "the file", "head"),
        text(AFTER + BOX / 2, 22, "after exec", "head"),
        *arrow((left, bounding), (AFTER, bounding)),
        *arrow((left, inheritable), (AFTER, inheritable)),
        *arrow((fork, bounding), (fork, by_bounding), (FILE, by_bounding)),
        *arrow((fork, inheritable), (fork, by_inheritable), (FILE, by_inheritable)),
        *arrow(
            (right, by_bounding), (join, by_bounding), (join, permitted - 8), (AFTER, permitted - 8)
        ),
        *arrow(
            (right, by_inheritable),
            (join, by_inheritable),
            (join, permitted + 8),
            (AFTER, permitted + 8),
        ),
        *arrow((left, ambient), (FILE, ambient)),
        *arrow((right, ambient), (AFTER, ambient)),
        *arrow(
            (AFTER + BOX, ambient), (edge, ambient), (edge, permitted), (AFTER + BOX, permitted)
        ),
        *end(permitted),
        *end(effective),
        *condition(by_bounding, "what its permitted", "set has, too"),
        *condition(by_inheritable, "what its inherit-", "able set has, too"),
        *condition(ambient, "only if it has", "no privileges"),
    ]
    for name, y in (
        ("bounding", bounding),
        ("permitted", permitted),
        ("inheritable", inheritable),
        ("ambient", ambient),
    ):
        parts += a_set(BEFORE, y, name) + a_set(AFTER, y, name)
    parts += a_set(BEFORE, effective, "effective")
    parts += box(
        FILE,
        effective,
        AFTER + BOX - FILE,
        58,
        ["effective", "with its effective bit: as permitted", "without: as ambient"],
        "set several",
    )
    return svg(parts)


def svg(parts):
    return "\n".join(
        [
            f'<svg class="drawing" viewBox="0 0 {WIDTH} {HEIGHT}" role="img"'
            ' aria-labelledby="drawing-title drawing-description">',
            f'<title id="drawing-title">{escape(TITLE)}</title>',
            f'<desc id="drawing-description">{escape(DESCRIPTION)}</desc>',
            '<defs><marker id="arrowhead" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7"'
            ' markerHeight="7" orient="auto"><path d="M0,0 L8,4 L0,8 z"/></marker></defs>',
            *parts,
            "</svg>",
        ]
    )


class ExecDrawing(SphinxDirective):
    """The drawing; its description where there are no drawings."""

    def run(self):
        if self.env.app.builder.format == "html":
            return [nodes.raw("", exec_drawing(), format="html")]
        return [nodes.paragraph("", DESCRIPTION)]


def setup(app):
    app.add_directive("exec-drawing", ExecDrawing)
    app.add_css_file("drawings.css")
    return {"parallel_read_safe": True}
