"""The command line: one module a command, thin: parse, call, print.

Covers argument parsing, exit codes and what reaches the terminal. Does not cover any work of its own: that lies in
`penstock.tools` and below. Start reading at `main.py`; a command's module has `register(subparsers)` and
`run(arguments)`.
"""
