"""Reading YAML with tab characters as Flink's parser takes them.

A tab never separates tokens there: `key:<tab>value` is an error. Inside and after a plain scalar it is white space.
LibYAML is more lenient and PyYAML's own scanner stricter than that, so texts with tabs go through the latter with one
rule changed.
"""

from __future__ import annotations

import yaml

__all__ = ["TabLoader"]


class TabLoader(yaml.BaseLoader):
    """PyYAML's scanner, with tabs as white space inside and after plain scalars; used by one `read_document` call."""

    def scan_plain_spaces(self, indent, start_mark):  # type: ignore[no-untyped-def]  # PyYAML's scanner is not typed
        """White space within a plain scalar, from the reader's position, as chunks of text."""
        length = 0
        while self.peek(length) in (" ", "\t"):
            length += 1
        blanks = self.prefix(length)
        if "\t" not in blanks:
            return super().scan_plain_spaces(indent, start_mark)
        self.forward(length)
        if self.peek() in "\0\r\n\x85\u2028\u2029":
            return super().scan_plain_spaces(indent, start_mark)
        return [blanks]
