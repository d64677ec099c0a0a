"""Sorting more records than memory holds: BATCH mode's grouping by key.

Covers external sorting within a budget of bytes: sorted runs on disk, merging, groups. Does not cover where the budget
comes from (`penstock.memory`) or what is done with a group (`penstock.runtime`).

Start reading at `_sorter.py`.
"""

from penstock.runtime.sort._sorter import ExternalSorter, Part, SortStatistics

__all__ = ["ExternalSorter", "Part", "SortStatistics"]
