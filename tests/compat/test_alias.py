"""The import alias: the same modules under PyFlink's names, in this process and for pickles."""

import importlib
import importlib.util
import pickle
import subprocess
import sys
import textwrap

import pytest

import penstock
import penstock.compat
import penstock.datastream.window
from penstock.common import Row
from penstock.errors import JobError, PenstockError, UnsupportedFeatureError


@pytest.fixture
def alias():
    was_installed = penstock.compat.is_installed()
    penstock.compat.install()
    yield
    if not was_installed:
        penstock.compat.uninstall()


def test_modules_are_the_very_same(alias):
    import pyflink.common.types as types
    import pyflink.datastream as d
    from pyflink.datastream import window
    from pyflink.datastream.window import TimeWindow
    from pyflink.metrics import MetricGroup

    assert d is penstock.datastream
    assert window is penstock.datastream.window
    assert TimeWindow is penstock.datastream.window.TimeWindow
    assert types.Row is Row
    assert MetricGroup.__module__ == "penstock.metrics.metricbase"
    assert sys.modules["pyflink.datastream.window"] is penstock.datastream.window


def test_modules_keep_their_own_names_and_specs(alias):
    module = importlib.import_module("pyflink.datastream.state")
    assert module.__name__ == "penstock.datastream.state"
    assert module.__spec__.name == "penstock.datastream.state"
    assert importlib.util.find_spec("pyflink.datastream.window").name in (
        "penstock.datastream.window",
        "pyflink.datastream.window",
    )


def test_the_package_itself(alias):
    import pyflink
    from pyflink.version import __version__

    assert pyflink.__version__ == __version__ == "2.2.1"
    assert pyflink is not penstock


def test_pickles_load_under_both_names(alias):
    ours = pickle.dumps(Row(a=1))
    theirs = ours.replace(b"penstock.common.types", b"pyflink.common.types ").replace(b"types ", b"types")
    assert b"penstock" in ours
    assert pickle.loads(ours) == Row(a=1)
    # A protocol-0 pickle names its modules in lines, so that the other name can be put in by hand.
    text = pickle.dumps(Row(a=1), 0)
    assert pickle.loads(text.replace(b"penstock.common.types", b"pyflink.common.types")) == Row(a=1)
    assert theirs != ours


def test_modules_penstock_lacks_say_so(alias):
    for name in ("pyflink.fn_execution", "pyflink.runtime", "pyflink.conf", "pyflink.datastream.nothing"):
        with pytest.raises(ModuleNotFoundError, match=f"No module named '{name}': Penstock has PyFlink's DataStream"):
            importlib.import_module(name)


def test_the_bridges_to_the_jvm_explain_themselves(alias):
    from pyflink.java_gateway import get_gateway, is_launch_gateway_disabled, launch_gateway
    from pyflink.util.exceptions import JavaException, TableException
    from pyflink.util.java_utils import get_j_env_configuration, load_java_class

    assert is_launch_gateway_disabled()
    for call in (get_gateway, launch_gateway, lambda: get_j_env_configuration(None), lambda: load_java_class("a.B")):
        with pytest.raises(NotImplementedError, match="PyFlink's internal access to the JVM; Penstock has none"):
            call()
    assert issubclass(TableException, JavaException)
    assert issubclass(JobError, JavaException)


def test_what_extensions_import_is_there(alias):
    from pyflink.common.utils import JavaObjectWrapper
    from pyflink.datastream.utils import ResultTypeQueryable, create_java_properties
    from pyflink.find_flink_home import _find_flink_home
    from pyflink.serializers import PickleSerializer
    from pyflink.util.api_stability_decorators import Deprecated, PublicEvolving
    from pyflink.util.exceptions import DatabaseNotExistException, TableException, convert_py4j_exception

    serializer = PickleSerializer()
    assert serializer.loads(serializer.dumps({"a": (1, None)})) == {"a": (1, None)}
    assert PublicEvolving()(ResultTypeQueryable) is ResultTypeQueryable
    with pytest.warns(DeprecationWarning, match="Row has been deprecated since version 3. Use a tuple"):
        Deprecated(since="3", detail="Use a tuple.")(type("Row", (), {}))
    assert issubclass(DatabaseNotExistException, PenstockError)
    assert convert_py4j_exception(TableException("x")).args == ("x",)
    for use in (lambda: JavaObjectWrapper(1), lambda: create_java_properties({}), _find_flink_home):
        with pytest.raises(UnsupportedFeatureError, match=r"JVM|FLINK_HOME"):
            use()


