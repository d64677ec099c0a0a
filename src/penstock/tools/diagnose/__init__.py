"""What went wrong when memory ran out: the component, the likely cause, and an option's value that would have done.

Covers the files that failures leave behind: out-of-memory reports (`oom-….json`), the heap guard's last words
(`heap-end-….json`) and the supervisor's account of a process's end. Does not cover making them: that is
`penstock.memory`. Start reading at `_diagnosis.py`, then `_causes.py`.
"""

from penstock.tools.diagnose._diagnosis import Diagnosis, Remedy, diagnose, load_report

__all__ = ["Diagnosis", "Remedy", "diagnose", "load_report"]
