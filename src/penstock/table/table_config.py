"""`pyflink.table.table_config`: importable; every name needs Flink's SQL planner and says so when it is used."""

from penstock.table._unsupported import module_stand_ins

__getattr__ = module_stand_ins(globals())