def test_an_error_answers_as_the_java_exception_it_stands_for():
    error = JobError("what happened")
    error.__cause__ = ValueError("why")
    assert error.java_exception.getMessage() == "what happened"
    assert str(error.java_exception.getCause()) == "ValueError: why"
    assert error.java_exception.getCause().getCause() is None


def test_installing_and_uninstalling(alias):
    penstock.compat.install()
    import pyflink.common  # noqa: F401

    penstock.compat.uninstall()
    assert not penstock.compat.is_installed()
    assert not [name for name in sys.modules if name.split(".")[0] == "pyflink"]
    penstock.compat.uninstall()
    penstock.compat.install()


def run(code, *path):
    script = "import sys; sys.path[:0] = " + repr(list(map(str, path))) + "\n" + textwrap.dedent(code)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_wins_over_an_installed_pyflink_and_gives_it_back(tmp_path):
    package = tmp_path / "pyflink" / "common"
    package.mkdir(parents=True)
    (tmp_path / "pyflink" / "__init__.py").write_text("__version__ = 'real'\n")
    (package / "__init__.py").write_text("real = True\n")
    code = """
        import pyflink, pyflink.common
        assert pyflink.common.real
        import penstock.compat
        penstock.compat.install()
        import pyflink as alias
        from pyflink.common import Types
        penstock.compat.uninstall()
        import pyflink as again
        print(alias.__version__, Types.INT(), again.__version__, again is pyflink)
    """
    assert run(code, tmp_path) == "2.2.1 Integer real True"


def test_py4j_is_stood_in_for_only_where_it_is_missing(tmp_path):
    (tmp_path / "py4j").mkdir()
    (tmp_path / "py4j" / "__init__.py").write_text("")
    (tmp_path / "py4j" / "protocol.py").write_text("class Py4JJavaError(Exception): real = True\n")
    code = """
        import penstock.compat
        penstock.compat.install()
        from py4j.protocol import Py4JJavaError
        print(getattr(Py4JJavaError, "real", False))
    """
    assert run(code, tmp_path) == "True"


REAL_PY4J = """
class Py4JError(Exception):
    def __init__(self, args=None, cause=None):
        super().__init__(args)
        self.cause = cause


class Py4JJavaError(Py4JError):
    def __init__(self, msg, java_exception):
        self.java_exception = java_exception

    def __str__(self):
        raise AssertionError("asks the JVM")
"""


@pytest.mark.parametrize("imported_first", [True, False])
def test_an_installed_py4j_catches_failed_jobs_too(tmp_path, imported_first):
    (tmp_path / "py4j").mkdir()
    (tmp_path / "py4j" / "__init__.py").write_text("")
    (tmp_path / "py4j" / "protocol.py").write_text(REAL_PY4J)
    code = f"""
        if {imported_first}:
            import py4j.protocol
        import penstock.compat
        penstock.compat.install()
        from py4j.protocol import Py4JJavaError
        from pyflink.datastream import StreamExecutionEnvironment
        env = StreamExecutionEnvironment.get_execution_environment()
        env.from_collection([0]).map(lambda x: 1 / x).print()
        try:
            env.execute()
        except Py4JJavaError as error:
            text = str(error) + error.java_exception.toString()
        assert text.count("ZeroDivisionError: division by zero") == 2, text
        penstock.compat.uninstall()
        from penstock.errors import JobError, UnsupportedFeatureError
        print(issubclass(JobError, Py4JJavaError), UnsupportedFeatureError("x"))
    """
    assert run(code, tmp_path) == "False x"


@pytest.mark.skipif(importlib.util.find_spec("py4j") is not None, reason="py4j is installed")
def test_programs_catch_failed_jobs_as_py4j_errors(alias):
    from py4j.java_gateway import JavaObject
    from py4j.protocol import Py4JError, Py4JJavaError

    for error in (JobError("x"), UnsupportedFeatureError("y")):
        with pytest.raises(Py4JJavaError):
            raise error
    assert issubclass(PenstockError, Py4JError)
    assert not isinstance(5, JavaObject)
