"""Two programs of `job_programs.py` in Pathway: `python pathway_programs.py NAME`."""

from __future__ import annotations

import sys

import pathway as pw

RECORDS = 50_000_000


class Number(pw.Schema):
    value: int


class Numbers(pw.io.python.ConnectorSubject):
    def run(self):
        for value in range(RECORDS):
            self.next(value=value)


def hoarding_map(numbers):
    held = []

    @pw.udf
    def hoard(value: int) -> int:
        held.append([value] * 10)
        return value

    return numbers.select(value=hoard(pw.this.value))


def ever_new_keys(numbers):
    @pw.udf
    def key(value: int) -> str:
        return f"key {value}"

    keyed = numbers.select(key=key(pw.this.value), value=pw.this.value)
    return keyed.groupby(pw.this.key).reduce(value=pw.reducers.sum(pw.this.value))


def main():
    numbers = pw.io.python.read(Numbers(), schema=Number, autocommit_duration_ms=100)
    results = globals()[sys.argv[1]](numbers)
    pw.io.null.write(results.filter(pw.this.value < 0))
    pw.run(monitoring_level=pw.MonitoringLevel.NONE)
    print("finished")


if __name__ == "__main__":
    main()
