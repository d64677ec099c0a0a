"""What a program brings along for its functions: files, requirements, archives; and making them available."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from penstock.conf import Configuration, PipelineOptions, PythonOptions
from penstock.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path

    from penstock.conf import ConfigOption

__all__ = ["PythonDependencies", "python_dependencies"]

TARGET_MARK = "#"  # separates a path from its target in the options' values, as in Flink


class PythonDependencies:
    """The environment's methods about dependencies; values are kept under Flink's keys."""

    _configuration: Configuration

    def add_python_file(self, file_path: str) -> None:
        """Lets functions import a file, a package, a directory or a zip file."""
        self._append(PythonOptions.FILES, file_path)

    def set_python_requirements(self, requirements_file_path: str, requirements_cache_dir: str | None = None) -> None:
        """Lets functions import what a requirements.txt names.

        Args:
            requirements_file_path: the requirements.txt.
            requirements_cache_dir: a directory with the packages, where there is no index to ask.
        """
        value = requirements_file_path
        if requirements_cache_dir is not None:
            value += TARGET_MARK + requirements_cache_dir
        self._configuration.set(PythonOptions.REQUIREMENTS, value)

    def add_python_archive(self, archive_path: str, target_dir: str | None = None) -> None:
        """Unpacks a zip or tar file below the functions' working directory, in a directory named like it or as said."""
        value = archive_path if target_dir is None else archive_path + TARGET_MARK + target_dir
        self._append(PythonOptions.ARCHIVES, value)

    def set_python_executable(self, python_exec: str) -> None:
        """Names the interpreter of the functions; they run in the program's own, and see this name in `$python`."""
        self._configuration.set(PythonOptions.EXECUTABLE, python_exec)

    def add_jars(self, *jars_path: str) -> None:
        """Notes JAR files, which are of use on a Flink cluster only; warns."""
        self._note_java(PipelineOptions.JARS, "add_jars", jars_path)

    def add_classpaths(self, *classpaths: str) -> None:
        """Notes Java classpaths, which are of use on a Flink cluster only; warns."""
        self._note_java(PipelineOptions.CLASSPATHS, "add_classpaths", classpaths)

    def _append(self, option: ConfigOption[str | None], value: str) -> None:
        earlier = self._configuration.get(option)
        self._configuration.set(option, value if not earlier else f"{earlier},{value}")

    def _note_java(self, option: ConfigOption[list[str] | None], method: str, values: tuple[str, ...]) -> None:
        import warnings

        self._configuration.set(option, [*(self._configuration.get(option) or []), *values])
        warnings.warn(
            f"{method}({', '.join(values)}): JAR files need a JVM, and Penstock runs without one. They are kept in the "
            f"option {option.key} for a Flink cluster and have no effect here.",
            stacklevel=3,
        )


@contextmanager
def python_dependencies(configuration: Configuration) -> Iterator[Path | None]:
    """Makes what a program brought along available to functions, for as long as the context lasts.

    For the whole process: `sys.path`, the environment variable `python`, and the working directory where there are
    archives. A job process or the local executor enters it before functions are loaded. Without dependencies it does
    nothing and costs nothing.

    Yields:
        The directory the archives were unpacked to, now the working directory; None without archives.

    Raises:
        ConfigurationError: a file is missing, an archive unreadable, or pip failed.
    """
    files, requirements, archives, executable = (
        configuration.get(option)
        for option in (
            PythonOptions.FILES,
            PythonOptions.REQUIREMENTS,
            PythonOptions.ARCHIVES,
            PythonOptions.EXECUTABLE,
        )
    )
    if not (files or requirements or archives or executable):
        yield None
        return
    import tempfile
    from pathlib import Path

    saved_path, saved_executable, saved_directory = list(sys.path), os.environ.get("python"), Path.cwd()  # noqa: SIM112
    with tempfile.TemporaryDirectory(prefix="penstock-python-") as scratch:
        try:
            sys.path[:0] = [*_import_paths(files), *_installed(requirements, Path(scratch) / "requirements")]
            if executable:
                os.environ["python"] = executable  # noqa: SIM112  (PyFlink's name for it)
            unpacked = _unpacked(archives, Path(scratch) / "archives")
            if unpacked is not None:
                os.chdir(unpacked)
            yield unpacked
        finally:
            os.chdir(saved_directory)
            sys.path[:] = saved_path
            if saved_executable is None:
                os.environ.pop("python", None)
            else:
                os.environ["python"] = saved_executable  # noqa: SIM112


def _import_paths(files: str | None) -> list[str]:
    """Directories for `sys.path`: a file's own directory, a package's parent's content, a zip file itself."""
    paths = []
    for text in _items(files):
        path = _existing(text, PythonOptions.FILES.key)
        paths.append(str(path.parent if path.suffix == ".py" else path))
    return paths


def _installed(requirements: str | None, target: Path) -> list[str]:
    if not requirements:
        return []
    import subprocess

    file_text, _, cache_text = requirements.partition(TARGET_MARK)
    file = _existing(file_text, PythonOptions.REQUIREMENTS.key)
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    command += ["--target", str(target), "--requirement", str(file)]
    if cache_text:
        command += ["--no-index", "--find-links", str(_existing(cache_text, PythonOptions.REQUIREMENTS.key))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ConfigurationError(
            f"{PythonOptions.REQUIREMENTS.key}: pip could not install {file_text}: {done.stderr.strip()[-2000:]}"
        )
    return [str(target)]


def _unpacked(archives: str | None, target: Path) -> Path | None:
    if not archives:
        return None
    import shutil

    for text in _items(archives):
        archive_text, _, name = text.partition(TARGET_MARK)
        archive = _existing(archive_text, PythonOptions.ARCHIVES.key)
        try:
            kind = None if archive.suffix not in (".whl", ".egg", ".jar") else "zip"
            shutil.unpack_archive(archive, target / (name or archive.name), kind)
        except (shutil.ReadError, ValueError) as error:
            raise ConfigurationError(
                f"{PythonOptions.ARCHIVES.key}: {archive_text} cannot be unpacked: {error}. "
                "Archives are zip (jar, whl, egg), tar, tar.gz, tar.bz2 or tar.xz files."
            ) from error
    return target


def _items(value: str | None) -> list[str]:
    return [item.strip() for item in (value or "").split(",") if item.strip()]


def _existing(text: str, key: str) -> Path:
    from pathlib import Path

    path = Path(text.removeprefix("file://")).absolute()
    if not path.exists():
        raise ConfigurationError(f"{key}: there is no {text} (looked for {path}).")
    return path
