"""From a program to what runs: stream graph, chained job graph, execution graph.

Covers: resolving parallelism and partitionings, slot sharing groups, operator ids, chaining by Flink's rules, the
execution plan in JSON, and the states of a job and its subtasks. Does not cover: running anything.
Start reading at `_stream_graph.py`, then `_job_graph.py`.
"""

from penstock.graph._execution_graph import ExecutionGraph, ExecutionState, ExecutionVertex
from penstock.graph._job_graph import ChainedOperator, JobEdge, JobGraph, JobVertex, build_job_graph
from penstock.graph._plan import execution_plan
from penstock.graph._stream_graph import StreamEdge, StreamGraph, StreamNode, build_stream_graph

__all__ = [
    "ChainedOperator",
    "ExecutionGraph",
    "ExecutionState",
    "ExecutionVertex",
    "JobEdge",
    "JobGraph",
    "JobVertex",
    "StreamEdge",
    "StreamGraph",
    "StreamNode",
    "build_job_graph",
    "build_stream_graph",
    "execution_plan",
]
