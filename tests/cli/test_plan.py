from __future__ import annotations

import io
import json
import shlex
import sys
from pathlib import Path

import pytest

from penstock.cli.main import main
from penstock.conf import configuration_from_yaml

PROCESS = "-Dtaskmanager.memory.process.size=4g"


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("FLINK_CONF_DIR", "FLINK_PROPERTIES", "PENSTOCK_TRACEBACK", "NO_COLOR"):
        monkeypatch.delenv(variable, raising=False)


def plan(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    exit_code = main(["plan", *arguments])
    captured = capsys.readouterr()
    return exit_code, captured.out, captured.err


def test_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    exit_code, out, err = plan(
        capsys, PROCESS, "-D", "taskmanager.numberOfTaskSlots=4", "-D", "taskmanager.memory.size=1g"
    )
    assert (exit_code, err) == (0, "")
    for part in (
        "total process memory", "4294967296 100.0%  taskmanager.memory.process.size: 4g (-D)", "│  ├─ heap",
        "taskmanager.memory.size: 1g (-D)", "taskmanager.memory.framework.heap.size (default)", "1073741824",
        "Each of 4 slots", "10977 of 32 KiB", "-Xmx", "Use 'taskmanager.memory.managed.size'",
    ):  # fmt: skip
        assert part in out, part
    assert "\x1b" not in out
    assert not any(line.endswith(" ") for line in out.splitlines())


def test_the_line_of_the_file_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "config.yaml").write_text("taskmanager:\n  memory:\n    process:\n      size: 4g\n")
    _, out, _ = plan(capsys, "--conf-dir", str(tmp_path))
    assert f"taskmanager.memory.process.size: 4g ({tmp_path}/config.yaml:4)" in out


