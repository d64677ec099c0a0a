"""`pyflink.table.table`: `Table`; every other name needs Flink's SQL planner and says so when it is used."""

from penstock.table._unsupported import module_stand_ins
from penstock.table.table_environment import Table

__all__ = ["Table"]

__getattr__ = module_stand_ins(globals())
