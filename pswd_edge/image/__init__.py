"""The process image: one writer (control), any readers, in a memory-mapped file on tmpfs.

    layout.py   where everything lies, computed from the compiled site alone
    record.py   head, data, CRC-32, tail: how a reader knows that it was not interrupted
    writer.py   the control process' side
    reader.py   everybody else's side, read-only
    notify.py   the datagram "row k" once a cycle

A file is never truncated or reshaped: a new site is a new generation (new file, pointer renamed over the old).
"""

from pswd_edge.image.layout import Layout
from pswd_edge.image.reader import ImageReader, Rows
from pswd_edge.image.writer import ImageWriter

__all__ = ["ImageReader", "ImageWriter", "Layout", "Rows"]