def test_explain(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = plan(capsys, PROCESS, "--explain", "-D", "taskmanager.memory.jvm-overhead.max=200m")
    assert "0.4000000059604645 of total Flink memory" in out
    assert "which is above its maximum of 200.000mb" in out
    assert "capped to its maximum" in out


def test_job_manager_and_local(capsys: pytest.CaptureFixture[str]) -> None:
    exit_code, out, _ = plan(capsys, "--role", "jobmanager", "-D", "jobmanager.memory.process.size=1600m")
    assert exit_code == 0
    assert "1073741824  64.0%  remainder" in out
    exit_code, out, _ = plan(capsys, "--role", "local")
    assert exit_code == 0
    assert "no limit" in out
    exit_code, out, err = plan(capsys, "--role", "local", "--format", "jvm")
    assert (exit_code, out) == (2, "")
    assert "no JVM arguments" in err


def test_start_script_lines_are_flinks_byte_for_byte(capsys: pytest.CaptureFixture[str]) -> None:
    flags = ("-D", "taskmanager.memory.process.size=1728m")
    assert plan(capsys, *flags, "--format", "jvm")[1] == (
        "-Xmx536870902 -Xms536870902 -XX:MaxDirectMemorySize=268435458 -XX:MaxMetaspaceSize=268435456\n"
    )
    assert plan(capsys, *flags, "--format", "dynamic")[1] == (
        "-D taskmanager.memory.network.min=134217730b -D taskmanager.cpu.cores=1.0 "
        "-D taskmanager.memory.task.off-heap.size=0b -D taskmanager.memory.jvm-metaspace.size=268435456b "
        "-D external-resources=none -D taskmanager.memory.jvm-overhead.min=201326592b "
        "-D taskmanager.memory.framework.off-heap.size=134217728b -D taskmanager.memory.network.max=134217730b "
        "-D taskmanager.memory.framework.heap.size=134217728b -D taskmanager.memory.managed.size=536870920b "
        "-D taskmanager.memory.task.heap.size=402653174b -D taskmanager.numberOfTaskSlots=1 "
        "-D taskmanager.memory.jvm-overhead.max=201326592b\n"
    )
    flags = ("--role", "jobmanager", "-D", "jobmanager.memory.process.size=1600m")
    assert plan(capsys, *flags, "--format", "jvm")[1] == (
        "-Xmx1073741824 -Xms1073741824 -XX:MaxMetaspaceSize=268435456\n"
    )
    assert plan(capsys, *flags, "--format", "dynamic")[1] == (
        "-D jobmanager.memory.off-heap.size=134217728b -D jobmanager.memory.jvm-overhead.min=201326592b "
        "-D jobmanager.memory.jvm-metaspace.size=268435456b -D jobmanager.memory.heap.size=1073741824b "
        "-D jobmanager.memory.jvm-overhead.max=201326592b\n"
    )
    _, _, err = plan(capsys, PROCESS, "-D", "taskmanager.memory.size=1g", "--format", "jvm")
    assert "taskmanager.memory.managed.size" in err


def test_json_and_yaml_say_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    data = json.loads(plan(capsys, PROCESS, "--format", "json", "--explain")[1])
    assert data["components"]["task_heap"] == 1530082070
    assert data["slot"]["managed"] == data["components"]["managed"]
    assert data["derivations"]["network"]["rule"] == "fraction"
    assert data["configured"]["taskmanager.memory.process.size"] == {"value": "4g", "source": "-D"}
    text = plan(capsys, PROCESS, "--format", "yaml", "--explain")[1]
    flat = configuration_from_yaml(text.replace(": null", ': ""').replace(": []", ': ""').replace(": {}", ': ""'))
    assert flat.raw("components.task_heap") == 1530082070
    assert flat.raw("configured.taskmanager.memory.process.size.source") == "-D"
    assert flat.raw("role") == data["role"]


def test_the_drawing(capsys: pytest.CaptureFixture[str]) -> None:
    from xml.etree import ElementTree

    for flags in (
        (PROCESS,),
        ("--role", "jobmanager", "-Djobmanager.memory.process.size=1600m", "-Djobmanager.network.memory.size=100m"),
        ("--role", "local"),
        ("-Dtaskmanager.memory.task.heap.size=0", "-Dtaskmanager.memory.managed.size=0"),
    ):
        exit_code, out, _ = plan(capsys, *flags, "--format", "svg")
        assert exit_code == 0
        root = ElementTree.fromstring(out)
        namespace = "{http://www.w3.org/2000/svg}"
        bars = [each for each in root.iter(f"{namespace}rect") if each.get("class") == "component"]
        # To scale: the components fill the frame.
        frame = next(each for each in root.iter(f"{namespace}rect") if each.get("class") == "frame")
        total = sum(float(str(each.get("height"))) for each in bars)
        assert total == pytest.approx(float(str(frame.get("height"))), abs=0.1)
        labels = [float(str(each.get("y"))) for each in root.iter(f"{namespace}text") if each.get("class") == "name"]
        assert labels


def test_compare(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = tmp_path / "config.yaml"
    other.write_text("taskmanager.memory.process.size: 8g\n")
    exit_code, out, _ = plan(capsys, PROCESS, "--compare", "taskmanager.memory.process.size=8g")
    assert exit_code == 0
    for part in ("taskmanager.memory.process.size: 4g → 8g", "+4 GiB", "+100.0%", "128 MiB            ="):
        assert part in out
    data = json.loads(plan(capsys, PROCESS, "--format", "json", "--compare", "taskmanager.memory.managed.size=0")[1])
    assert data["components"]["managed"] == {"before": 1438814063, "after": 0, "change": -1438814063}
    file_data = json.loads(plan(capsys, "--conf-dir", str(other), "--format", "json", "--compare", str(tmp_path))[1])
    assert all(each["change"] == 0 for each in file_data["components"].values())
    for wrong in (("--compare", "a=1", "--compare", str(tmp_path)), ("--compare", "a=1", "--format", "svg")):
        assert plan(capsys, PROCESS, *wrong)[0] == 2


@pytest.mark.parametrize(
    ("arguments", "mentions"),
    [
        ((), "taskmanager.memory.process.size: 1728m"),
        (("-D", "taskmanager.memory.process.size=1.5g"), "1536m"),
        ((PROCESS, "-D", "taskmanager.memory.flink.size=1g"), "remove taskmanager.memory.flink.size"),
        (("--conf-dir", "/no/such/folder"), "/no/such/folder"),
        (("-D", "=4g"), "key=value"),
        ((PROCESS, "--compare", "/no/such/folder"), "/no/such/folder"),
    ],
)
def test_what_cannot_work_is_one_message_and_exit_code_2(
    arguments: tuple[str, ...], mentions: str, capsys: pytest.CaptureFixture[str]
) -> None:
    exit_code, out, err = plan(capsys, *arguments)
    assert (exit_code, out) == (2, "")
    assert err.startswith("penstock: ")
    assert mentions in err
    assert "Traceback" not in err


def test_unknown_roles_and_formats(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (("--role", "worker"), ("--format", "xml")):
        with pytest.raises(SystemExit) as caught:
            main(["plan", *arguments])
        assert caught.value.code == 2
        assert "invalid choice" in capsys.readouterr().err


def test_a_malformed_file_names_line_and_column(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("a: 1\nb: [\n")
    assert f"{file}, line 3, column 1" in plan(capsys, "--conf-dir", str(tmp_path))[2]


def test_a_plan_that_would_not_start_is_shown_and_refused(capsys: pytest.CaptureFixture[str]) -> None:
    exit_code, out, err = plan(capsys, PROCESS, "-D", "taskmanager.memory.segment-size=33k")
    assert exit_code == 2
    assert "task heap" in out
    assert "must be a power of two" in err
    # Flink's start script does not look at it.
    assert plan(capsys, PROCESS, "-D", "taskmanager.memory.segment-size=33k", "--format", "jvm")[0] == 0


def test_colours_on_a_terminal_only(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert "\x1b[1m" in plan(capsys, PROCESS)[1]
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in plan(capsys, PROCESS)[1]


def test_a_fleet(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    requests = [
        {"id": "a", "conf": {"taskmanager.memory.process.size": "4g"}},
        {"id": 2, "role": "jobmanager", "conf": {"jobmanager.memory.process.size": "1600m"}},
        {"id": 3, "role": "local"},
        {"id": 4, "yaml": "taskmanager.memory.process.size: 4x"},
        {"id": 5, "yaml": "a:\n"},
        {"id": 6, "yaml": "taskmanager: {memory: {flink.size: 1g}}", "conf": {"taskmanager.memory.flink.size": "2g"}},
    ]
    monkeypatch.setattr(sys, "stdin", io.StringIO("\n".join(map(json.dumps, requests)) + "\n\n"))
    exit_code, out, err = plan(capsys, "--batch")
    answers = [json.loads(line) for line in out.splitlines()]
    assert (exit_code, err) == (0, "")
    assert [answer["id"] for answer in answers] == ["a", 2, 3, 4, 5, 6]
    assert [answer["ok"] for answer in answers] == [True, True, True, False, False, True]
    assert answers[0]["components"]["task_heap"] == 1530082070
    assert answers[3]["error_id"] == "size-unreadable"
    assert answers[3]["error_option"] == "taskmanager.memory.process.size"
    assert answers[3]["error_detail"] == "size-unknown-unit"
    assert answers[4]["error_id"] == "yaml-invalid"
    assert answers[5]["components"]["total_flink"] == 2**31


@pytest.mark.parametrize(
    "line",
    [
        "nonsense",
        "[]",
        '"x"',
        '{"role": "worker"}',
        '{"conf": 5}',
        '{"role": []}',
        '{"yaml": 5}',
        '{"role": "rocksdb"}',
    ],
)
def test_a_line_that_is_no_request(
    line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(line + '\n{"id": 1, "role": "local"}\n'))
    exit_code, out, _ = plan(capsys, "--batch")
    first, second = map(json.loads, out.splitlines())
    assert exit_code == 2
    assert first["error_id"] == "request-invalid"
    assert second["ok"]


def documented_commands() -> list[str]:
    page = Path(__file__).parents[2] / "docs" / "configuration.md"
    return [line[2:] for line in page.read_text(encoding="utf-8").splitlines() if line.startswith("$ penstock plan")]


@pytest.mark.parametrize("command", documented_commands())
def test_documented_commands_do_what_the_page_shows(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    exit_code, _, err = plan(capsys, *shlex.split(command)[2:])
    contradicts = "flink.size=1g" in command
    assert exit_code == (2 if contradicts else 0)
    page = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text(encoding="utf-8")
    assert err in page  # what it says on standard error is shown below the command
