"""Tools around the memory model: views of plans, diagnosis of reports, the reference pages.

Covers what the command line prints of plans (`plan`), what a memory report means (`diagnose`), and the generated pages
of `docs/` (`reference`). Does not cover the model itself (`penstock.memory`), and never touches the runtime.

Start reading at `plan/__init__.py`.
"""
