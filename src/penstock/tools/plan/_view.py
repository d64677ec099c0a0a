"""What the views of a plan show: the plan, how it starts, and which view prints what."""

from __future__ import annotations

from penstock.conf import Record
from penstock.errors import ConfigurationError
from penstock.memory import LocalPlan, MemoryPlanError, container_memory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from penstock.conf import Configuration
    from penstock.memory import ContainerMemory, JobManagerPlan, StartUpPlan, TaskManagerPlan

__all__ = ["ROLE_TITLES", "PlanView", "planned", "render"]

ROLE_TITLES = {"taskmanager": "TaskManager", "jobmanager": "JobManager", "local": "local execution"}

LOCAL_NEEDS_NO_ARGUMENTS = (
    "Local execution starts no process of its own: it has no JVM arguments and no derived settings. "
    "Use --format table, json, yaml or svg."
)


class PlanView(Record):
    """A plan with what is shown beside it.

    Attributes:
        role: `taskmanager`, `jobmanager` or `local`.
        plan: the plan.
        start_up: of a TaskManager: how it starts; None for other roles and where it would not start.
        start_up_error: of a TaskManager: why it would not start, else None.
        container: memory of a container for the process; None for local execution.
    """

    role: str
    plan: TaskManagerPlan | JobManagerPlan | LocalPlan
    start_up: StartUpPlan | None = None
    start_up_error: MemoryPlanError | None = None
    container: ContainerMemory | None = None


def planned(configuration: Configuration, role: str) -> PlanView:
    """Plans a role.

    Raises:
        MemoryPlanError: the configuration contradicts itself.
    """
    if role == "jobmanager":
        from penstock.memory import plan_job_manager

        job_manager = plan_job_manager(configuration)
        return PlanView(role, job_manager, container=container_memory(configuration, job_manager))
    if role == "local":
        from penstock.memory import plan_local

        return PlanView(role, plan_local(configuration))
    from penstock.memory import plan_start_up, plan_task_manager

    plan = plan_task_manager(configuration)
    container = container_memory(configuration, plan)
    try:
        return PlanView(role, plan, plan_start_up(configuration, plan=plan), container=container)
    except MemoryPlanError as error:
        return PlanView(role, plan, None, error, container)


def render(view: PlanView, form: str, *, explain: bool = False, colour: bool = False) -> str:
    """Renders a plan as `table`, `json`, `yaml`, `svg`, `jvm` or `dynamic`, without a line break at the end.

    Args:
        view: what to render.
        form: the format; `jvm` and `dynamic` are byte for byte the lines Flink's `BashJavaUtils` gives to its start
            scripts.
        explain: whether to say of each component how it came about; `table`, `json` and `yaml` do.
        colour: whether `table` may use terminal colours.

    Raises:
        ConfigurationError: local execution has no `jvm` and no `dynamic`.
    """
    if form == "table":
        from penstock.tools.plan._table import render_table

        return render_table(view, explain=explain, colour=colour)
    if form in ("json", "yaml"):
        from penstock.tools.plan._data import as_json, as_yaml, view_data

        data = view_data(view, explain=explain)
        return as_json(data) if form == "json" else as_yaml(data)
    if form == "svg":
        from penstock.tools.plan._svg import render_svg

        return render_svg(view)
    plan = view.plan
    if isinstance(plan, LocalPlan):
        raise ConfigurationError(LOCAL_NEEDS_NO_ARGUMENTS)
    if form == "jvm":
        return plan.jvm_arguments()
    return " ".join(f"-D {key}={value}" for key, value in plan.dynamic_options().items())
