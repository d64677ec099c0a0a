"""What a function learns from its runtime context, and its metrics."""

from pyflink.datastream import KeyedProcessFunction, MapFunction
from semantics_case import case


class Facts(MapFunction):
    def open(self, runtime_context):
        self.facts = (
            runtime_context.get_task_name(),
            runtime_context.get_number_of_parallel_subtasks(),
            runtime_context.get_max_number_of_parallel_subtasks(),
            runtime_context.get_index_of_this_subtask(),
            runtime_context.get_attempt_number(),
        )

    def map(self, value):
        return self.facts[1:]


@case()
def facts_of_a_single_subtask(env):
    return env.from_collection([1]).map(Facts())


@case(parallelism=2, order="any")
def facts_of_two_subtasks(env):
    return env.from_collection([1, 2]).rebalance().map(Facts())


@case(parallelism=2, order="any")
def max_parallelism_is_what_was_set(env):
    env.set_max_parallelism(12)
    return env.from_collection([1, 2]).rebalance().map(Facts())


@case()
def task_name_with_subtasks(env):
    class Names(MapFunction):
        def open(self, runtime_context):
            self.name = runtime_context.get_task_name()
            self.full = runtime_context.get_task_name_with_subtasks()

        def map(self, value):
            return self.full.startswith(self.name), self.full.endswith("(1/1)#0"), "special" in self.name

    return env.from_collection([1]).map(Names()).name("special")


@case()
def job_parameters(env):
    class Parameters(MapFunction):
        def open(self, runtime_context):
            self.seen = runtime_context.get_job_parameter("k", "d"), runtime_context.get_job_parameter("none", "d")

        def map(self, value):
            return self.seen

    env.get_config().set_global_job_parameters({"k": "v"})
    return env.from_collection([1]).map(Parameters())


@case(config={"pipeline.global-job-parameters": "k:v"})
def job_parameters_from_the_configuration(env):
    class Parameters(MapFunction):
        def open(self, runtime_context):
            self.seen = runtime_context.get_job_parameter("k", "d")

        def map(self, value):
            return self.seen

    return env.from_collection([1]).map(Parameters())


@case()
def metrics_count(env):
    class Metrics(MapFunction):
        def open(self, runtime_context):
            group = runtime_context.get_metrics_group()
            self.counter = group.counter("seen")
            self.meter = group.meter("rate", 2)
            self.distribution = group.add_group("inner").distribution("sizes")
            self.other = group.add_group("key", "value").counter("other")
            group.gauge("gauge", lambda: 42)

        def map(self, value):
            self.counter.inc()
            self.counter.inc(10)
            self.counter.dec()
            self.counter.dec(2)
            self.meter.mark_event()
            self.meter.mark_event(2)
            self.distribution.update(value)
            return self.counter.get_count(), self.meter.get_count(), self.other.get_count()

    return env.from_collection([1, 2]).map(Metrics())


@case()
def metrics_of_a_keyed_function(env):
    class Metrics(KeyedProcessFunction):
        def open(self, runtime_context):
            self.counter = runtime_context.get_metrics_group().counter("seen")

        def process_element(self, value, ctx):
            self.counter.inc()
            yield self.counter.get_count()

    return env.from_collection([1, 2]).key_by(lambda v: v).process(Metrics())


@case(parallelism=2)
def each_subtask_has_its_own_copy(env):
    class Counting(MapFunction):
        def __init__(self):
            self.count = 0

        def map(self, value):
            self.count += 1
            return self.count

    stream = env.from_collection(list(range(10))).rebalance().map(Counting())
    with stream.execute_and_collect() as results:
        return sorted(results)
