"""Plain tables: columns as wide as they need to be, two blanks between."""

from collections.abc import Collection, Sequence


def table(names: Sequence[str], rows: Sequence[Sequence[str]], right: Collection[str] = ()) -> str:
    """The rows under their names; columns named in `right` are set flush right. No column is cut: it can be piped."""
    widths = [max(len(n), *(len(r[i]) for r in rows)) if rows else len(n) for i, n in enumerate(names)]

    def line(cells: Sequence[str]) -> str:
        return "  ".join(c.rjust(w) if n in right else c.ljust(w)
                         for c, w, n in zip(cells, widths, names, strict=True)).rstrip()

    return "\n".join([line(names), *(line(r) for r in rows)])
